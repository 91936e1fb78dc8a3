"""The judge computes what the targets say, on made-up figures."""

from __future__ import annotations

import pytest

from workloads.bench.catalogue import CASES
from workloads.bench.forwarding import CASE
from workloads.bench.lockchecks import LOCK_CHECKERS
from workloads.bench.lockreport import CASE as REPORT
from workloads.bench.messages import ROUTES
from workloads.bench.records import Sample, Skip
from workloads.bench.statements import STATEMENTS
from workloads.bench.subjects import NATIVES
from workloads.bench.sweeps import CASE as SWEEP
from workloads.bench.targets import (
    FORWARD,
    FORWARD_CPU,
    REPORTED,
    SWEPT,
    SWEPT_UNWATCHED,
    TARGETS,
    Target,
    describe,
    judge,
    met,
    value_of,
)
from workloads.bench.watched import ANSWERED


def sample(case: str, subject: str, best: float) -> Sample:
    return Sample(case=case, subject=subject, unit="ns", best=best, median=best, runs=1)


def test_ratio_is_ours_over_the_peer_and_the_bound_itself_is_met() -> None:
    target = Target("c.pair", "mine", "theirs", "ratio_at_most", 0.5)
    value = value_of(target, 4.0, 8.0)
    assert value == 0.5
    assert met(target, value)
    assert not met(target, value_of(target, 4.001, 8.0))


def test_faster_than_a_peer_is_not_met_by_a_tie() -> None:
    target = Target("msg.stream", "mine", "theirs", "ratio_below", 1.0)
    assert not met(target, value_of(target, 5.0, 5.0))
    assert met(target, value_of(target, 4.99, 5.0))


def test_times_faster_is_the_peer_over_ours() -> None:
    target = Target("msg.roundtrip", "mine", "theirs", "times_faster", 20.0)
    assert value_of(target, 1.0, 20.0) == 20.0
    assert met(target, value_of(target, 1.0, 20.0))
    assert not met(target, value_of(target, 1.0, 19.9))


def test_plain_bounds_need_no_peer_and_point_the_right_way() -> None:
    least, most = Target("c.scaling", "m", None, "at_least", 1.9), Target("c.attach", "m", None, "at_most", 1000.0)
    assert met(least, value_of(least, 1.9, None))
    assert not met(least, value_of(least, 1.89, None))
    assert met(most, value_of(most, 1000.0, None))
    assert not met(most, value_of(most, 1000.1, None))


def test_a_ratio_without_the_peer_is_refused() -> None:
    with pytest.raises(ValueError, match="needs the figure of theirs"):
        value_of(Target("c.pair", "mine", "theirs", "ratio_at_most", 1.0), 1.0, None)


def test_judge_tells_met_missed_and_not_measured_apart() -> None:
    targets = (
        Target("c.pair", "mine", "quick", "ratio_at_most", 1.0),
        Target("c.pair", "mine", "slow", "ratio_at_most", 1.0),
        Target("c.pair", "mine", "absent", "ratio_at_most", 1.0),
        Target("c.bulk", "mine", None, "at_most", 1.0),
    )
    samples = [sample("c.pair", "mine", 5.0), sample("c.pair", "quick", 4.0), sample("c.pair", "slow", 10.0)]
    skips = [Skip(case="c.pair", subject="absent", reason="not installed: apt package absent")]
    verdicts = judge(samples, skips, targets)
    assert [(verdict.value, verdict.met) for verdict in verdicts] == [(1.25, False), (0.5, True), (None, None)]
    assert verdicts[2].reason == "absent: not installed: apt package absent"


def test_paired_case_takes_the_median_ratio_of_neighbouring_runs_not_the_ratio_of_the_bests() -> None:
    target = Target("c.cross", "mine", "theirs", "ratio_at_most", 1.5)

    def turns(subject: str, *values: float) -> Sample:
        return Sample(case="c.cross", subject=subject, unit="ns", best=min(values), median=0.0, runs=3, turns=values)

    # The cores were near in the first turn of mine only: its best is luck.
    (verdict,) = judge([turns("mine", 15.0, 60.0, 66.0), turns("theirs", 5.0, 20.0, 22.0)], [], (target,))
    assert verdict.value == 3.0
    assert verdict.met is False
    (verdict,) = judge([turns("mine", 15.0, 60.0), turns("theirs", 20.0)], [], (target,))
    assert verdict.value == 0.75, "runs that do not pair up: the bests"


def test_judge_leaves_out_cases_that_were_not_asked_for_and_keeps_those_that_failed() -> None:
    target = Target("c.bulk", "mine", None, "at_most", 1.0)
    assert judge([sample("c.pair", "mine", 1.0)], [], (target,)) == ()
    (verdict,) = judge([], [Skip(case="c.bulk", subject="mine", reason="no compiler")], (target,))
    assert verdict.met is None
    assert verdict.reason == "mine: no compiler"


def test_every_target_names_subjects_that_some_level_measures() -> None:
    measured = {
        (question.case, question.subject) for native in (*NATIVES, *LOCK_CHECKERS) for question in native.questions
    }
    measured |= {(statement.case, statement.subject) for statement in STATEMENTS}
    measured |= {(case, route.subject) for route in ROUTES for case in route.cases}
    measured |= {(CASE, FORWARD), (CASE, FORWARD_CPU), (REPORT, REPORTED), *ANSWERED}
    measured |= {(SWEEP, SWEPT), (SWEEP, SWEPT_UNWATCHED)}
    for target in TARGETS:
        assert (target.case, target.ours) in measured, describe(target)
        assert target.peer is None or (target.case, target.peer) in measured, describe(target)
    assert {case for case, _ in measured} == {case.name for case in CASES}

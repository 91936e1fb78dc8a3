"""Coverage counts what was really injected, and a gate says whether that is enough."""

import pytest
from msgspec.structs import replace

from faultinj.catalogue import points
from faultinj.report.coverage import CRASH, coverage, joined
from faultinj.report.verdict import Gate, Verdict, state_of
from faultruns import clean_run, outcome, rich_run


def test_a_run_that_injected_everywhere_without_findings_passes_with_100_percent() -> None:
    verdict = Verdict(clean_run())
    assert (verdict.coverage, verdict.failures, verdict.failed) == (100.0, (), False)


def test_findings_empty_scenarios_and_points_left_out_each_fail_a_run_by_themselves() -> None:
    clean, rich = clean_run(), rich_run()
    assert Verdict(replace(clean, findings=rich.findings)).failures == ("2 findings, 0 are let pass",)
    [empty] = Verdict(replace(clean, empty=("stats",))).failures
    assert empty == "nothing was ever injected in stats: it proves nothing"
    [short] = Verdict(replace(clean, points=rich.points)).failures
    assert short.endswith("% of the points were injected, 100 % are asked for")


def test_a_gate_lets_pass_what_it_names_and_no_more() -> None:
    rich = replace(rich_run(), empty=())
    reached = Verdict(rich).coverage
    assert not Verdict(rich, Gate(coverage=reached, findings=2)).failed
    assert Verdict(rich, Gate(coverage=reached + 0.1, findings=2)).failed
    assert Verdict(rich, Gate(coverage=reached, findings=1)).failed


def test_an_argued_point_does_not_count_unless_it_was_injected_after_all() -> None:
    clean = clean_run()
    first = clean.points[0]
    without = replace(clean, points=(replace(first, injected=0, reached=0), *clean.points[1:]))
    assert Verdict(without).coverage == pytest.approx(100 * (len(points()) - 1) / len(points()))
    assert Verdict(replace(without, argued={first.point: "why"})).coverage == 100.0
    assert len(Verdict(replace(clean, argued={first.point: "why"})).reachable) == len(points())


def test_each_state_of_a_point_is_told_apart() -> None:
    rich = rich_run()
    states = {row.point: state_of(row, rich.argued) for row in rich.points}
    assert states["zone.ctor"] == states["queue.put"] == "finding"
    assert states["page.supply"] == states[CRASH] == "injected"
    assert states["keg.init"] == "reached"
    assert states["cpu.membarrier"] == "argued"
    assert states["mac.init"] == "never reached"


def test_no_points_are_no_coverage() -> None:
    assert Verdict(replace(clean_run(), points=())).coverage == 0.0


def test_the_matrix_counts_each_end_once_for_each_point_of_a_trial() -> None:
    rows = {row.point: row for row in rich_run().points}
    ctor = rows["zone.ctor"]
    assert (ctor.reached, ctor.injected, ctor.clean_error, ctor.findings, ctor.success) == (5, 2, 1, 1, 0)
    assert (rows[CRASH].killed, rows[CRASH].error) == (1, "SIGKILL")
    assert (rows["queue.put"].findings, rows["queue.put"].success) == (1, 0)
    twice = outcome("both", 1, "zone.ctor")
    twice = replace(twice, injected=twice.injected * 2)
    [row] = [row for row in coverage([twice], points()) if row.point == "zone.ctor"]
    assert (row.injected, row.clean_error) == (2, 1)


def test_rows_of_two_runs_are_those_of_one_run_over_both() -> None:
    rich, clean = rich_run(), clean_run()
    both = coverage([*rich.outcomes, *clean.outcomes], points())
    assert {row.point: row for row in joined([rich.points, clean.points])} == {row.point: row for row in both}

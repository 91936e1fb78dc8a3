"""The JSON report: which keys it has, what stands in them, and that it says of each finding whether it is new."""

import datetime
import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from lockgraphs import bank, deadlocked, of_pairs
from witness.analysis import analyse
from witness.analysis.baseline import compare, read_baseline
from witness.analysis.suppressions import read_suppressions, sift
from witness.record import Graph
from witness.report.plain import as_plain
from witness.report.verdict import Verdict

BASELINE = Path(__file__).parents[1] / "analysis" / "bank-baseline.json"


def plain(graph: Graph) -> dict[str, Any]:
    """The report of a graph whose findings are all new, as a program reads it."""
    analysis = analyse(graph)
    value: dict[str, Any] = json.loads(json.dumps(as_plain(Verdict(analysis, new=analysis.findings))))
    return value


def test_the_report_has_these_keys_also_when_there_is_nothing() -> None:
    keys = {
        *("version", "program", "off_reason", "processes", "classes", "edges", "reversals", "deadlocks", "sleeps"),
        *("misuses", "knots", "order", "gone", "suppressions", "cycles_left_out"),
    }
    for graph in (bank(), of_pairs({}, 0)):
        assert set(plain(graph)) == keys
    empty = plain(of_pairs({}, 0))
    assert [empty[key] for key in ("classes", "edges", "reversals", "sleeps")] == [[], [], [], []]


def test_a_reversal_names_both_locks_its_cycle_all_stacks_and_the_processes() -> None:
    reversals = plain(bank())["reversals"]
    assert {one["rule"] for one in reversals} == {
        *("lock-order-reversal", "sleepable-after-non-sleepable", "duplicate-lock", "recursion"),
    }
    for one in reversals:
        assert {"first", "second", "cycle", "stacks", "processes"} <= set(one)
        assert all(side["stack"] for side in one["stacks"])
        assert one["processes"] == list(dict.fromkeys(side["pid"] for side in one["stacks"]))
    worst = next(one for one in reversals if one["first"] == "ledger")
    assert (worst["second"], worst["cycle"], worst["processes"]) == ("accounts", ["ledger", "accounts"], [200, 100])
    innermost = [(side["pid"], *side["stack"][0].values()) for side in worst["stacks"]]
    assert innermost == [
        (200, "bank.py", 22, "book_interest"),
        (200, "bank.py", 21, "close_day"),
        (100, "bank.py", 12, "transfer"),
        (100, "bank.py", 11, "open_account"),
    ]


def test_an_edge_has_its_ends_by_name_its_count_and_two_stacks() -> None:
    edge = plain(bank())["edges"][0]
    assert (edge["first"], edge["second"], edge["count"]) == ("accounts", "ledger", 40)
    assert [side["stack"][0]["function"] for side in edge["stacks"]] == ["open_account", "transfer"]


def test_a_sleep_has_its_zone_what_was_held_and_what_was_done() -> None:
    sleeps = {one["zone"]: one for one in plain(bank())["sleeps"]}
    forced = sleeps["frame"]
    assert (forced["what"], forced["action"], [held["name"] for held in forced["held"]]) == (
        *("M_WAITOK", "forced M_NOWAIT"),
        ["accounts"],
    )
    assert forced["stacks"][0]["stack"][0]["function"] == "fetch"
    assert sleeps[None]["what"] == "time.sleep"


def test_a_deadlock_says_who_waits_for_whom() -> None:
    [ring] = plain(deadlocked(bank()))["deadlocks"]
    assert [(wait["class"], wait["waiter"]["pid"], wait["holders"][0]["pid"]) for wait in ring["waits"]] in (
        [("ledger", 100, 200), ("accounts", 200, 100)],
        [("accounts", 200, 100), ("ledger", 100, 200)],
    )


def test_against_the_committed_baseline_nothing_of_the_bank_is_new() -> None:
    analysis = analyse(bank())
    difference = compare(analysis.findings, read_baseline(BASELINE))
    assert (difference.new, difference.gone) == ((), ())
    verdict = Verdict(analysis, new=(), known=difference.known)
    assert not verdict.failed(strict=True)
    value = as_plain(verdict)
    assert {one["state"] for key in ("reversals", "sleeps", "misuses") for one in value[key]} == {"known"}  # type: ignore[attr-defined]


@pytest.mark.parametrize(("strict", "fails"), [(False, False), (True, True)])
def test_what_is_new_against_the_committed_baseline_fails_unless_it_is_unlikely(strict: bool, fails: bool) -> None:
    known = read_baseline(BASELINE)
    unlikely = next(one for one in analyse(bank()).findings if one.level == "unlikely")
    for finding in analyse(bank()).findings:
        without = replace(known, findings=tuple(entry for entry in known.findings if entry.key != finding.key))
        analysis = analyse(bank())
        [new] = compare(analysis.findings, without).new
        assert new.key == finding.key
        assert Verdict(analysis, new=(new,)).failed(strict=strict) == (fails or finding.key != unlikely.key)


def test_what_is_suppressed_says_so_and_rules_that_do_nothing_are_listed(tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    path.write_text(
        '[[suppress]]\nreason = "one thread"\nrule = "lock-order-*"\n'
        '[[suppress]]\nreason = "until the repair"\nrule = "recursion"\nexpires = 2020-02-29\n'
        '[[suppress]]\nreason = "long gone"\nclasses = ["nobody"]\n'
    )
    analysis = analyse(bank())
    sifted = sift(analysis.findings, analysis.order, read_suppressions(path), today=datetime.date(2020, 3, 1))
    value: dict[str, Any] = as_plain(
        Verdict(analysis, sifted.kept, suppressed=sifted.suppressed, expired=sifted.expired, unused=sifted.unused)
    )
    states = {one["rule"]: one["state"] for one in value["reversals"]}
    assert (states["lock-order-reversal"], states["recursion"]) == ("suppressed", "new")
    assert value["suppressions"] == {
        "expired": [{"line": 4, "reason": "until the repair"}],
        "unused": [{"line": 8, "reason": "long gone"}],
    }

"""Comparison finds what got worse, in the right direction, and only where it may be compared."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import typer
from typer.testing import CliRunner

from workloads.bench.compare import compare, compare_reports, cost_ratio
from workloads.bench.records import FORMAT, BenchReport, Machine, Sample, is_ours, save
from workloads.bench.targets import Target, judge

MACHINE = Machine(cpu="a cpu", cores=2, kernel="Linux 6.1", python="CPython 3.11.7", compiler="cc 12")
OTHER = Machine(cpu="another cpu", cores=8, kernel="Linux 6.1", python="CPython 3.11.7", compiler="cc 12")
TARGET = Target("c.pair", "shmalloc", "peer", "ratio_at_most", 1.0)


def report(ours: float, peer: float, *, scaling: float = 1.95, machine: Machine = MACHINE) -> BenchReport:
    samples = (
        Sample(case="c.pair", subject="shmalloc", unit="ns", best=ours, median=ours, runs=3),
        Sample(case="c.pair", subject="peer", unit="ns", best=peer, median=peer, runs=3),
        Sample(case="c.scaling", subject="shmalloc", unit="x", best=scaling, median=scaling, runs=3),
    )
    return BenchReport(
        format=FORMAT,
        created="",
        quick=True,
        repeat=3,
        machine=machine,
        samples=samples,
        skips=(),
        verdicts=judge(samples, (), (TARGET,)),
    )


def names(a: BenchReport, b: BenchReport) -> set[tuple[str, str]]:
    return {(row.case, row.subject) for row in compare_reports(a, b, threshold=1.2).regressions}


def test_equal_reports_have_no_regression() -> None:
    result = compare_reports(report(5, 5), report(5, 5))
    assert result.regressions == ()
    assert {row.change for row in (*result.figures, *result.targets)} == {"same"}


def test_slower_ours_is_found_as_figure_and_as_ratio() -> None:
    assert names(report(5, 5), report(6.1, 5)) == {
        ("c.pair", "shmalloc"),
        ("c.pair", "shmalloc: at most 1x peer"),
    }


def test_within_the_threshold_is_no_regression() -> None:
    assert names(report(5, 5), report(5.9, 5)) == set()


def test_slower_peer_is_no_regression() -> None:
    assert names(report(5, 5), report(5, 50)) == set()


def test_lower_scaling_is_worse_although_the_number_is_smaller() -> None:
    assert names(report(5, 5, scaling=1.95), report(5, 5, scaling=1.2)) == {("c.scaling", "shmalloc")}
    assert names(report(5, 5, scaling=1.2), report(5, 5, scaling=1.95)) == set()


def test_on_another_machine_only_ratios_count() -> None:
    twice_as_slow = report(10, 10, machine=OTHER)
    assert names(report(5, 5), twice_as_slow) == set()
    assert names(report(5, 5), report(20, 10, machine=OTHER)) == {("c.pair", "shmalloc: at most 1x peer")}


def test_plain_figures_of_two_processes_do_not_count_but_their_ratios_do() -> None:
    def crossing(*, ours: float, peer: float) -> BenchReport:
        samples = tuple(
            Sample(case="c.cross", subject=subject, unit="ns", best=best, median=best, runs=1, turns=(best,))
            for subject, best in (("shmalloc", ours), ("peer", peer))
        )
        target = Target("c.cross", "shmalloc", "peer", "ratio_at_most", 1.5)
        return msgspec.structs.replace(report(5, 5), samples=samples, verdicts=judge(samples, (), (target,)))

    assert names(crossing(ours=10, peer=5), crossing(ours=40, peer=20)) == set()
    assert names(crossing(ours=10, peer=5), crossing(ours=40, peer=5)) == {("c.cross", "shmalloc: at most 1.5x peer")}


def test_subjects_of_one_report_only_are_named_as_such() -> None:
    a, b = report(5, 5), report(5, 5)
    b = msgspec.structs.replace(b, samples=b.samples[:2], verdicts=())
    result = compare_reports(a, b)
    assert [(row.case, row.change, row.ratio) for row in result.figures if row.ratio is None] == [
        ("c.scaling", "only in A", None)
    ]
    assert [row.change for row in result.targets] == ["only in A"]
    assert [row.change for row in compare_reports(b, a).targets] == ["only in B"]


def test_cost_of_nothing_does_not_divide() -> None:
    assert cost_ratio(0.0, 0.0, more_is_better=False) == 1.0
    assert cost_ratio(0.0, 1.0, more_is_better=False) == float("inf")
    assert cost_ratio(2.0, 1.0, more_is_better=True) == 2.0


def test_threshold_must_leave_room_for_noise() -> None:
    with pytest.raises(ValueError, match="above 1"):
        compare_reports(report(5, 5), report(5, 5), threshold=1.0)


def test_ours_are_told_from_peers() -> None:
    assert all(map(is_ours, ("shmalloc", "shmalloc, queue", "zone.alloc() dropped", "Item")))
    assert not any(map(is_ours, ("glibc malloc", "kickmsg", "bytearray(2048)")))


def run(*arguments: str) -> tuple[int, str]:
    app = typer.Typer()
    app.command()(compare)
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.output


def test_command_exits_1_on_a_regression_0_without_and_2_on_a_bad_file(tmp_path: Path) -> None:
    a, b, bad = tmp_path / "a.json", tmp_path / "b.json", tmp_path / "bad.json"
    save(report(5, 5), a)
    save(report(9, 5), b)
    bad.write_text("{}")
    assert run(str(a), str(a))[0] == 0
    code, text = run(str(a), str(b))
    assert code == 1
    assert "worse" in text
    code, text = run(str(b), str(bad))
    assert code == 2
    assert "bad.json" in text.replace("\n", "")


def test_command_prints_the_comparison_as_json(tmp_path: Path) -> None:
    a, b = tmp_path / "a.json", tmp_path / "b.json"
    save(report(5, 5), a)
    save(report(9, 5), b)
    app = typer.Typer()
    app.command()(compare)
    result = CliRunner().invoke(app, [str(a), str(b), "--json"])
    told = msgspec.json.decode(result.stdout)
    assert told["same_machine"] is True
    assert [row["regression"] for row in told["targets"]] == [True]

"""Two processes that reverse an order: what witness makes of it, and what happens when one of them fails."""

import os
from pathlib import Path

import pytest

from witness.analysis import analyse
from witness.analysis.baseline import compare, read_baseline, write_baseline
from workloads import reversal
from workloads.bank import PROGRAMS
from workloads.cli.acts.locks import planted


def test_the_second_of_two_processes_reverses_the_order_of_the_first() -> None:
    seen = reversal.reverse_between_processes()
    assert planted(seen)
    assert seen.findings[0].intended
    [found] = seen.graph.reversals
    assert found.established is not None
    sides = (found.established[1], found.attempted[1])
    assert [side.stack[0].function for side in sides] == list(PROGRAMS)
    assert len({side.pid for side in sides}) == 2
    assert list(Path("/dev/shm").glob(f"*workloads-bank-{os.getpid()}-*")) == []


def test_another_run_has_other_processes_and_finds_nothing_new(tmp_path: Path) -> None:
    before, after = (analyse(reversal.reverse_between_processes().graph) for _ in range(2))
    assert not set(before.findings[0].processes) & set(after.findings[0].processes)
    write_baseline(tmp_path / "baseline.json", before.findings)
    difference = compare(after.findings, read_baseline(tmp_path / "baseline.json"))
    assert (len(difference.new), len(difference.known), len(difference.gone)) == (0, 1, 0)


def test_a_record_without_the_reversal_is_not_what_was_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reversal, "PROGRAMS", ("transfer", "transfer"))
    seen = reversal.reverse_between_processes()
    assert (planted(seen), seen.orders > 0, seen.reversals) == (False, True, 0)


def test_a_program_that_fails_is_named_with_what_it_wrote(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reversal, "PROGRAMS", ("transfer", "embezzle"))
    with pytest.raises(reversal.NotFinished, match=r"embezzle ended with status 1: (.|\n)*KeyError: 'embezzle'"):
        reversal.reverse_between_processes()

"""Two processes that reverse an order: what witness makes of it, and what happens when one of them fails."""

from pathlib import Path

import pytest

from workloads import reversal
from workloads.bank import PROGRAMS
from workloads.cli.acts.locks import planted


def test_the_second_of_two_processes_reverses_the_order_of_the_first() -> None:
    seen = reversal.reverse_between_processes()
    assert planted(seen)
    [found] = seen.graph.reversals
    assert found.established is not None
    sides = (found.established[1], found.attempted[1])
    assert [side.stack[0].function for side in sides] == list(PROGRAMS)
    assert len({side.pid for side in sides}) == 2
    assert list(Path("/dev/shm").glob("*workloads-bank-*")) == []


def test_a_record_without_the_reversal_is_not_what_was_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reversal, "PROGRAMS", ("transfer", "transfer"))
    seen = reversal.reverse_between_processes()
    assert (planted(seen), seen.orders > 0, seen.reversals) == (False, True, 0)


def test_a_program_that_fails_is_named_with_what_it_wrote(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reversal, "PROGRAMS", ("transfer", "embezzle"))
    with pytest.raises(reversal.NotFinished, match=r"embezzle ended with status 1: (.|\n)*KeyError: 'embezzle'"):
        reversal.reverse_between_processes()

"""Loops over locks, bare and under `witness run`: each wanted case has a figure of both."""

import pytest

from workloads.bench.lock_loops import LOOPS, best_ns
from workloads.bench.round import Tableau
from workloads.bench.targets import BARE_LOCK, WATCHED_LOCK
from workloads.bench.watched import measure_watched


def test_a_loop_has_a_figure_bare_and_watched() -> None:
    tableau = Tableau()
    measure_watched(tableau, only="witness.lock_nested", repeat=1, seconds=0.01, progress=lambda _: None)
    assert tableau.skips() == ()
    assert {(s.case, s.subject) for s in tableau.samples()} == {
        ("witness.lock_nested", BARE_LOCK),
        ("witness.lock_nested", WATCHED_LOCK),
    }
    assert all(sample.best > 0 for sample in tableau.samples())


@pytest.mark.parametrize("name", LOOPS)
def test_a_loop_takes_the_turns_that_it_is_asked_for(name: str) -> None:
    turns: list[int] = []

    def counted(number: int) -> None:
        turns.append(number)
        LOOPS[name](number)

    assert best_ns(counted, 0.001) > 0
    assert turns[-1] == turns[-2] >= 128

"""A sleep that timed out is told apart: lost wake-up, no progress, or overtaken by others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

import shmalloc
from workloads.stress.limits import Limits

from .conftest import Pair


@dataclass(frozen=True)
class Figures:
    """What the watchdog looks at."""

    used: int
    frees: int
    waiters: int = 0


class StuckZone:
    """A zone whose sleepers never wake."""

    max = 4

    def __init__(self, full: shmalloc.Zone, *figures: Figures) -> None:
        self._full = full
        self._figures = list(figures)

    def alloc(self, flags: int, *, timeout: float) -> shmalloc.Item:
        """Time out at once, as a zone at its limit does."""
        return self._full.alloc(shmalloc.M_NOWAIT)

    def statistics(self) -> Figures:
        """The next figures."""
        return self._figures.pop(0)


FULL = Figures(used=4, frees=10)


@pytest.mark.parametrize(
    ("after", "kinds"),
    [
        (replace(FULL, used=3), ["lost-wakeup"]),
        (FULL, ["no-progress"]),
        (replace(FULL, frees=11), []),
    ],
)
def test_a_sleep_without_end_is_judged_by_what_moved(pair: Pair, after: Figures, kinds: list[str]) -> None:
    (limits, worker), _ = pair(Limits)
    zone = worker.arena.zone("limits")
    held = zone.alloc_many(zone.max)
    stuck: Any = StuckZone(zone, FULL, after)
    limits._zone = stuck  # type: ignore[attr-defined]
    assert limits._sleep_for_one(worker) is None  # type: ignore[attr-defined]
    assert [violation.kind for violation in worker.tally(0.0).violations] == kinds
    assert worker.counts["overtaken"] == (not kinds)
    zone.free_many(held)


def test_a_sleeper_left_behind_is_a_lost_wakeup(pair: Pair) -> None:
    (limits, worker), _ = pair(Limits)
    stuck: Any = StuckZone(worker.arena.zone("limits"), replace(FULL, waiters=1))
    limits._zone = stuck  # type: ignore[attr-defined]
    limits.drain(worker)
    assert [violation.kind for violation in worker.tally(0.0).violations] == ["lost-wakeup"]

"""Every workload in small, as scenarios of fault injection: one process, a few rounds of work, no clock.

Found through the entry point group "faultinj.scenarios". A failed allocation, a full queue, a lock that is not to be
had is an answer, which a workload counts, and it goes on; what it calls a violation then is one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import permutations

import faultinj
from faultinj.sweep import Context, Steps
from faultinj.sweep.context import ChildKilled
from shmalloc import Arena
from workloads.context import Worker
from workloads.intended import Intended, IntendedSleep
from workloads.records import Settings
from workloads.registry import WORKLOADS
from workloads.stress.base import Workload

__all__ = ["FEW", "Rounds", "Violated"]

FEW = 5
"""What a workload does so many times and more in a round, it does so many times in small."""


class Violated(Exception):
    """A workload in small found what must not happen."""


class Rounds(Worker):
    """A worker that runs for a number of rounds, whatever the time is, alone in its process."""

    small = True

    def __init__(self, settings: Settings, arena: Arena, rounds: int) -> None:
        super().__init__(settings=settings, rank=0, arena=arena)
        self._rounds = rounds
        self._begun = 0

    def running(self) -> bool:
        """True so many times."""
        self._begun += 1
        return self._begun <= self._rounds

    def seconds_left(self) -> float:
        """Rounds are all equally long."""
        return self.settings.seconds * (1 - (self._begun - 1) / self._rounds)

    def few(self, most: int) -> int:
        """A handful."""
        return min(most, FEW)

    def patience(self, seconds: float) -> float:
        """Long enough to sleep: nobody else is there for whom it would be worth to wait longer."""
        return min(seconds, 0.001)

    def place_in(self, sizes: Sequence[int]) -> int:
        """Where a handful of frames has small ones and the largest."""
        return max(0, sizes.index(max(sizes)) - FEW // 2)

    def killed(self, pid: int) -> None:
        """Its fault has killed it, as it should be."""
        raise ChildKilled(f"the process {pid} of the workload was killed")

    def judge(self) -> None:
        """Raises: Violated."""
        if self.findings:
            raise Violated("; ".join(f"{found.kind}: {found.detail}" for found in self.findings))


def _told(meant: Intended) -> Iterator[str]:
    """What the oracle of witness says of it, as globs."""
    if isinstance(meant, IntendedSleep):
        yield f"sleep with a lock held: * of zone {meant.zone!r} with {meant.lock!r} held, *"
    else:
        for locks in permutations(meant.locks, 2):
            yield "lock order reversal: {} and {}".format(*locks)


def _settings(kind: type[Workload], ctx: Context) -> Settings:
    return Settings(workload=kind.name, cpus=1, seconds=1.0, seed=ctx.seed)


def _ended(workload: Workload, worker: Rounds) -> None:
    workload.drain(worker)
    worker.judge()


def _body(kind: type[Workload]) -> None:
    name = f"workload.{kind.name}"

    @faultinj.scenario(
        name,
        group="workload",
        settle=lambda ctx: kind().sweep(ctx.arena, _settings(kind, ctx)),
        limit_s=60.0,
        meant=[told for one in kind.intended for told in _told(one)],
        text=f"in small: {kind.summary}",
    )
    def small(ctx: Context) -> Steps:
        ctx.shape(trace=kind.trace)
        settings = _settings(kind, ctx)
        kind().prepare(ctx.arena, settings)
        ctx.uncount(*ctx.arena.zone_names(), kind.name)  # workloads count their own
        workload = kind()
        worker = Rounds(settings, ctx.arena, kind.rounds_in_small)
        workload.open(worker)
        ctx.later(lambda: _ended(workload, worker))
        yield
        workload.run(worker)
        yield


for _kind in WORKLOADS.values():
    _body(_kind)

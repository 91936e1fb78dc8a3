"""Every workload in small, as scenarios of fault injection: one process, one round of work, no clock.

Found through the entry point group "faultinj.scenarios". What a workload does with a failed allocation is its own to
say; what it cannot do anything about it raises, and then it must have left nothing behind.
"""

from __future__ import annotations

import faultinj
from faultinj.sweep import Context, Steps
from workloads.context import Worker
from workloads.records import Settings
from workloads.registry import WORKLOADS
from workloads.stress.base import Workload

__all__ = ["IN_SMALL", "Rounds"]

IN_SMALL = ("churn", "crossfree", "limits", "packets", "sockets")
"""Those that one process can run, and that take a failure for what it is. The others are about processes that are
killed or forked, replay a capture, or call a full queue a violation, as refcnt does."""


class Rounds(Worker):
    """A worker that runs for a number of rounds, whatever the time is."""

    rounds = 1

    def running(self) -> bool:
        """True so many times."""
        self.rounds -= 1
        return self.rounds >= 0


def _settings(kind: type[Workload], ctx: Context) -> Settings:
    return Settings(workload=kind.name, cpus=1, seconds=1.0, seed=ctx.seed)


def _body(kind: type[Workload]) -> None:
    name = f"workload.{kind.name}"

    @faultinj.scenario(
        name,
        group="workload",
        kinds=("transient", "kill"),
        errors=("SM_LIMIT", "SM_TIMEOUT", "SM_EMPTY", "SM_FULL"),
        settle=lambda ctx: kind().sweep(ctx.arena, _settings(kind, ctx)),
        limit_s=60.0,
        text=f"in small: {kind.summary}",
    )
    def small(ctx: Context) -> Steps:
        settings = _settings(kind, ctx)
        workload = kind()
        workload.prepare(ctx.arena, settings)
        ctx.uncount(*ctx.arena.zone_names(), kind.name)  # workloads count their own
        worker = Rounds(settings=settings, rank=0, arena=ctx.arena)
        workload.open(worker)
        ctx.later(lambda: workload.drain(worker))
        yield
        workload.run(worker)
        yield
        assert not worker.findings


for _name in IN_SMALL:
    _body(WORKLOADS[_name])

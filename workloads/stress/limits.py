"""limits: everybody sleeps on one small zone. Nobody may sleep while there is something to have.

A worker that sleeps wakes when an item is freed or the limit is raised; one that times out although items were free,
or although nothing moved at all, lost a wake-up. Before sleeping a worker holds nothing, so there is no deadlock.
"""

from __future__ import annotations

import os
import time
from typing import Final

import shmalloc
from shmalloc import M_NOWAIT, M_WAITOK
from workloads.context import FORCED, Worker
from workloads.cookie import COOKIE_BYTES
from workloads.records import Settings
from workloads.stress.base import Workload

ITEM_BYTES: Final = 2048
LIMIT: Final = 4
WATCHDOG_S: Final = 5.0


class Limits(Workload):
    """One operation is one item obtained at the limit, sealed, verified and freed."""

    name = "limits"
    summary = "everybody sleeps on one small zone; a watchdog looks for lost wake-ups"

    def __init__(self) -> None:
        self._zone: shmalloc.Zone
        self._raised = False

    def prepare(self, arena: shmalloc.Arena, settings: Settings) -> None:
        arena.zone("limits", size=ITEM_BYTES, max_items=LIMIT)

    def open(self, worker: Worker) -> None:
        self._zone = worker.leak_from = worker.arena.zone("limits")

    def run(self, worker: Worker) -> None:
        zone = self._zone
        rng = worker.rng
        half_ns = worker.deadline_ns - int(worker.settings.seconds * 0.5e9)
        while worker.running():
            first = self._sleep_for_one(worker)
            if first is None:
                continue
            held = [first]
            # Take the rest as well, often: whoever comes now has to sleep.
            wanted = 1 + int(rng.random() * zone.max)
            while len(held) < wanted:
                more = worker.alloc(zone, M_NOWAIT)
                if more is None:
                    break
                held.append(more)
            for item in held:
                worker.seal(item, worker.payload(ITEM_BYTES - COOKIE_BYTES))
            os.sched_yield()
            for item in held:
                worker.verify(item, "free")
                item.free()
            worker.ops += len(held)
            os.sched_yield()
            if worker.rank == 0 and not self._raised and time.perf_counter_ns() > half_ns:
                # Raising a limit wakes all sleepers.
                self._raised = True
                with worker.answered():
                    worker.counts["limit raised to"] = zone.set_max(zone.max + LIMIT)

    def drain(self, worker: Worker) -> None:
        # Between two rounds a worker holds nothing, and nothing is handed over.
        if self._zone.statistics().waiters:
            worker.violation("lost-wakeup", "somebody still sleeps at the limit although every worker has stopped")

    def _sleep_for_one(self, worker: Worker) -> shmalloc.Item | None:
        zone = self._zone
        before = zone.statistics()
        begin = time.perf_counter_ns()
        forced = worker.counts[FORCED]
        item = worker.alloc(zone, M_WAITOK, worker.patience(WATCHDOG_S))
        slept_ns = time.perf_counter_ns() - begin
        if item is not None:
            worker.sample("sleep at the limit", slept_ns)
            return item
        if worker.counts[FORCED] > forced:
            return None
        after = zone.statistics()
        moved = after.frees - before.frees
        if after.used < zone.max:
            worker.violation("lost-wakeup", f"asleep for {WATCHDOG_S} s with {after.used} of {zone.max} items used")
        elif moved == 0:
            worker.violation("no-progress", f"no item was freed in {WATCHDOG_S} s; {after.used} are used")
        else:
            worker.counts["overtaken"] += 1
        return None

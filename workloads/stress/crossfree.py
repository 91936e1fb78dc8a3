"""crossfree: allocate here, free there. Every item is freed by the next process in a ring, never by its own.

The buckets of the two ends drift apart as far as they can: one only empties them, the other only fills them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import shmalloc
from workloads.context import OrderKeeper, Worker, make_inboxes, open_inboxes
from workloads.cookie import COOKIE_BYTES
from workloads.records import Settings
from workloads.stress.base import Workload

ITEM_BYTES: Final = 1024
BATCH: Final = 32
DEPTH: Final = 256


class CrossFree(Workload):
    """One operation is one item sealed here, verified and freed in the next process."""

    name = "crossfree"
    summary = "allocate in one process, verify and free in the next"

    def __init__(self) -> None:
        self._zone: shmalloc.Zone
        self._inboxes: Sequence[shmalloc.Queue] = ()
        self._unsent: list[shmalloc.Item] = []
        self._order: OrderKeeper

    def prepare(self, arena: shmalloc.Arena, settings: Settings) -> None:
        arena.zone("crossfree", size=ITEM_BYTES)
        make_inboxes(arena, settings.cpus, DEPTH)

    def open(self, worker: Worker) -> None:
        self._zone = worker.leak_from = worker.arena.zone("crossfree")
        self._inboxes = open_inboxes(worker.arena, worker.cpus)
        self._order = OrderKeeper(worker)

    def run(self, worker: Worker) -> None:
        onward = self._inboxes[(worker.rank + 1) % worker.cpus]
        rng = worker.rng
        while worker.running():
            if not self._unsent:
                self._unsent = worker.alloc_many(self._zone, BATCH)
                for item in self._unsent:
                    worker.seal(item, worker.payload(int(rng.random() * (ITEM_BYTES - COOKIE_BYTES))))
            before = len(self._unsent)
            self._unsent = worker.send(onward, self._unsent)
            stuck = len(self._unsent) == before > 0
            # A full queue ahead of us: the next process is behind, so waiting for our own inbox costs nothing.
            self._consume(worker, 0.005 if stuck else 0.0)

    def drain(self, worker: Worker) -> None:
        for item in self._unsent:
            worker.verify(item, "unsent")
            item.free()
        self._unsent = []
        while self._consume(worker, 0.0):
            continue

    def _consume(self, worker: Worker, timeout: float) -> bool:
        items = worker.receive(self._inboxes[worker.rank], BATCH * 2, timeout)
        for item in items:
            found = worker.verify(item, "receipt")
            if found is not None:
                self._order.saw(found)
                if worker.cpus > 1 and found.owner == worker.owner:
                    worker.violation("not-remote", f"item {found.sequence} came back to the process that allocated it")
        if items:
            worker.ops += len(items)
            self._zone.free_many(items)
        return bool(items)

"""larson: the server benchmark of Larson and Krishnan. Workers replace random slots of a set, then hand slots over.

What one worker allocated for a request is freed by another that served it later: lifetimes cross processes at random.
Source: P. Larson, M. Krishnan, Memory Allocation for Long-Running Server Applications, ISMM 1998.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import shmalloc
from shmalloc import M_NOWAIT
from workloads.context import Worker, make_inboxes, open_inboxes
from workloads.cookie import COOKIE_BYTES
from workloads.records import Settings
from workloads.stress.base import Workload

SIZES: Final = (64, 256, 1024, 2048)
SLOTS: Final = 128
ROUNDS: Final = 256
HANDED: Final = 64
DEPTH: Final = 512


class Larson(Workload):
    """One operation is one slot replaced: an item verified and freed, another allocated and sealed."""

    name = "larson"
    summary = "replace random slots, then hand a random set of them to another process"
    rounds_in_small = 2

    def __init__(self) -> None:
        self._zones: list[shmalloc.Zone] = []
        self._inboxes: Sequence[shmalloc.Queue] = ()
        self._slots: list[shmalloc.Item] = []

    def prepare(self, arena: shmalloc.Arena, settings: Settings) -> None:
        for size in SIZES:
            arena.zone(f"larson.{size}", size=size)
        make_inboxes(arena, settings.cpus, DEPTH)

    def open(self, worker: Worker) -> None:
        self._zones = [worker.arena.zone(f"larson.{size}") for size in SIZES]
        worker.leak_from = self._zones[0]
        self._inboxes = open_inboxes(worker.arena, worker.cpus)

    def run(self, worker: Worker) -> None:
        rng = worker.rng
        slots = self._slots
        while worker.running():
            for _ in range(worker.few(SLOTS) - len(slots)):
                self._fill(worker)
            for _ in range(worker.few(ROUNDS)):
                if slots:
                    self._replace(worker, int(rng.random() * len(slots)))
            if slots:
                self._hand_over(worker)
            self._take_over(worker)

    def drain(self, worker: Worker) -> None:
        while items := worker.receive(self._inboxes[worker.rank], DEPTH):
            self._slots.extend(items)
        for item in self._slots:
            worker.verify(item, "drain")
            item.free()
        self._slots.clear()

    def _fresh(self, worker: Worker) -> shmalloc.Item | None:
        draw = worker.rng.random()
        zone = self._zones[int(draw * len(SIZES))]
        item = worker.alloc(zone, M_NOWAIT)
        if item is not None:
            worker.seal(item, worker.payload(int(draw * (zone.item_size - COOKIE_BYTES))))
        return item

    def _fill(self, worker: Worker) -> None:
        item = self._fresh(worker)
        if item is not None:
            self._slots.append(item)

    def _replace(self, worker: Worker, index: int) -> None:
        """Free the item of a slot, and give the slot another; where there is none, the slot is filled later."""
        slots = self._slots
        slots[index], slots[-1] = slots[-1], slots[index]
        item = slots.pop()
        worker.verify(item, "replace")
        item.free()
        worker.ops += 1
        self._fill(worker)

    def _hand_over(self, worker: Worker) -> None:
        rng = worker.rng
        slots = self._slots
        heir = worker.rank
        if worker.cpus > 1:
            heir = (worker.rank + 1 + int(rng.random() * (worker.cpus - 1))) % worker.cpus
        rng.shuffle(slots)
        handed = 1 + int(rng.random() * worker.few(HANDED))
        leaving = slots[-handed:]
        del slots[-handed:]
        # What finds the queue full stays here.
        slots.extend(worker.send(self._inboxes[heir], leaving))

    def _take_over(self, worker: Worker) -> None:
        # What arrives takes a slot; when the set is full it replaces a random one.
        for item in worker.receive(self._inboxes[worker.rank], HANDED * 2):
            worker.verify(item, "receipt", freeing=False)
            if len(self._slots) < worker.few(SLOTS):
                self._slots.append(item)
            else:
                index = int(worker.rng.random() * len(self._slots))
                worker.verify(self._slots[index], "replace")
                self._slots[index].free()
                self._slots[index] = item

"""churn: random sizes, random lifetimes, M_NOWAIT mixed with M_WAITOK, zones mixed with malloc.

Every worker keeps a working set and replaces random members of it. One zone is limited below what the workers want
together, so that allocations fail and sleep; buckets are reclaimed now and then under everybody's feet.
"""

from __future__ import annotations

from typing import Final

import shmalloc
from shmalloc import M_NOWAIT, M_WAITOK, M_ZERO
from workloads.context import Worker
from workloads.cookie import COOKIE_BYTES
from workloads.records import Settings
from workloads.stress.base import Workload

SIZES: Final = (64, 200, 512, 1500, 4000, 9000)
LIMITED: Final = 1500
LIVE: Final = 128
STEPS: Final = 64
MALLOC_MOST: Final = 20_000
_SLEEP_S: Final = 0.002


class Churn(Workload):
    """One operation is one item allocated, sealed, verified and freed."""

    name = "churn"
    summary = "random sizes and lifetimes, M_NOWAIT and M_WAITOK mixed, zones and malloc"

    def __init__(self) -> None:
        self._zones: list[shmalloc.Zone] = []
        self._live: list[shmalloc.Item] = []

    def prepare(self, arena: shmalloc.Arena, settings: Settings) -> None:
        for size in SIZES:
            # About a sixth of every working set asks for the limited zone: room for two thirds of that.
            limit = max(8, settings.cpus * LIVE // 9) if size == LIMITED else None
            arena.zone(f"churn.{size}", size=size, max_items=limit)

    def open(self, worker: Worker) -> None:
        self._zones = [worker.arena.zone(f"churn.{size}") for size in SIZES]
        worker.leak_from = self._zones[0]

    def run(self, worker: Worker) -> None:
        rng = worker.rng
        live = self._live
        while worker.running():
            for _ in range(STEPS):
                if len(live) < LIVE and rng.random() < 0.55:
                    self._grow(worker)
                elif live:
                    self._shrink(worker, int(rng.random() * len(live)))
            if rng.random() < 0.002:
                self._reclaim(worker)

    def drain(self, worker: Worker) -> None:
        while self._live:
            self._shrink(worker, len(self._live) - 1)

    def _grow(self, worker: Worker) -> None:
        rng = worker.rng
        draw = rng.random()
        if draw < 0.15:
            self._malloc(worker)
            return
        zone = self._zones[int(rng.random() * len(self._zones))]
        if draw < 0.20:
            self._grow_bulk(worker, zone)
            return
        item = worker.alloc(zone, M_NOWAIT if draw < 0.6 else M_WAITOK, _SLEEP_S)
        if item is None:
            # Everybody may be waiting for everybody's working set: the one that could not get gives.
            if self._live:
                self._shrink(worker, int(rng.random() * len(self._live)))
            return
        worker.seal(item, worker.payload(int(rng.random() * (zone.item_size - COOKIE_BYTES))))
        self._live.append(item)

    def _grow_bulk(self, worker: Worker, zone: shmalloc.Zone) -> None:
        count = 1 + int(worker.rng.random() * 16)
        items = worker.alloc_many(zone, count)
        if not items:
            return
        if len(items) != count:
            worker.violation("bulk", f"{len(items)} items where {count} were asked for")
        for item in items:
            worker.seal(item, worker.payload(zone.item_size - COOKIE_BYTES))
        good = [item for item in items if worker.verify(item, "bulk free") is not None]
        worker.ops += len(good)
        zone.free_many(items)

    def _malloc(self, worker: Worker) -> None:
        rng = worker.rng
        size = COOKIE_BYTES + int(MALLOC_MOST ** rng.random())
        zeroed = rng.random() < 0.25
        try:
            item = worker.arena.malloc(size, type="churn", flags=M_NOWAIT | M_ZERO if zeroed else M_NOWAIT)
        except shmalloc.ShmallocError as error:
            worker.refused(error)
            return
        if zeroed and item.read(size).strip(b"\0"):
            worker.violation("not-zero", f"M_ZERO left other bytes in a malloc of {size}")
        worker.seal(item, worker.payload(size - COOKIE_BYTES))
        worker.counts["malloc"] += 1
        self._live.append(item)

    def _shrink(self, worker: Worker, index: int) -> None:
        live = self._live
        live[index], live[-1] = live[-1], live[index]
        item = live.pop()
        worker.verify(item, "free")
        worker.ops += 1
        # Half of them are freed by being dropped.
        if worker.ops & 1:
            item.free()

    def _reclaim(self, worker: Worker) -> None:
        levels = (shmalloc.RECLAIM_TRIM, shmalloc.RECLAIM_DRAIN, shmalloc.RECLAIM_DRAIN_CPU)
        level = levels[int(worker.rng.random() * 3)]
        with worker.answered():
            worker.counts["pages reclaimed"] += worker.arena.reclaim(level)
        worker.counts["reclaims"] += 1

"""refcnt: items with two owners. Both drop their reference at the same time; exactly one of them is the last.

A sender keeps a reference to an item that it hands over. The receiver drops its own: if it was the last, it frees the
item, otherwise it sends the item back, and then the sender's drop must be the last. Two lasts free an item twice, no
last leaks it: both are seen. After the 2007 defect in mbuf reference counting (last reference decided by an old value).

An item is known by its place in the arena, which is one item's as long as there is a reference: its bytes may be
damaged. Nobody frees an item before every reference is dropped: a counter that is used after that is another item's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

import shmalloc
from shmalloc import M_NOWAIT
from workloads.context import FORCED, Worker, make_inboxes, open_inboxes
from workloads.cookie import COOKIE_BYTES
from workloads.records import Settings
from workloads.stress.base import Workload

ITEM_BYTES: Final = 512
SHARED_EACH: Final = 64
KEPT: Final = 24
BATCH: Final = 16


class RefCnt(Workload):
    """One operation is one item whose last reference was dropped."""

    name = "refcnt"
    summary = "two processes drop the references of one item at the same time"

    def __init__(self) -> None:
        self._zone: shmalloc.Zone
        self._inboxes: Sequence[shmalloc.Queue] = ()
        # (place, counter) of items that are shared with somebody, oldest first.
        self._kept: deque[tuple[int, shmalloc.RefCount]] = deque()
        # Items whose last reference we dropped while the other side has them: they must come back.
        self._awaited: set[int] = set()
        # Items that came back before we dropped: our drop must be the last.
        self._returned: dict[int, shmalloc.Item] = {}
        # Damaged items of others: they do not say any more whose they are. Their owners drop before anybody drains.
        self._damaged: list[shmalloc.Item] = []
        # (rank, item) of what is to go back, and found no place in the queue.
        self._unsent: list[tuple[int, shmalloc.Item]] = []

    def prepare(self, arena: shmalloc.Arena, settings: Settings) -> None:
        most = SHARED_EACH * settings.cpus
        zone = arena.zone("refcnt", size=ITEM_BYTES, refcnt=True, max_items=most)
        # An inbox holds every item there is, so that nobody ever waits to hand one over.
        make_inboxes(arena, settings.cpus, zone.max + 1)

    def open(self, worker: Worker) -> None:
        self._zone = worker.leak_from = worker.arena.zone("refcnt")
        self._inboxes = open_inboxes(worker.arena, worker.cpus)

    def run(self, worker: Worker) -> None:
        while worker.running():
            for _ in range(BATCH):
                self._share(worker)
            self._flush(worker)
            self._receive(worker, 0.0 if self._kept else 0.005)
            while len(self._kept) > KEPT:
                self._drop_oldest(worker)
        while self._kept:
            self._drop_oldest(worker)
        self._flush(worker)

    def drain(self, worker: Worker) -> None:
        while self._receive(worker, 0.0):
            continue
        while self._kept:
            self._drop_oldest(worker)
        for place in self._awaited:
            worker.violation("never-returned", f"{_at(place)}: our reference was the last, and it never came back")
        for place, item in self._returned.items():
            worker.violation("no-last", f"{_at(place)} came back, and neither reference was the last")
            item.free()
        for item in self._damaged:
            self._drop_damaged(worker, item)
        for rank, item in self._unsent:
            worker.violation("queue-full", f"{_at(item.address_offset)} could not go back to worker {rank}")
            item.free()
        self._awaited.clear()
        self._returned.clear()
        self._damaged.clear()
        self._unsent.clear()

    def _share(self, worker: Worker) -> None:
        item = worker.alloc(self._zone, M_NOWAIT)
        if item is None:
            if self._kept:
                self._drop_oldest(worker)
            return
        count = self._zone.find_refcnt(item)
        if count.add(1) != 2:
            worker.violation("refcount", f"a new item and one more reference count {count.value}, not 2")
        worker.seal(item, worker.payload(int(worker.rng.random() * (ITEM_BYTES - COOKIE_BYTES))))
        place = item.address_offset
        other = worker.rank
        if worker.cpus > 1:
            other = (worker.rank + 1 + int(worker.rng.random() * (worker.cpus - 1))) % worker.cpus
        if self._hand(worker, other, item):
            self._kept.append((place, count))
        else:
            # Both references are still ours.
            count.sub(1)
            item.free()

    def _hand(self, worker: Worker, rank: int, item: shmalloc.Item) -> bool:
        """Put an item into an inbox. Returns: whether it is there; else it is still ours."""
        forced = worker.counts[FORCED]
        if not worker.send(self._inboxes[rank], [item]):
            return True
        if worker.counts[FORCED] == forced:
            worker.violation("queue-full", f"inbox {rank} is full although it has room for every item of the zone")
        return False

    def _flush(self, worker: Worker) -> None:
        self._unsent = [(rank, item) for rank, item in self._unsent if not self._hand(worker, rank, item)]

    def _receive(self, worker: Worker, timeout: float) -> bool:
        items = worker.receive(self._inboxes[worker.rank], BATCH * 2, timeout)
        for item in items:
            place = item.address_offset
            found = worker.verify(item, "receipt", freeing=False)
            ours = found.owner == worker.rank if found else place in self._awaited or self._keeps(place)
            if ours and worker.cpus > 1:
                self._came_back(worker, place, item)
            elif found is None and worker.cpus > 1:
                self._damaged.append(item)
            elif self._zone.find_refcnt(item).sub(1) == 0:
                item.free()
                worker.ops += 1
                worker.remote_frees += found is not None and found.owner != worker.rank
            elif worker.cpus == 1:
                # We play both parts: the receiver was not the last, so the sender's drop will be.
                self._returned[place] = item
            elif found is not None and not self._hand(worker, found.owner, item):
                self._unsent.append((found.owner, item))
        return bool(items)

    def _keeps(self, place: int) -> bool:
        return any(kept == place for kept, _ in self._kept)

    def _came_back(self, worker: Worker, place: int, item: shmalloc.Item) -> None:
        if place in self._awaited:
            self._awaited.remove(place)
            self._free_last(worker, item)
        elif self._keeps(place):
            self._returned[place] = item
        else:
            worker.violation("two-lasts", f"{_at(place)} came back although nobody kept a reference")
            item.free()

    def _drop_oldest(self, worker: Worker) -> None:
        place, count = self._kept.popleft()
        remaining = count.sub(1)
        item = self._returned.pop(place, None)
        if remaining == 0:
            if item is None:
                self._awaited.add(place)
            else:
                self._free_last(worker, item)
        elif item is not None:
            worker.violation("no-last", f"{_at(place)} came back, and yet {remaining} references are left")
            item.free()

    def _drop_damaged(self, worker: Worker, item: shmalloc.Item) -> None:
        left = self._zone.find_refcnt(item).sub(1)
        if left != 0:
            worker.violation("no-last", f"{_at(item.address_offset)} is damaged, and {left} references are left")
        item.free()

    def _free_last(self, worker: Worker, item: shmalloc.Item) -> None:
        left = self._zone.find_refcnt(item).value
        if left != 0:
            worker.violation("refcount", f"the last reference is gone and the counter says {left}")
        item.free()
        worker.ops += 1
        worker.counts["last reference dropped by the sender"] += 1


def _at(place: int) -> str:
    return f"the item at {place:#x}"

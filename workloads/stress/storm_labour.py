"""What every process of killstorm does between its birth and its death: one round of work after the other.

Owns the items of one process. Every operation of the allocator is in it, so that a kill may hit any. Whoever holds an
item knows which one it must be: bytes that another process wrote over are seen even if they are a valid cookie.
"""

from __future__ import annotations

from typing import Final

import shmalloc
from shmalloc import M_NOWAIT, M_WAITOK
from workloads.context import Worker, make_inboxes, open_inboxes
from workloads.cookie import COOKIE_BYTES

ITEM_BYTES: Final = 1024
LIMITED_BYTES: Final = 2048
# Below what everybody together would take: allocations sleep, and find what the dead held.
LIMITED_EACH: Final = 3
LIVE: Final = 48
BATCH: Final = 8
GRINDS: Final = 8
GROUND: Final = 200
DEPTH: Final = 64
SLEEP_S: Final = 0.02
MALLOC_MOST: Final = 6000


def prepare_labour(arena: shmalloc.Arena, cpus: int) -> None:
    """Make zones and queues, once."""
    arena.zone("killstorm", size=ITEM_BYTES)
    arena.zone("killstorm.limited", size=LIMITED_BYTES, max_items=LIMITED_EACH * cpus)
    make_inboxes(arena, cpus, DEPTH)


class Labour:
    """The hands of one process."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self.zone = worker.arena.zone("killstorm")
        self._limited = worker.arena.zone("killstorm.limited")
        self._queues = open_inboxes(worker.arena, worker.cpus)
        # Each with the sequence number that it was sealed under.
        self._live: list[tuple[shmalloc.Item, int]] = []

    def round(self) -> None:
        """One operation of a kind drawn at random."""
        draw = self._worker.rng.random()
        if draw < 0.42 and len(self._live) < LIVE:
            self._grow()
        elif draw < 0.66:
            self._shrink()
        elif draw < 0.74:
            self._bulk()
        elif draw < 0.76:
            self._grind()
        elif draw < 0.88:
            self._put()
        else:
            self.get(self._worker.rng.randrange(self._worker.cpus))

    def drop_all(self) -> None:
        """Verify and free everything that this process holds."""
        while self._live:
            self._shrink()

    def get(self, place: int) -> bool:
        """Take from a queue, verify, free. Returns: whether there was something."""
        try:
            items = self._queues[place].get_many(BATCH, timeout=0)
        except shmalloc.QueueEmpty:
            return False
        except shmalloc.ShmallocError as error:
            self._worker.refused(error)
            return False
        for item in items:
            # Sealed before it was put: whoever put it, dead or alive, had finished.
            self._worker.verify(item, "receipt")
            self._worker.ops += 1
            item.free()
        self._worker.counts["taken from queues"] += len(items)
        return True

    def _seal(self, item: shmalloc.Item, room: int) -> int:
        return self._worker.seal(item, self._worker.payload(int(self._worker.rng.random() * (room - COOKIE_BYTES))))

    def _mine(self, item: shmalloc.Item, sequence: int, where: str) -> None:
        found = self._worker.verify(item, where)
        if found is not None and (found.owner, found.sequence) != (self._worker.owner, sequence):
            self._worker.violation(
                "not-mine",
                f"{where}: item {sequence} of {self._worker.owner} is item {found.sequence} of {found.owner}",
            )

    def _grow(self) -> None:
        worker = self._worker
        draw = worker.rng.random()
        patience = worker.patience(SLEEP_S)
        item: shmalloc.Item | None
        if draw < 0.5:
            room, item = ITEM_BYTES, worker.alloc(self.zone, M_NOWAIT)
        elif draw < 0.9:
            room, item = LIMITED_BYTES, worker.alloc(self._limited, M_WAITOK if draw < 0.7 else M_NOWAIT, patience)
        else:
            room = COOKIE_BYTES + 1 + int(worker.rng.random() * MALLOC_MOST)
            item = self._malloc(room)
        if item is None:
            self._shrink()
        else:
            self._live.append((item, self._seal(item, room)))

    def _malloc(self, room: int) -> shmalloc.Item | None:
        try:
            return self._worker.arena.malloc(room, type="killstorm", flags=M_NOWAIT)
        except shmalloc.ShmallocError as error:
            self._worker.refused(error)
            return None

    def _shrink(self) -> None:
        if not self._live:
            return
        place = int(self._worker.rng.random() * len(self._live))
        self._live[place], self._live[-1] = self._live[-1], self._live[place]
        item, sequence = self._live.pop()
        self._mine(item, sequence, "free")
        self._worker.ops += 1
        item.free()

    def _bulk(self) -> None:
        items = self._worker.alloc_many(self.zone, BATCH)
        sequences = [self._seal(item, ITEM_BYTES) for item in items]
        for item, sequence in zip(items, sequences, strict=True):
            self._mine(item, sequence, "bulk free")
        self._worker.ops += len(items)
        self.zone.free_many(items)

    def _grind(self) -> None:
        # Little Python and much allocator: here a kill is likely to hit the middle of an operation.
        for _ in range(self._worker.few(GRINDS)):
            self.zone.free_many(self._worker.alloc_many(self.zone, self._worker.few(GROUND)))

    def _put(self) -> None:
        going = self._live[-BATCH:]
        if not going:
            return
        try:
            done = self._queues[self._worker.rng.randrange(self._worker.cpus)].put_many(
                [item for item, _ in going], timeout=0
            )
        except shmalloc.QueueFull:
            return
        except shmalloc.ShmallocError as error:
            self._worker.refused(error)
            return
        del self._live[-len(going) :]
        self._live += going[done:]
        self._worker.counts["put into queues"] += done

"""packets: a real capture replayed through zones with ctors, handed across processes, freed on another CPU.

Every worker is a receiving card and a protocol stack at once. As a card it takes frames from the capture, allocates
items of the class that fits from a zone whose ctor and dtor write the descriptor, seals them and queues them to the
worker that owns the flow. As a stack it verifies what arrives, reads the headers out of shared memory and frees.
"""

from __future__ import annotations

import struct
import time
import zlib
from collections.abc import Sequence
from itertools import groupby
from typing import ClassVar, Final

import shmalloc
from shmalloc import M_WAITOK
from workloads.capture import KINDS, Capture, Frame, kind_of, read_capture
from workloads.context import OrderKeeper, Worker, make_inboxes, open_inboxes
from workloads.cookie import COOKIE_BYTES, Cookie
from workloads.records import Settings
from workloads.stress.base import Workload

BATCH: Final = 64
DEPTH: Final = 512
# A frame is followed by its trailer: when it was sealed, and which frame of the capture it is.
TRAILER: Final = struct.Struct("<QI")
# Items of one batch in flight per worker and peer, times a margin: the zones are limited, as cards' rings are.
_RING: Final = 1024
_SMALLEST: Final = 256
_MIDDLE: Final = 2048

# What the ctor leaves in place of a cookie: an item that was constructed and not yet sealed.
FRESH: Final = b"fresh frame\0" + bytes(12)
# What the dtor leaves: a reader of a freed frame finds no cookie.
SPENT: Final = b"spent frame\0" + bytes(12)


def frame_init(mem: memoryview, size: int, how: int) -> None:
    """Once per item, when its slab is made: the first ctor must find a spent frame."""
    mem[:COOKIE_BYTES] = SPENT


class Wreckage:
    """Frames found in the state in which a killed process was making or wiping them: recovery runs no dtor on what was
    under construction, so a ctor that may follow a death must not count on what a dtor leaves. Private to a process."""

    allowed: ClassVar[int] = 0
    found: ClassVar[int] = 0


def frame_ctor(mem: memoryview, size: int, arg: object, how: int) -> int:
    """On every allocation: the item must be spent, and becomes fresh. Returns: 0, or EBUSY when it is in use."""
    if mem[:COOKIE_BYTES] != SPENT:
        if Wreckage.found >= Wreckage.allowed:
            return 16
        Wreckage.found += 1
    mem[:COOKIE_BYTES] = FRESH
    return 0


def frame_dtor(mem: memoryview, size: int, arg: object) -> None:
    """On every free: wipe the cookie, so that nobody mistakes the item for a frame."""
    mem[:COOKIE_BYTES] = SPENT


class Packets(Workload):
    """One operation is one frame received, sealed, handed over, verified, classified and freed."""

    name = "packets"
    summary = "a real capture through zones with ctors, across processes, freed on another CPU"
    replays = True

    def __init__(self) -> None:
        self._capture: Capture
        self._zones: dict[int, shmalloc.Zone] = {}
        self._sizes: list[int] = []
        self._inboxes: Sequence[shmalloc.Queue] = ()
        self._unsent: dict[int, list[shmalloc.Item]] = {}
        self._order: OrderKeeper
        self._kinds = [0] * len(KINDS)
        self._frame_bytes = 0

    def prepare(self, arena: shmalloc.Arena, settings: Settings) -> None:
        capture = read_capture(settings.pcap)
        here = f"{__name__}:"
        for size in frame_classes(capture):
            arena.zone(
                f"frame.{size}",
                size=size,
                max_items=_RING * settings.cpus,
                init=here + "frame_init",
                ctor=here + "frame_ctor",
                dtor=here + "frame_dtor",
            )
        make_inboxes(arena, settings.cpus, DEPTH)

    def open(self, worker: Worker) -> None:
        self._capture = read_capture(worker.settings.pcap)
        self._sizes = frame_classes(self._capture)
        self._zones = {size: worker.arena.zone(f"frame.{size}") for size in self._sizes}
        worker.leak_from = self._zones[self._sizes[0]]
        self._inboxes = open_inboxes(worker.arena, worker.cpus)
        self._order = OrderKeeper(worker)
        self._unsent = {rank: [] for rank in range(worker.cpus)}
        # A process makes or wipes at most one batch at a time.
        Wreckage.allowed = worker.settings.kills * 2 * BATCH
        Wreckage.found = 0

    def run(self, worker: Worker) -> None:
        frames = self._capture.frames
        # Workers start at different places of the capture.
        at = worker.place_in([len(frame.data) for frame in frames])
        most = worker.few(BATCH)
        while worker.running():
            begin = time.perf_counter_ns()
            stuck = self._flush(worker)
            # Where processes die, a stack that does not take its frames must not hold up the others: they are dropped.
            if not stuck or worker.settings.kills:
                batch = frames[at : at + most]
                self._take_in(worker, at, batch)
                at = at + most if at + most < len(frames) else 0
                stuck = self._flush(worker)
            self._consume(worker, 0.005 if stuck else 0.0)
            worker.pause(time.perf_counter_ns() - begin)
        self._publish_counts(worker)

    def drain(self, worker: Worker) -> None:
        for unsent in self._unsent.values():
            for item in unsent:
                worker.verify(item, "unsent")
                item.free()
            unsent.clear()
        while self._consume(worker, 0.0):
            continue
        self._publish_counts(worker)

    # ---- the card

    def _class_of(self, frame: Frame) -> int:
        need = COOKIE_BYTES + len(frame.data) + TRAILER.size
        return next(size for size in self._sizes if need <= size)

    def _stack_of(self, worker: Worker, frame: Frame) -> int:
        if worker.cpus == 1:
            return 0
        # Every flow has its stack, and no card is its own stack: frames are always freed elsewhere.
        return (worker.rank + 1 + frame.flow % (worker.cpus - 1)) % worker.cpus

    def _take_in(self, worker: Worker, first: int, batch: Sequence[Frame]) -> None:
        tagged = sorted(
            (self._stack_of(worker, frame), self._class_of(frame), first + place, frame)
            for place, frame in enumerate(batch)
        )
        for (stack, size), group in groupby(tagged, key=lambda entry: entry[:2]):
            chosen = list(group)
            if len(self._unsent[stack]) > BATCH:
                worker.counts["dropped"] += len(chosen)
                continue
            begin = time.perf_counter_ns()
            items = worker.alloc_many(self._zones[size], len(chosen), M_WAITOK, worker.patience(0.05))
            now = time.perf_counter_ns()
            if not items:
                # As on a wire: what finds no buffer is dropped.
                worker.counts["dropped"] += len(chosen)
                continue
            worker.sample("alloc, per item of a batch", (now - begin) // len(chosen))
            if items[0].read(COOKIE_BYTES) != FRESH:
                worker.violation("ctor", "an allocated frame was not constructed")
            for item, (_, _, index, frame) in zip(items, chosen, strict=True):
                trailer = TRAILER.pack(now, index)
                worker.seal(item, frame.data + trailer, zlib.crc32(trailer, frame.crc))
            self._unsent[stack].extend(items)

    def _flush(self, worker: Worker) -> bool:
        """Send what waits, in order. Returns: whether something could not be sent."""
        stuck = False
        for stack, items in self._unsent.items():
            if items:
                self._unsent[stack] = left = worker.send(self._inboxes[stack], items)
                stuck = stuck or bool(left)
        return stuck

    # ---- the stack

    def _consume(self, worker: Worker, timeout: float) -> bool:
        items = worker.receive(self._inboxes[worker.rank], BATCH * 2, timeout)
        if not items:
            return False
        by_zone: dict[int, list[shmalloc.Item]] = {size: [] for size in self._sizes}
        last: Cookie | None = None
        for item in items:
            found = worker.verify(item, "receipt")
            size = len(item)
            by_zone[size].append(item)
            if found is not None:
                last = found
                self._classify(worker, found)
        if last is not None:
            sealed_ns, _ = TRAILER.unpack_from(last.payload, last.length - TRAILER.size)
            worker.sample("from card to stack", time.perf_counter_ns() - sealed_ns)
        for size, group in by_zone.items():
            if group:
                self._zones[size].free_many(group)
        worker.ops += len(items)
        return True

    def _classify(self, worker: Worker, found: Cookie) -> None:
        self._order.saw(found)
        if found.owner == worker.owner and worker.cpus > 1:
            worker.violation("not-remote", f"frame {found.sequence} arrived where it was allocated")
        self._kinds[kind_of(found.payload, self._capture.ip_offset)] += 1
        self._frame_bytes += found.length - TRAILER.size

    def _publish_counts(self, worker: Worker) -> None:
        for kind, count in zip(KINDS, self._kinds, strict=True):
            if count:
                worker.counts[f"frames {kind}"] = count
        worker.counts["frame bytes"] = self._frame_bytes
        if Wreckage.found:
            worker.counts["half-made frames of the dead"] = Wreckage.found


def frame_classes(capture: Capture) -> list[int]:
    """Item sizes for a capture: small frames, full ones, and whatever its largest frame needs."""
    largest = COOKIE_BYTES + capture.largest_bytes + TRAILER.size
    smaller = [size for size in (_SMALLEST, _MIDDLE) if size < largest]
    fitting = [size for size in (_SMALLEST, _MIDDLE) if size >= largest]
    return [*smaller, fitting[0] if fitting else -(-largest // 4096) * 4096]

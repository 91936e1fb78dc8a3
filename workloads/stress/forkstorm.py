"""forkstorm: processes come and go while others allocate.

Even workers fork visitors. A visitor finds an arena that its parent opened, becomes a CPU of its own at its first
allocation, leaves some items in the parent's inbox, and goes: mostly politely, sometimes without detaching and with
items in its hands, which are recovery's. Odd workers churn meanwhile, and everybody verifies what visitors left behind.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import Final

import msgspec

import shmalloc
from shmalloc import M_NOWAIT, M_WAITOK
from workloads.context import FORCED, Worker, make_inboxes, open_inboxes
from workloads.cookie import COOKIE_BYTES
from workloads.records import Settings
from workloads.stress.base import Workload

ITEM_BYTES: Final = 1024
DEPTH: Final = 256
VISITORS: Final = 3
VISIT_ITEMS: Final = 24
VISIT_LIMIT_S: Final = 20
VISIT_PATIENCE_S: Final = 5.0
# One visit in so many ends without a word.
ABRUPT: Final = 8
LIVE: Final = 64
STEPS: Final = 128


class VisitRecord(msgspec.Struct, frozen=True):
    """What a visitor says before it goes."""

    sealed: int
    verified: int
    sent: int
    abandoned: int
    exhausted: int
    made_to_fail: int
    violations: list[tuple[str, str]]


class ForkStorm(Workload):
    """One operation is one item verified and freed, by a visitor or by a resident."""

    name = "forkstorm"
    summary = "processes fork, attach, allocate and leave while others allocate"
    rounds_in_small = 2

    def __init__(self) -> None:
        self._zone: shmalloc.Zone
        self._inboxes: Sequence[shmalloc.Queue] = ()
        self._live: list[shmalloc.Item] = []
        self._visitors: dict[int, int] = {}
        self._visits = 0
        self._abandoned: list[shmalloc.Item] = []

    def prepare(self, arena: shmalloc.Arena, settings: Settings) -> None:
        arena.zone("forkstorm", size=ITEM_BYTES)
        make_inboxes(arena, settings.cpus, DEPTH)

    def open(self, worker: Worker) -> None:
        self._zone = worker.leak_from = worker.arena.zone("forkstorm")
        self._inboxes = open_inboxes(worker.arena, worker.cpus)

    def run(self, worker: Worker) -> None:
        storm = worker.rank % 2 == 0
        # Items held across every fork: they must still be the parent's, and whole, when the child is gone.
        while worker.running():
            self._churn(worker)
            self._consume(worker)
            if storm:
                while len(self._visitors) < (1 if worker.small else VISITORS):
                    self._fork(worker)
                self._reap(worker, wait=worker.small)
        while self._visitors:
            self._reap(worker, wait=True)

    def drain(self, worker: Worker) -> None:
        while self._consume(worker):
            continue
        for item in self._live:
            worker.verify(item, "drain")
            item.free()
        self._live.clear()

    def _churn(self, worker: Worker) -> None:
        rng = worker.rng
        for _ in range(worker.few(STEPS)):
            if len(self._live) < LIVE and rng.random() < 0.6:
                item = worker.alloc(self._zone, M_NOWAIT)
                if item is None:
                    continue
                worker.seal(item, worker.payload(int(rng.random() * (ITEM_BYTES - COOKIE_BYTES))))
                self._live.append(item)
            elif self._live:
                item = self._live.pop(int(rng.random() * len(self._live)))
                worker.verify(item, "free")
                item.free()
                worker.ops += 1

    def _consume(self, worker: Worker) -> bool:
        items = worker.receive(self._inboxes[worker.rank], VISIT_ITEMS)
        for item in items:
            worker.verify(item, "left by a visitor")
            item.free()
            worker.ops += 1
        return bool(items)

    # ---- visitors

    def _fork(self, worker: Worker) -> None:
        self._visits += 1
        readable, writable = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(readable)
            self._be_visitor(worker, writable)
        os.close(writable)
        self._visitors[pid] = readable
        worker.counts["visitors"] += 1

    def _be_visitor(self, worker: Worker, writable: int) -> None:
        code = 1
        try:
            # A visitor that hangs ends itself; its parent sees the signal.
            signal.alarm(VISIT_LIMIT_S)
            record = self._visit(worker)
            os.write(writable, msgspec.json.encode(record))
            code = 0
        finally:
            # Nothing above may see this copy of the parent's stack, whatever was raised.
            if code != 0:
                traceback.print_exc()
                sys.stderr.flush()
            os._exit(code)

    def _visit(self, worker: Worker) -> VisitRecord:
        visitor = Worker(settings=worker.settings, rank=worker.rank, arena=worker.arena)
        visitor.rng = random.Random(f"{worker.settings.seed}:{worker.rank}:visit {self._visits}")
        # Residents sign with their ranks, a visitor with its process id.
        visitor.owner = os.getpid()
        self._refuse_inherited(visitor)
        items = []
        for _ in range(1 + int(visitor.rng.random() * worker.few(VISIT_ITEMS))):
            item = visitor.alloc(self._zone, M_WAITOK, VISIT_PATIENCE_S)
            if item is None:
                break
            visitor.seal(item, visitor.payload(int(visitor.rng.random() * (ITEM_BYTES - COOKIE_BYTES))))
            items.append(item)
        half = len(items) // 2
        unsent = visitor.send(self._inboxes[worker.rank], items[:half]) if half else []
        held = [*unsent, *items[half:]]
        if self._leaves_abruptly(worker):
            # They must not be dropped by this process: it is about to end without a word, and recovery frees them.
            self._abandoned = held
            held = []
        for item in held:
            visitor.verify(item, "visitor's free")
            item.free()
        if not self._leaves_abruptly(worker):
            # One that cannot even leave in order goes like those that leave abruptly.
            with visitor.answered():
                worker.arena.close()
        return VisitRecord(
            sealed=visitor.sealed,
            verified=visitor.verified,
            sent=visitor.sent,
            abandoned=len(self._abandoned),
            exhausted=visitor.exhausted,
            made_to_fail=visitor.counts[FORCED],
            violations=[(v.kind, v.detail) for v in visitor.tally(0.0).violations],
        )

    def _leaves_abruptly(self, worker: Worker) -> bool:
        return self._visits % (2 if worker.small else ABRUPT) == 0

    def _refuse_inherited(self, visitor: Worker) -> None:
        if not self._live:
            return
        inherited = self._live[0]
        with contextlib.suppress(shmalloc.ForkedItem):
            inherited.free()
            visitor.violation("forked-item", "a forked child freed an item that it inherited")

    def _reap(self, worker: Worker, *, wait: bool) -> None:
        for pid, readable in list(self._visitors.items()):
            done, status = os.waitpid(pid, 0 if wait else os.WNOHANG)
            if done == 0:
                continue
            del self._visitors[pid]
            with os.fdopen(readable, "rb") as pipe:
                said = pipe.read()
            code = os.waitstatus_to_exitcode(status)
            if code == -signal.SIGKILL:
                worker.killed(pid)
            if code != 0 or not said:
                worker.violation("visitor-failed", f"a visitor ended with {code} and said {len(said)} bytes")
                continue
            record = msgspec.json.decode(said, type=VisitRecord)
            worker.sealed += record.sealed
            worker.verified += record.verified
            worker.sent += record.sent
            worker.ops += record.sealed - record.sent - record.abandoned
            worker.counts["left to recovery"] += record.abandoned
            worker.exhausted += record.exhausted
            worker.counts[FORCED] += record.made_to_fail
            for kind, detail in record.violations:
                worker.violation(kind, f"in a visitor: {detail}")

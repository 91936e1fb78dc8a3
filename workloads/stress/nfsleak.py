"""nfsleak: a server that forgets to free some of its replies, and an arena that says who and where.

Every worker serves requests: it makes a reply, twice: as an item of a plain zone, and as a packet with a cluster. One
worker keeps every so many-th reply in a cache from which nothing is ever taken: the leak. The arena is traced. At the
end another process asks the arena, as `shmalloc who` does, and must find at the top the leaking process and the line of
code that allocated what leaked, with the right count, for both kinds. Only then the leak is freed: the run ends clean.
"""

from __future__ import annotations

import linecache
import os
import struct
from typing import Final

import shmalloc
from shmalloc import M_NOWAIT
from shmalloc.who import Holding
from workloads.context import Worker
from workloads.cookie import COOKIE_BYTES
from workloads.records import Settings
from workloads.stress.base import Workload
from workloads.stress.sealed_packet import SealedPacket

REPLY_BYTES: Final = 2048
PAYLOAD_MOST: Final = 1200
LEAK_EVERY: Final = 100
# A leak that ended the run by using up everything would hide what is to be seen.
LEAKED_MOST: Final = 2000
KINDS: Final = ("plain zone", "m_getcl")
ZONES: Final = ("nfs_reply", "mbuf_packet")
# What stands in the line that leaks, for each kind.
CALLS: Final = ("self._zone.alloc(", "self._mbufs.m_getcl(")
# What the leaking worker says of itself when it stops: its pid, and how much of each kind it has leaked.
CONFESSION: Final = struct.Struct("<QQQ")
PATIENCE_S: Final = 5.0


class NfsLeak(Workload):
    """One operation is one reply made, sealed, verified and freed, or leaked."""

    name = "nfsleak"
    summary = "replies that are never freed, attributed by who() to a process and a line"
    rounds_in_small = 6
    cpus_default = 2
    trace = True

    def __init__(self) -> None:
        self._zone: shmalloc.Zone
        self._mbufs: shmalloc.Mbufs
        self._confessions: shmalloc.Queue
        self._verdicts: shmalloc.Queue
        self._items: list[shmalloc.Item] = []
        self._packets: list[shmalloc.Mbuf] = []
        self._served = 0
        # The confession, had before anything can run out.
        self._note: shmalloc.Item | None = None

    def prepare(self, arena: shmalloc.Arena, settings: Settings) -> None:
        arena.zone(ZONES[0], size=REPLY_BYTES)
        arena.zone("note", size=64)
        arena.mbufs()
        arena.queue("confessions", depth=2)
        arena.queue("verdicts", depth=2)

    def open(self, worker: Worker) -> None:
        self._zone = worker.leak_from = worker.arena.zone(ZONES[0])
        self._mbufs = worker.arena.mbufs()
        self._confessions = worker.arena.queue("confessions")
        self._verdicts = worker.arena.queue("verdicts")
        if worker.rank == worker.cpus - 1:
            self._note = worker.arena.zone("note").alloc()

    def run(self, worker: Worker) -> None:
        leaks = worker.rank == worker.cpus - 1
        while worker.running():
            self._served += 1
            leaked = leaks and self._served % worker.few(LEAK_EVERY) == 0 and len(self._items) < LEAKED_MOST
            with worker.answered():
                self._serve_from_zone(worker, leaked)
            with worker.answered():
                self._serve_from_mbufs(worker, leaked)
        if leaks:
            self._confess(worker)

    def drain(self, worker: Worker) -> None:
        self._confess(worker)
        if worker.rank == 0:
            self._accuse(worker)
        if worker.rank == worker.cpus - 1:
            verdicts = worker.receive(self._verdicts, 1, PATIENCE_S)
            if not verdicts:
                worker.violation("not-attributed", f"nobody looked for the leak within {PATIENCE_S:g} s")
            for verdict in verdicts:
                verdict.free()
            self._repair(worker)

    # ---- the server

    def _serve_from_zone(self, worker: Worker, leaked: bool) -> None:
        reply = self._zone.alloc(M_NOWAIT)
        worker.seal(reply, worker.payload(int(worker.rng.random() * PAYLOAD_MOST)))
        worker.verify(reply, "reply")
        if leaked:
            self._items.append(reply)
        else:
            reply.free()
        worker.ops += 1

    def _serve_from_mbufs(self, worker: Worker, leaked: bool) -> None:
        reply = self._mbufs.m_getcl(M_NOWAIT)
        payload = worker.payload(int(worker.rng.random() * PAYLOAD_MOST))
        worker.seal(SealedPacket(reply, COOKIE_BYTES + len(payload)), payload)
        worker.verify(SealedPacket(reply), "reply")
        if leaked:
            self._packets.append(reply)
        else:
            reply.m_freem()
        worker.ops += 1

    def _confess(self, worker: Worker) -> None:
        if self._note is not None:
            self._note.write(CONFESSION.pack(os.getpid(), len(self._items), len(self._packets)))
            unsent = worker.send(self._confessions, [self._note])
            self._note = unsent[0] if unsent else None

    def _repair(self, worker: Worker) -> None:
        """Free what leaked: every byte of it is still as it was sealed."""
        for item in self._items:
            worker.verify(item, "leaked")
        for packet in self._packets:
            worker.verify(SealedPacket(packet), "leaked")
        self._zone.free_many(self._items)
        for packet in self._packets:
            packet.free()
        self._items.clear()
        self._packets.clear()

    # ---- the one who looks

    def _accuse(self, worker: Worker) -> None:
        notes = worker.receive(self._confessions, 1, PATIENCE_S)
        if not notes:
            worker.violation("not-attributed", "the leaking worker did not say what it leaked")
            return
        (note,) = notes
        pid, *leaked = CONFESSION.unpack(note.read(CONFESSION.size))
        for kind, zone, call, count in zip(KINDS, ZONES, CALLS, leaked, strict=True):
            groups = worker.arena.who(zone=zone)
            worker.counts[f"leaked / {kind}"] = count
            if count and not accused(groups, pid, call, count):
                worker.violation(
                    "not-attributed", f"{kind}: pid {pid} leaked {count} from {call}; who() says {groups[:2]}"
                )
            if count:
                worker.holdings.append(groups[0])
                worker.counts[f"attributed by who() / {kind}"] = groups[0].count
        # The note itself is the verdict: it goes back, and the leak may be freed.
        worker.send(self._verdicts, [note])


def accused(groups: list[Holding], pid: int, call: str, count: int) -> bool:
    """Whether the first group is the leak: that process holds that many, from the line here with that call."""
    if not groups:
        return False
    top = groups[0]
    place, _, _ = (top.site or "").partition(" < ")[0].rpartition(" ")
    file, _, line = place.rpartition(":")
    if (top.pid, top.allocated_by, top.count, top.state) != (pid, pid, count, "held"):
        return False
    # Of a long path the arena keeps the last parts.
    return bool(file) and __file__.endswith(file) and line.isdigit() and call in linecache.getline(__file__, int(line))

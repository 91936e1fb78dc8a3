"""sockets: senders and receivers over shared sockbufs. Every byte of a stream and every record is verified.

Each worker sends one stream, which the next worker receives, and records, which anybody may receive. Sizes are random
on both sides, so mbufs are cut and joined at every place; a small hiwat makes senders wait for receivers. A stream is
an endless pattern of its own: a receiver knows at every offset which byte comes next, and at the end compares length
and checksum of all of it with what the sender counted.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import Final

import shmalloc
from shmalloc import M_NOWAIT, M_WAITOK, MLEN, MT_SONAME
from workloads.context import Worker
from workloads.cookie import COOKIE_BYTES
from workloads.records import Settings
from workloads.stress.base import Workload
from workloads.stress.sealed_packet import SealedPacket

STREAM_HIWAT: Final = 24 * 1024
RECORD_HIWAT: Final = 32 * 1024
CHUNK_MOST: Final = 9000
RECORD_MOST: Final = 3000
# One round in so many waits for data and room instead of passing by.
WAITING_ROUND: Final = 4
PATIENCE_S: Final = 0.005
PATTERN_BYTES: Final = 65521
TOTAL: Final = struct.Struct("<QI")
ADDRESS: Final = struct.Struct("<8sI")


class Stream:
    """One end's account of a stream: how many bytes, their CRC-32, and which byte comes next."""

    def __init__(self, settings: Settings, sender: int) -> None:
        # The same at both ends. Repeated, so that any chunk is one slice of it.
        pattern = _pattern(settings.seed, sender)
        self._pattern = pattern + pattern[: CHUNK_MOST + 1]
        self.sender = sender
        self.length = 0
        self.crc = 0

    def next_bytes(self, size: int) -> bytes:
        """What the next bytes are."""
        at = self.length % PATTERN_BYTES
        return self._pattern[at : at + size]

    def passed(self, data: bytes) -> None:
        """These went through."""
        self.length += len(data)
        self.crc = zlib.crc32(data, self.crc)


def _pattern(seed: int, sender: int) -> bytes:
    block = zlib.crc32(f"{seed}:{sender}".encode())
    out = bytearray()
    while len(out) < PATTERN_BYTES:
        block = zlib.crc32(block.to_bytes(4, "little"), sender + 1)
        out += block.to_bytes(4, "little")
    return bytes(out[:PATTERN_BYTES])


class Sockets(Workload):
    """One operation is one chunk of a stream, or one record, received and verified."""

    name = "sockets"
    summary = "streams and records over sockbufs, random sizes, back-pressure, every byte verified"
    rounds_in_small = 2

    def __init__(self) -> None:
        self._mbufs: shmalloc.Mbufs
        self._out: shmalloc.Sockbuf
        self._in: shmalloc.Sockbuf
        self._records: Sequence[shmalloc.Sockbuf] = ()
        self._sending: Stream
        self._receiving: Stream
        self._unsent: tuple[shmalloc.Mbuf, bytes] | None = None
        # What was sent goes here at the end: had before anything can run out.
        self._total: shmalloc.Item | None = None

    def prepare(self, arena: shmalloc.Arena, settings: Settings) -> None:
        mbufs = arena.mbufs()
        arena.zone("total", size=64)
        for rank in range(settings.cpus):
            mbufs.sockbuf(f"stream.{rank}", hiwat=STREAM_HIWAT)
            mbufs.sockbuf(f"record.{rank}", hiwat=RECORD_HIWAT)
            arena.queue(f"total.{rank}", depth=2)

    def open(self, worker: Worker) -> None:
        self._mbufs = worker.leak_from = worker.arena.mbufs()
        before = (worker.rank - 1) % worker.cpus
        self._out = self._mbufs.sockbuf(f"stream.{worker.rank}")
        self._in = self._mbufs.sockbuf(f"stream.{before}")
        self._records = [self._mbufs.sockbuf(f"record.{rank}") for rank in range(worker.cpus)]
        self._sending = Stream(worker.settings, worker.rank)
        self._receiving = Stream(worker.settings, before)
        self._total = worker.arena.zone("total").alloc()

    def run(self, worker: Worker) -> None:
        turn = 0
        waiting = 2 if worker.small else WAITING_ROUND
        while worker.running():
            turn += 1
            patience = worker.patience(PATIENCE_S) if turn % waiting == 0 else 0.0
            moved = [self._send_chunk(worker, patience), self._send_record(worker, patience)]
            moved += [self._receive_chunk(worker, patience)]
            moved += [self._receive_record(worker, records) for records in self._records]
            if not any(moved):
                # Full ahead and empty behind: sleep until somebody sends.
                self._receive_chunk(worker, worker.patience(PATIENCE_S))
        self._finish(worker)

    def drain(self, worker: Worker) -> None:
        self._finish(worker)
        # What is on the way must arrive: the last calls may wait for memory.
        while self._receive_chunk(worker, 0.0, M_WAITOK):
            continue
        for records in self._records:
            while self._receive_record(worker, records, M_WAITOK):
                continue
        for total in worker.receive(worker.arena.queue(f"total.{self._receiving.sender}"), 1):
            length, crc = TOTAL.unpack(total.read(TOTAL.size))
            if (length, crc) != (self._receiving.length, self._receiving.crc):
                worker.violation(
                    "stream",
                    f"worker {self._receiving.sender} sent {length} bytes with CRC {crc:#010x}; "
                    f"{self._receiving.length} with {self._receiving.crc:#010x} arrived",
                )
            total.free()
        for sockbuf in (self._in, *self._records):
            # Each raises SockbufCorrupt, which ends the worker and is heard.
            sockbuf.sbcheck()
            sockbuf.sblastrecordchk()
            sockbuf.sblastmbufchk()
        worker.counts["stream bytes"] = self._receiving.length

    def sweep(self, arena: shmalloc.Arena, settings: Settings) -> None:
        super().sweep(arena, settings)
        for rank in range(settings.cpus):
            for kind in ("stream", "record"):
                arena.mbufs().sockbuf(f"{kind}.{rank}").sbflush()

    def _finish(self, worker: Worker) -> None:
        """Send no more, and say how much it was."""
        if self._unsent is not None:
            self._unsent[0].free()
            self._unsent = None
        if self._total is not None:
            self._total.write(TOTAL.pack(self._sending.length, self._sending.crc))
            unsent = worker.send(worker.arena.queue(f"total.{worker.rank}"), [self._total])
            self._total = unsent[0] if unsent else None

    # ---- streams

    def _send_chunk(self, worker: Worker, patience: float) -> bool:
        if self._unsent is None:
            size = 1 + int(worker.rng.random() * CHUNK_MOST)
            data = self._sending.next_bytes(size)
            try:
                packet = self._mbufs.m_getm2(size, M_NOWAIT)
                packet.m_append(data)
            except shmalloc.ShmallocError as error:
                worker.refused(error)
                return False
            self._unsent = packet, data
        packet, data = self._unsent
        try:
            self._out.sbappendstream(packet, timeout=patience)
        except shmalloc.SockbufFull:
            worker.counts["waited for room / streams" if patience else "found no room / streams"] += 1
            return False
        except shmalloc.ShmallocError as error:
            worker.refused(error)
            return False
        self._sending.passed(data)
        self._unsent = None
        return True

    def _receive_chunk(self, worker: Worker, patience: float, how: int = M_NOWAIT) -> bool:
        size = 1 + int(worker.rng.random() * CHUNK_MOST)
        try:
            packet = self._in.receive(size, timeout=patience, how=how)
        except shmalloc.SockbufEmpty:
            return False
        except shmalloc.ShmallocError as error:
            worker.refused(error)
            return False
        data = packet.tobytes()
        packet.free()
        expected = self._receiving.next_bytes(len(data))
        if data != expected:
            at = next(place for place, (a, b) in enumerate(zip(data, expected, strict=True)) if a != b)
            worker.violation("corrupt-item", f"byte {self._receiving.length + at} of stream {self._receiving.sender}")
        self._receiving.passed(data)
        worker.verified += 1
        worker.ops += 1
        return True

    # ---- records

    def _send_record(self, worker: Worker, patience: float) -> bool:
        rng = worker.rng
        records = self._records[int(rng.random() * worker.cpus)]
        payload = worker.payload(int(rng.random() * RECORD_MOST))
        need = COOKIE_BYTES + len(payload)
        if records.sbspace() < need + MLEN and not patience:
            worker.counts["found no room / records"] += 1
            return False
        try:
            packet = self._mbufs.m_getm2(need, M_NOWAIT)
        except shmalloc.ShmallocError as error:
            worker.refused(error)
            return False
        worker.seal(SealedPacket(packet, need), payload)
        try:
            if patience:
                records.sbappendrecord(packet, timeout=patience)
            else:
                records.sbappendaddr(ADDRESS.pack(b"worker", worker.owner), packet, how=M_NOWAIT)
        except shmalloc.SockbufFull:
            worker.counts["waited for room / records" if patience else "found no room / records"] += 1
        except shmalloc.ShmallocError as error:
            worker.refused(error)
        else:
            worker.sent += 1
            return True
        worker.verify(SealedPacket(packet), "unsent")
        packet.free()
        return False

    def _receive_record(self, worker: Worker, records: shmalloc.Sockbuf, how: int = M_NOWAIT) -> bool:
        try:
            packet = records.receive(timeout=0, how=how)
        except shmalloc.SockbufEmpty:
            return False
        except shmalloc.ShmallocError as error:
            worker.refused(error)
            return False
        worker.received += 1
        at = 0
        if packet.type == MT_SONAME:
            at = ADDRESS.size
            if not packet.m_copydata(0, at).startswith(b"worker"):
                worker.violation("corrupt-item", f"a record's address is {packet.m_copydata(0, at)!r}")
        found = worker.verify(SealedPacket(packet, at=at), "receipt")
        if found is not None and at and ADDRESS.unpack(packet.m_copydata(0, at))[1] != found.owner:
            worker.violation("corrupt-item", f"record {found.sequence} of {found.owner} has another sender's address")
        packet.free()
        worker.ops += 1
        return True

"""ips: an intrusion prevention system that is too slow. Its queue grows, clusters run out, everybody's packets drop.

Worker 0 inspects, the others send as fast as they can. A run has two halves: packets with their cluster from the packet
zone (m_getcl), and an mbuf to which a cluster is attached (m_gethdr and m_clget). Each half is a flood, in which the
queue fills until clusters or its places run out, and a lull, in which the inspector empties it; after that as many
clusters as the limit allows must be there again. Every figure is told for both.
"""

from __future__ import annotations

import hashlib
import time
from typing import Final

import shmalloc
from shmalloc import M_NOWAIT
from workloads.context import Worker
from workloads.cookie import COOKIE_BYTES
from workloads.records import Settings
from workloads.stress.base import Workload
from workloads.stress.sealed_packet import SealedPacket

CLUSTERS: Final = 256
DEPTH: Final = 224
# What each sender has in its hands besides: with two senders clusters run out before places in the queue do.
BURST: Final = 48
PAYLOAD_BYTES: Final = 1400
# The bounded work: so many passes of a hash over each packet.
PASSES: Final = 12
# How many packets an inspector takes at a time, and how long a sender looks away in a lull.
TAKEN: Final = 16
PAUSE_S: Final = 0.002
WAYS: Final = ("m_getcl", "m_gethdr + m_clget")
# Of each half of the run: the flood, then the lull.
FLOOD_SHARE: Final = 0.6


class Ips(Workload):
    """One operation is one packet inspected, verified and freed."""

    name = "ips"
    summary = "a slow consumer until clusters run out, with and without the packet zone"
    rounds_in_small = 6

    def __init__(self) -> None:
        self._mbufs: shmalloc.Mbufs
        self._queue: shmalloc.Queue
        self._burst: list[shmalloc.Mbuf] = []
        self._recovered: set[int] = set()
        self._last_way = 0
        self._drained = 0

    def prepare(self, arena: shmalloc.Arena, settings: Settings) -> None:
        arena.mbufs(CLUSTERS)
        arena.queue("inspect", depth=DEPTH)

    def open(self, worker: Worker) -> None:
        self._mbufs = worker.leak_from = worker.arena.mbufs()
        self._queue = worker.arena.queue("inspect")

    def run(self, worker: Worker) -> None:
        inspector, sender = worker.rank == 0, worker.rank != 0 or worker.cpus == 1
        while worker.running():
            way, flood = self._moment(worker)
            if sender and flood:
                self._send(worker, way)
            elif sender:
                self._free_burst(worker)
                if not inspector:
                    time.sleep(PAUSE_S)
            if inspector:
                self._inspect(worker, way, flood)
        self._free_burst(worker)

    def drain(self, worker: Worker) -> None:
        if worker.rank == 0:
            while self._take(worker, self._last_way, 0.0):
                continue

    def _moment(self, worker: Worker) -> tuple[int, bool]:
        """(way, whether it is flooding): where in the run we are. All processes read the same clock."""
        done = 2 * (1 - min(worker.seconds_left() / worker.settings.seconds, 1.0))
        half = min(int(done), 1)
        return half, done - half < FLOOD_SHARE

    # ---- the senders

    def _get(self, way: int) -> shmalloc.Mbuf:
        if way == 0:
            return self._mbufs.m_getcl(M_NOWAIT)
        packet = self._mbufs.m_gethdr(M_NOWAIT)
        packet.m_clget(M_NOWAIT)
        return packet

    def _send(self, worker: Worker, way: int) -> None:
        label = WAYS[way]
        while len(self._burst) < worker.few(BURST):
            begin = time.perf_counter_ns()
            try:
                packet = self._get(way)
            except shmalloc.ShmallocError as error:
                worker.refused(error)
                worker.counts[f"dropped, no cluster / {label}"] += 1
                break
            finally:
                worker.sample(f"getting, {label}", time.perf_counter_ns() - begin)
            worker.seal(SealedPacket(packet, COOKIE_BYTES + PAYLOAD_BYTES), worker.payload(PAYLOAD_BYTES))
            self._burst.append(packet)
        worker.peak(f"deepest queue / {label}", len(self._queue))
        before = len(self._burst)
        self._burst = worker.send(self._queue, self._burst)
        worker.counts[f"sent / {label}"] += before - len(self._burst)
        if len(self._burst) == before and before:
            # No place for a single one: the oldest is dropped, as a full interface queue drops.
            worker.counts[f"dropped, queue full / {label}"] += 1
            self._drop(worker, self._burst.pop(0))

    def _drop(self, worker: Worker, packet: shmalloc.Mbuf) -> None:
        worker.verify(SealedPacket(packet), "unsent")
        packet.free()

    def _free_burst(self, worker: Worker) -> None:
        for packet in self._burst:
            self._drop(worker, packet)
        self._burst.clear()

    # ---- the inspector

    def _inspect(self, worker: Worker, way: int, flood: bool) -> None:
        if self._take(worker, way, 0.0 if worker.cpus == 1 or not flood else 0.01) or flood:
            return
        if way not in self._recovered:
            self._recover(worker, way)
        elif worker.cpus > 1:
            time.sleep(PAUSE_S)

    def _take(self, worker: Worker, way: int, timeout: float) -> bool:
        self._last_way = way
        packets: list[shmalloc.Mbuf] = worker.receive(self._queue, TAKEN, timeout)
        for packet in packets:
            digest = b""
            for _ in range(PASSES):
                digest = hashlib.sha256(digest + packet.tobytes()).digest()
            worker.verify(SealedPacket(packet), "receipt")
            packet.free()
        worker.ops += len(packets)
        worker.counts[f"inspected / {WAYS[way]}"] += len(packets)
        return bool(packets)

    def _recover(self, worker: Worker, way: int) -> None:
        """The queue is empty: the clusters must be there again, wherever they are cached, but what senders hold."""
        most = CLUSTERS - BURST * worker.cpus if worker.cpus > 2 else CLUSTERS // 2
        got: list[shmalloc.Mbuf] = []
        begin = time.perf_counter_ns()
        try:
            while len(got) < worker.few(max(most, BURST)):
                got.append(self._get(way))
        except shmalloc.ShmallocError as error:
            worker.refused(error)
            if not error.forced and self._moment(worker) == (way, False):
                worker.violation("not-recovered", f"{len(got)} of {most} clusters after the flood: {error}")
        else:
            worker.counts[f"clusters there again / {WAYS[way]}"] += len(got)
        worker.peak(f"getting them again, us / {WAYS[way]}", (time.perf_counter_ns() - begin) // 1000)
        self._recovered.add(way)
        drained = self._mbufs.drain_calls
        worker.counts[f"drain routines called / {WAYS[way]}"] += drained - self._drained
        self._drained = drained
        for packet in got:
            packet.free()

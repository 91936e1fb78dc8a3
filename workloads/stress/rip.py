"""rip: a routing daemon holds a lock and prepends a header with M_WAITOK. Where mbufs ran out it sleeps with the lock.

All workers share one mutex and too few mbufs. Whoever has the mutex prepends; who wants it waits, for at most a moment,
and then frees its packets, which is what ends the sleep. With debug.nosleepwithlocks set, which happens in every second
slice of the run, the same call is made M_NOWAIT: it fails, has freed the packet, and the failure path goes on. Both
ways are told apart in every figure: what a sleep under a lock costs the others, and what its absence costs in packets.
The lock and the call are ordinary ones: whatever watches locks sees them as any program would make them.
"""

from __future__ import annotations

import time
from typing import Final

import shmalloc
from shmalloc import M_NOWAIT, M_WAITOK
from workloads.context import Worker
from workloads.cookie import COOKIE_BYTES
from workloads.intended import IntendedSleep
from workloads.records import Settings
from workloads.stress.base import Workload
from workloads.stress.sealed_packet import SealedPacket

NOSLEEP: Final = "debug.nosleepwithlocks"
HEADER_BYTES: Final = 64
PAYLOAD_MOST: Final = 96
# Mbufs there are for each worker, and how many of them it hoards at most: together more than there are.
MBUFS_EACH: Final = 64
HOARD_MOST: Final = 96
PATIENCE_S: Final = 0.005
# The run is cut into so many slices, with the tunable off and on in turns.
SLICES: Final = 8
WAYS: Final = ("may sleep", "nosleepwithlocks")


class Rip(Workload):
    """One operation is one packet that got its header under the lock, was verified and freed."""

    name = "rip"
    summary = "m_prepend(M_WAITOK) reached with a lock held: sleeping with it, and forced to M_NOWAIT"
    rounds_in_small = 8
    cpus_default = 2
    intended = (IntendedSleep(lock="rip", zone="mbuf"),)

    def __init__(self) -> None:
        self._mbufs: shmalloc.Mbufs
        self._zone: shmalloc.Zone
        self._lock: shmalloc.Mutex
        self._hoard: list[shmalloc.Mbuf] = []
        self._hoard_most = 0

    def prepare(self, arena: shmalloc.Arena, settings: Settings) -> None:
        arena.mbufs()
        arena.zone("mbuf").set_max(MBUFS_EACH * settings.cpus)
        arena.mutex("rip")

    def open(self, worker: Worker) -> None:
        self._mbufs = worker.leak_from = worker.arena.mbufs()
        self._zone = worker.arena.zone("mbuf")
        self._lock = worker.arena.mutex("rip")
        # One process alone must leave itself room: nobody else would ever free.
        self._hoard_most = worker.few(HOARD_MOST if worker.cpus > 1 else MBUFS_EACH // 2)

    def run(self, worker: Worker) -> None:
        sysctl = worker.arena.sysctl
        while worker.running():
            self._grow(worker)
            begin = time.perf_counter_ns()
            try:
                self._lock.acquire(PATIENCE_S)
            except shmalloc.LockTimeout:
                way = WAYS[sysctl[NOSLEEP]]
                worker.counts[f"gave up waiting for the lock / {way}"] += 1
                self._waited(worker, way, time.perf_counter_ns() - begin)
                # Whoever has the lock may be asleep for want of these.
                self._free_hoard(worker)
                continue
            try:
                if worker.rank == 0:
                    # Under the lock, so that it does not change while anybody is under it.
                    self._turn(worker)
                way = WAYS[sysctl[NOSLEEP]]
                self._waited(worker, way, time.perf_counter_ns() - begin)
                packet = self._encapsulate(worker, way)
            finally:
                self._lock.release()
            if packet is not None:
                packet.m_adj(HEADER_BYTES)
                worker.verify(SealedPacket(packet), "after m_prepend")
                packet.free()
                worker.ops += 1
        # A sleeper with the lock may wait for these: gone before anybody waits for anybody.
        self._free_hoard(worker)

    def drain(self, worker: Worker) -> None:
        waiters = self._zone.statistics().waiters
        if waiters:
            worker.violation("lost-wakeup", f"{waiters} still asleep at the limit when everybody has freed everything")

    def _turn(self, worker: Worker) -> None:
        left = min(worker.seconds_left(), worker.settings.seconds)
        place = int((1 - left / worker.settings.seconds) * SLICES)
        wanted = place % 2
        if worker.arena.sysctl[NOSLEEP] != wanted:
            worker.arena.sysctl[NOSLEEP] = wanted

    def _grow(self, worker: Worker) -> None:
        aim = int(worker.rng.random() * self._hoard_most)
        while len(self._hoard) > aim:
            self._free_one(worker)
        while len(self._hoard) < aim:
            try:
                packet = self._mbufs.m_gethdr(M_NOWAIT)
            except shmalloc.ShmallocError as error:
                worker.refused(error)
                return
            payload = worker.payload(int(worker.rng.random() * PAYLOAD_MOST))
            worker.seal(SealedPacket(packet, COOKIE_BYTES + len(payload)), payload)
            self._hoard.append(packet)

    def _encapsulate(self, worker: Worker, way: str) -> shmalloc.Mbuf | None:
        """What is done with the lock held. Returns: the packet with its header, None when it could not have one."""
        if not self._hoard:
            return None
        packet = self._hoard.pop()
        slept = self._zone.statistics().sleeps
        begin = time.perf_counter_ns()
        try:
            packet.m_prepend(HEADER_BYTES, M_WAITOK)
        except shmalloc.ShmallocError as error:
            worker.refused(error)
            worker.counts[f"m_prepend failed, packet freed / {way}"] += 1
            told = not isinstance(error, shmalloc.NoBuffers) or error.packet_freed
            if (way == WAYS[0] and not error.forced) or not told or not packet.freed:
                worker.violation("m-waitok-failed", f"with {way}: {error}")
            self._free_one(worker)
            return None
        finally:
            took = time.perf_counter_ns() - begin
            worker.sample(f"m_prepend under the lock, {way}", took)
            worker.peak(f"longest m_prepend under the lock, us / {way}", took // 1000)
        # Everything else asks with M_NOWAIT: whoever slept did so here.
        slept = self._zone.statistics().sleeps - slept
        worker.counts[f"slept under the lock / {way}"] += slept
        if slept and way == WAYS[1]:
            worker.violation("slept-with-lock", f"m_prepend slept {slept} times although {NOSLEEP} was set")
        memoryview(packet)[:HEADER_BYTES] = bytes(HEADER_BYTES)
        worker.counts[f"headers prepended under the lock / {way}"] += 1
        return packet

    def _waited(self, worker: Worker, way: str, duration_ns: int) -> None:
        worker.sample(f"waiting for the lock, {way}", duration_ns)
        worker.peak(f"longest wait for the lock, us / {way}", duration_ns // 1000)

    def _free_one(self, worker: Worker) -> None:
        if self._hoard:
            packet = self._hoard.pop()
            worker.verify(SealedPacket(packet), "on free")
            packet.free()

    def _free_hoard(self, worker: Worker) -> None:
        while self._hoard:
            self._free_one(worker)

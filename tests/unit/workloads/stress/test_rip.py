"""Under the lock: a sleep that another one's free ends, or a failure that has freed the packet."""

from __future__ import annotations

import threading
import time

import pytest

import shmalloc
from shmalloc import M_NOWAIT
from workloads.context import Worker
from workloads.stress.rip import NOSLEEP, WAYS, Rip
from workloads.stress.sealed_packet import SealedPacket

from .conftest import Pair

DEADLINE_S = 20.0


@pytest.fixture
def daemon(pair: Pair) -> tuple[Rip, Worker]:
    """One daemon with a packet in its hoard, when all other mbufs are in somebody else's hands."""
    (rip, worker), _ = pair(Rip)
    assert isinstance(rip, Rip)
    packet = rip._mbufs.m_gethdr()
    worker.seal(SealedPacket(packet, 100), b"payload")
    rip._hoard.append(packet)
    return rip, worker


def exhaust(rip: Rip) -> list[shmalloc.Mbuf]:
    held = []
    with pytest.raises(shmalloc.NoBuffers):
        while True:
            held.append(rip._mbufs.m_get(M_NOWAIT))
    return held


def test_without_the_tunable_it_sleeps_with_the_lock_until_somebody_frees(daemon: tuple[Rip, Worker]) -> None:
    rip, worker = daemon
    held = exhaust(rip)
    woken = threading.Event()

    def free_when_it_sleeps() -> None:
        until = time.monotonic() + DEADLINE_S
        while not rip._zone.statistics().waiters and time.monotonic() < until:
            continue
        woken.set()
        held.pop().free()

    other = threading.Thread(target=free_when_it_sleeps)
    other.start()
    with rip._lock:
        packet = rip._encapsulate(worker, WAYS[0])
    other.join(DEADLINE_S)
    assert woken.is_set()
    assert packet is not None
    assert worker.counts[f"slept under the lock / {WAYS[0]}"] == 1
    assert worker.findings == ()
    assert worker.peaks[f"longest m_prepend under the lock, us / {WAYS[0]}"] > 0


def test_with_the_tunable_it_fails_at_once_and_nothing_is_lost(
    daemon: tuple[Rip, Worker], arena: shmalloc.Arena
) -> None:
    rip, worker = daemon
    held = exhaust(rip)
    arena.sysctl[NOSLEEP] = 1
    with rip._lock:
        assert rip._encapsulate(worker, WAYS[1]) is None
    assert worker.counts[f"m_prepend failed, packet freed / {WAYS[1]}"] == 1
    assert worker.findings == ()
    assert rip._zone.statistics().used == len(held), "the packet of the failed call is free"
    arena.sysctl[NOSLEEP] = 0


def test_an_m_waitok_that_fails_where_it_may_sleep_is_a_violation(
    daemon: tuple[Rip, Worker], arena: shmalloc.Arena
) -> None:
    rip, worker = daemon
    held = exhaust(rip)
    arena.sysctl[NOSLEEP] = 1
    assert rip._encapsulate(worker, WAYS[0]) is None
    assert [violation.kind for violation in worker.findings] == ["m-waitok-failed"]
    arena.sysctl[NOSLEEP] = 0
    held.clear()


def test_the_tunable_changes_with_the_slices_of_the_run(daemon: tuple[Rip, Worker], arena: shmalloc.Arena) -> None:
    rip, worker = daemon
    seen = []
    for left in (0.99, 0.8, 0.7, 0.55, 0.1):
        worker.deadline_ns = time.perf_counter_ns() + int(left * worker.settings.seconds * 1e9)
        rip._turn(worker)
        seen.append(arena.sysctl[NOSLEEP])
    assert seen == [0, 1, 0, 1, 1]
    arena.sysctl[NOSLEEP] = 0

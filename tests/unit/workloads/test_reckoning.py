"""Leaks are counted by the allocator's own figures, and what was sent must arrive."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import msgspec
import pytest

import shmalloc
from workloads.reckoning import Reckoning, lost_in_transit
from workloads.records import RunResult


@pytest.fixture
def arena() -> Iterator[shmalloc.Arena]:
    """An arena that is gone afterwards."""
    with shmalloc.Arena.create(f"test-reckoning-{secrets.token_hex(4)}", max_size="16M") as made:
        yield made
        made.unlink()


def test_an_arena_where_everything_was_freed_leaks_nothing(arena: shmalloc.Arena) -> None:
    zone = arena.zone("z", size=64)
    zone.free_many(zone.alloc_many(100))
    arena.malloc(5000, type="t").free()
    reckoning = Reckoning.take(arena)
    assert (reckoning.leaked_items, reckoning.findings, [zone.allocs for zone in reckoning.zones]) == (0, [], [100, 1])


def test_items_of_zones_and_of_malloc_count_as_leaked(arena: shmalloc.Arena) -> None:
    held = [*arena.zone("z", size=64).alloc_many(3), *(arena.malloc(size, type="t") for size in (100, 9000, 2**20))]
    assert Reckoning.take(arena).leaked_items == len(held)


def test_a_ticket_that_nobody_redeems_is_leaked(arena: shmalloc.Arena) -> None:
    handle = arena.zone("z", size=64).alloc().ticket()
    reckoning = Reckoning.take(arena)
    arena.adopt(handle).free()
    assert reckoning.leaked_items == 1
    reckoning.close(arena, True)
    assert reckoning.leaked_items == 1
    reckoning.close(arena, False)
    assert reckoning.leaked_items == 0


def test_a_cached_packets_cluster_is_no_leak_and_a_held_packet_is_its_mbuf_and_its_cluster(
    arena: shmalloc.Arena,
) -> None:
    mbufs = arena.mbufs()
    held = mbufs.m_getcl()
    mbufs.m_getcl().free()
    reckoning = Reckoning.take(arena)
    assert reckoning.mbufs is not None
    assert reckoning.mbufs.packets.cache > 0
    assert reckoning.leaked_items == 2
    held.free()
    assert Reckoning.take(arena).leaked_items == 0


def test_what_was_sent_and_never_came_out_is_a_violation(result: RunResult) -> None:
    tally = result.workers[0].tally
    assert tally is not None
    assert lost_in_transit([tally, tally]) == []
    (violation,) = lost_in_transit([tally, msgspec.structs.replace(tally, sent=6)])
    assert (violation.kind, violation.detail) == ("lost-in-transit", "11 items were put into queues, 10 came out")

"""A worker notes what it sees: damage, disorder, and how much of it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from typing import Any

import pytest

import shmalloc
from workloads.context import FORCED, SABOTAGE_AFTER, VIOLATIONS_KEPT, OrderKeeper, Worker
from workloads.cookie import Cookie, seal
from workloads.records import Sabotage, Settings


@pytest.fixture
def arena() -> Iterator[shmalloc.Arena]:
    """An arena that is gone afterwards."""
    with shmalloc.Arena.create(f"test-context-{secrets.token_hex(4)}", max_size="16M") as made:
        yield made
        made.unlink()


def worker_of(arena: shmalloc.Arena, rank: int = 0, seed: int = 1, sabotage: Sabotage = "none") -> Worker:
    settings = Settings(workload="churn", cpus=2, seconds=1, seed=seed, sabotage=sabotage)
    return Worker(settings=settings, rank=rank, arena=arena)


def found(owner: int, sequence: int) -> Cookie:
    return Cookie(owner, sequence, 0, b"")


def test_a_damaged_item_is_a_violation(arena: shmalloc.Arena) -> None:
    worker = worker_of(arena)
    item = arena.zone("z", size=256).alloc()
    worker.seal(item, b"some payload")
    assert worker.verify(item, "here") == (0, 1, 12, b"some payload")
    item.write(b"X", 30)
    assert worker.verify(item, "here") is None
    (violation,) = worker.tally(0.0).violations
    assert (violation.kind, violation.rank, violation.detail.startswith("here: checksum")) == ("corrupt-item", 0, True)


def test_the_first_violations_are_kept_and_all_are_counted(arena: shmalloc.Arena) -> None:
    worker = worker_of(arena)
    for number in range(VIOLATIONS_KEPT + 5):
        worker.violation("odd", str(number))
    tally = worker.tally(0.0)
    assert (len(tally.violations), tally.violations_total) == (VIOLATIONS_KEPT, VIOLATIONS_KEPT + 5)


def test_items_of_others_count_as_remote(arena: shmalloc.Arena, item: Any) -> None:
    worker = worker_of(arena)
    for owner in (0, 1, 1):
        seal(item, owner, 1, b"")
        worker.verify(item, "receipt")
    assert (worker.verified, worker.remote_frees) == (3, 2)


def test_an_item_that_arrives_twice_or_overtaken_is_a_violation(arena: shmalloc.Arena) -> None:
    worker = worker_of(arena)
    order = OrderKeeper(worker)
    for cookie in (found(0, 1), found(1, 1), found(0, 5), found(1, 2)):
        order.saw(cookie)
    assert worker.tally(0.0).violations_total == 0
    order.saw(found(0, 5))
    order.saw(found(0, 4))
    assert [violation.kind for violation in worker.tally(0.0).violations] == ["order", "order"]


def test_the_seed_decides_everything_random_and_every_rank_differs(arena: shmalloc.Arena) -> None:
    assert worker_of(arena).payload(64) == worker_of(arena).payload(64)
    assert worker_of(arena, rank=1).noise != worker_of(arena).noise
    assert worker_of(arena, seed=2).noise != worker_of(arena).noise


def test_payloads_have_the_length_asked_for(arena: shmalloc.Arena) -> None:
    worker = worker_of(arena)
    assert [len(worker.payload(n)) for n in (0, 1, 65535, 65536)] == [0, 1, 65535, 65536]


def test_a_worker_runs_until_its_deadline_and_ticks(arena: shmalloc.Arena) -> None:
    ticks = []
    settings = Settings(workload="churn", cpus=1, seconds=1, seed=1)
    deadline_ns = time.perf_counter_ns() + 50_000_000
    worker = Worker(settings=settings, rank=0, arena=arena, deadline_ns=deadline_ns, emit=ticks.append)
    while worker.running():
        worker.ops += 1
    assert time.perf_counter_ns() >= deadline_ns
    assert (worker.ops > 0, len(ticks), worker.seconds_left()) == (True, 1, 0.0)


def test_sabotage_damages_one_item_of_the_last_rank_only(arena: shmalloc.Arena, item: Any) -> None:
    for rank, damaged in ((0, 0), (1, 1)):
        worker = worker_of(arena, rank=rank, sabotage="corrupt")
        for _ in range(SABOTAGE_AFTER * 2):
            worker.seal(item, b"payload")
            worker.verify(item, "free")
        assert worker.tally(0.0).violations_total == damaged


def test_a_zone_at_its_limit_gives_none_and_is_counted(arena: shmalloc.Arena) -> None:
    worker = worker_of(arena)
    zone = arena.zone("small", size=2048, max_items=2)
    held = [zone.alloc() for _ in range(zone.max)]
    assert worker.alloc(zone, shmalloc.M_NOWAIT) is None
    assert worker.alloc(zone, shmalloc.M_WAITOK, 0.01) is None
    assert (worker.exhausted, worker.sleeps_timed_out, len(held)) == (1, 1, zone.max)


def test_an_answer_of_the_allocator_is_counted_and_a_refusal_of_its_own_is_raised(arena: shmalloc.Arena) -> None:
    worker = worker_of(arena)
    worker.refused(shmalloc.ZoneExhausted())
    worker.refused(shmalloc.ZoneExhausted(), slept=True)
    worker.refused(shmalloc.OutOfMemory(forced="debug.malloc.failure_rate"))
    worker.refused(shmalloc.CtorFailed(forced="zone.ctor"))
    assert (worker.exhausted, worker.sleeps_timed_out, worker.counts[FORCED]) == (2, 1, 2)
    for broken in (shmalloc.CtorFailed(), shmalloc.Stalled(), shmalloc.DoubleFree()):
        with pytest.raises(type(broken)), worker.answered():
            raise broken


def test_what_cannot_be_had_is_none_and_an_empty_list(arena: shmalloc.Arena) -> None:
    worker = worker_of(arena)
    zone = arena.zone("few", size=2048, max_items=2)
    held = worker.alloc_many(zone, zone.max)
    assert len(held) == zone.max
    assert worker.alloc(zone, shmalloc.M_NOWAIT) is None
    assert worker.alloc(zone, shmalloc.M_WAITOK, 0.001) is None
    assert worker.alloc_many(zone, 1) == []
    assert worker.alloc_many(zone, 1, shmalloc.M_WAITOK, 0.001) == []
    assert (worker.exhausted, worker.sleeps_timed_out, worker.counts[FORCED]) == (2, 2, 0)


def test_a_forked_process_that_somebody_killed_is_a_violation(arena: shmalloc.Arena) -> None:
    worker = worker_of(arena)
    worker.killed(77)
    assert [violation.kind for violation in worker.findings] == ["killed"]

"""debug.malloc.failure_rate and fault points: who made a call fail is said by the error, and counted and logged."""

import pytest

import faultinj
import shmalloc

RATE = "debug.malloc.failure_rate"


def test_an_error_forced_by_the_tunable_names_it(arena: shmalloc.Arena) -> None:
    zone = arena.zone("frame", size=64)
    arena.sysctl[RATE] = 2
    zone.alloc(shmalloc.M_NOWAIT).free()
    with pytest.raises(shmalloc.OutOfMemory, match=r"made to fail by the tunable debug.malloc.failure_rate") as caught:
        zone.alloc(shmalloc.M_NOWAIT)
    assert caught.value.forced == RATE
    assert f"shmalloc sysctl {arena.name} {RATE}=0" in str(caught.value)
    arena.sysctl[RATE] = 0


def test_with_faults_armed_what_the_tunable_makes_fail_is_counted_and_logged(arena: shmalloc.Arena) -> None:
    block = faultinj.arm(arena)
    zone = arena.zone("frame", size=64)
    before = zone.statistics().fails
    arena.sysctl[RATE] = 3
    for turn in range(1, 10):
        if turn % 3 == 0:
            with pytest.raises(shmalloc.OutOfMemory, match="by the tunable"):
                zone.alloc(shmalloc.M_NOWAIT)
        else:
            zone.alloc(shmalloc.M_NOWAIT).free()
    zone.alloc(shmalloc.M_WAITOK).free()  # those that may wait are left alone
    assert zone.statistics().fails == before + 3
    assert [(row[1], row[2], row[3]) for row in block.injections()] == [("zone.alloc", "failure_rate", "frame")] * 3
    assert block.counts(block.point("zone.alloc")) == (10, 3)
    assert [row[0] for row in block.injections()] == [3, 6, 9]


def test_an_error_forced_at_a_point_names_it_and_a_later_real_one_does_not(arena: shmalloc.Arena) -> None:
    faultinj.arm(arena)
    zone = arena.zone("frame", size=1 << 20)
    with (
        faultinj.inject("page.supply=return"),
        pytest.raises(shmalloc.OutOfMemory, match=r"at the fault point page.supply") as caught,
    ):
        zone.alloc(shmalloc.M_NOWAIT)
    assert caught.value.forced == "page.supply"
    with faultinj.inject("bucket.create=return"), pytest.raises(shmalloc.OutOfMemory) as real:
        [zone.alloc(shmalloc.M_NOWAIT) for _ in range(1 << 20)]  # does without buckets, then there is no page
    assert real.value.forced == ""
    assert "free items, call arena.reclaim()" in str(real.value)


def test_another_error_that_a_point_forced_says_so_in_a_note(arena: shmalloc.Arena) -> None:
    faultinj.arm(arena)
    queue = arena.queue("q", depth=4)
    zone = arena.zone("frame", size=64)
    with faultinj.inject("queue.put=return"), pytest.raises(shmalloc.QueueFull) as caught:
        queue.put(zone.alloc(), timeout=0)
    assert any("fault point queue.put" in note for note in caught.value.__notes__)
    assert caught.value.forced == "queue.put"


def test_what_failed_because_of_the_failure_does_not_hide_who_made_it_fail(arena: shmalloc.Arena) -> None:
    block = faultinj.arm(arena)
    zone = arena.zone("frame", size=64, max_items=4)
    held = zone.alloc_many(zone.max)
    with (
        faultinj.inject("zone.alloc=return; lock.acquire=return"),
        pytest.raises(shmalloc.OutOfMemory) as caught,
    ):
        zone.alloc(shmalloc.M_WAITOK, timeout=0.001)  # counting the fail takes a lock, which is refused, too
    assert [row[1] for row in block.injections()][-2:] == ["zone.alloc", "lock.acquire"]
    assert caught.value.forced == "zone.alloc"
    zone.free_many(held)

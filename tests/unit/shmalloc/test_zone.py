"""Zones: creation, agreement about parameters, limits, bulk calls, figures, destruction."""

import math
import pickle
import threading
import time

import pytest

import shmalloc
from shmalloc import (
    M_NOWAIT,
    M_USE_RESERVE,
    M_WAITOK,
    M_ZERO,
    Arena,
    DoubleFree,
    ForeignItem,
    InvalidArgument,
    NameTooLong,
    SecondaryZone,
    Zone,
    ZoneBusy,
    ZoneExhausted,
    ZoneGone,
    ZoneMismatch,
    ZoneNotFound,
)


@pytest.mark.parametrize("size", [0, -1, (1 << 31) + 1, 1 << 80])
def test_bad_sizes_are_refused(arena: Arena, size: int) -> None:
    with pytest.raises(InvalidArgument) as caught:
        arena.zone("z", size=size)
    assert (caught.value.argument, caught.value.value) == ("size", size)
    assert arena.zone_names() == []


@pytest.mark.parametrize("align", [-8, 3, 24, 8192])
def test_bad_alignments_are_refused(arena: Arena, align: int) -> None:
    with pytest.raises(InvalidArgument) as caught:
        arena.zone("z", size=64, align=align)
    assert caught.value.argument == "align"


def test_bad_names_are_refused(arena: Arena) -> None:
    with pytest.raises(NameTooLong) as caught:
        arena.zone("x" * 32, size=8)
    assert caught.value.most == 31
    with pytest.raises(NameTooLong):
        arena.zone("ä" * 16, size=8)
    with pytest.raises(InvalidArgument):
        arena.zone("", size=8)
    with pytest.raises(InvalidArgument):
        arena.zone("a\0b", size=8)
    with pytest.raises(TypeError):
        arena.zone(3, size=8)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        arena.zone("z", size="8")  # type: ignore[arg-type]
    assert arena.zone("x" * 31, size=8).name == "x" * 31
    assert arena.zone("ä" * 15, size=8).name == "ä" * 15


@pytest.mark.parametrize("align", [1, 2, 8, 16, 64, 256, 4096])
def test_items_are_aligned_as_asked(arena: Arena, align: int) -> None:
    items = arena.zone("z", size=100, align=align).alloc_many(9)
    assert all(item.address_offset % align == 0 for item in items)
    assert len({item.address_offset for item in items}) == 9


@pytest.mark.parametrize("size", [1, 8, 100, 2048, 4096, 5000, 100_000, 1 << 20])
def test_every_size_gives_items_of_its_size(arena: Arena, size: int) -> None:
    zone = arena.zone("z", size=size)
    first, second = zone.alloc(), zone.alloc()
    assert zone.item_size == len(first) == size
    first[:] = b"\xaa" * size
    second[:] = b"\xbb" * size
    assert first[:] == b"\xaa" * size


def test_a_zone_is_opened_by_name_and_only_once_per_process(arena: Arena) -> None:
    zone = arena.zone("z", size=64)
    assert arena.zone("z") is zone
    assert arena.zone("z", size=64) is zone
    assert arena.zone("z").arena is arena
    assert isinstance(zone, Zone)
    with pytest.raises(ZoneNotFound) as caught:
        arena.zone("nobody")
    assert caught.value.zone == "nobody"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("size", 65),
        ("align", 256),
        ("refcnt", True),
        ("trash", True),
        ("keep", True),
        ("ctor", "unit.shmalloc.callback_functions:ctor_stamp"),
    ],
)
def test_a_name_taken_with_other_parameters_names_the_parameter(arena: Arena, field: str, value: object) -> None:
    arena.zone("z", size=64)
    with pytest.raises(ZoneMismatch) as caught:
        arena.zone("z", **{"size": 64, field: value})  # type: ignore[arg-type]
    assert (caught.value.zone, caught.value.field, caught.value.want) == ("z", field, value)
    assert caught.value.have != value


def test_the_limit_holds_is_whole_slabs_and_can_move(arena: Arena) -> None:
    zone = arena.zone("z", size=2048, max_items=5)
    effective = zone.max
    assert effective >= 5
    items = [zone.alloc(M_NOWAIT) for _ in range(effective)]
    assert zone.exhausted
    with pytest.raises(ZoneExhausted) as caught:
        zone.alloc(M_NOWAIT)
    assert (caught.value.zone, caught.value.limit, caught.value.in_use) == ("z", effective, effective)
    assert caught.value.waited is None
    assert zone.set_max(effective + 1) > effective
    items.append(zone.alloc(M_NOWAIT))
    assert zone.set_max(1) >= 1, "a limit below use is legal: nothing is taken away"
    with pytest.raises(ZoneExhausted):
        for _ in range(zone.statistics().items_per_slab):  # slabs that exist may still be filled
            items.append(zone.alloc(M_NOWAIT))
    assert zone.set_max(0) == 0
    items.append(zone.alloc(M_NOWAIT))
    zone.free_many(items)


def test_a_timeout_is_kept_and_named(arena: Arena) -> None:
    zone = arena.zone("z", size=4096, max_items=1)
    items = zone.alloc_many(zone.max)
    start = time.monotonic()
    with pytest.raises(ZoneExhausted) as caught:
        zone.alloc(M_WAITOK, timeout=0.05)
    assert 0.04 < time.monotonic() - start < 5
    assert caught.value.waited == pytest.approx(0.05)
    zone.free_many(items)


@pytest.mark.parametrize("timeout", [-1, -0.001, math.nan, -math.inf])
def test_bad_timeouts_are_refused(arena: Arena, timeout: float) -> None:
    zone = arena.zone("z", size=64, ctor="unit.shmalloc.callback_functions:ctor_stamp")
    with pytest.raises(InvalidArgument):
        zone.alloc_many(1, timeout=timeout)
    with pytest.raises(InvalidArgument):
        zone.alloc(timeout=timeout)
    with pytest.raises(TypeError):
        zone.alloc(timeout="1")  # type: ignore[arg-type]
    assert zone.alloc(timeout=math.inf)[0:1] == b"C"
    assert zone.alloc(timeout=10**400)[0:1] == b"C"


@pytest.mark.parametrize("flags", [M_NOWAIT | M_WAITOK, 0x8000, -1, 4])
def test_bad_flags_are_refused(arena: Arena, flags: int) -> None:
    zone = arena.zone("z", size=64)
    zone.alloc()
    with pytest.raises(InvalidArgument) as caught:
        zone.alloc(flags)
    assert caught.value.argument == "flags"


def test_a_sleeper_gets_what_another_thread_frees(arena: Arena) -> None:
    zone = arena.zone("z", size=4096, max_items=1)
    items = zone.alloc_many(zone.max)
    got: list[shmalloc.Item] = []
    thread = threading.Thread(target=lambda: got.append(zone.alloc(timeout=30)))
    thread.start()
    deadline = time.monotonic() + 30
    while zone.statistics().waiters == 0:
        assert time.monotonic() < deadline
    items.pop().free()
    thread.join(30)
    assert not thread.is_alive()
    assert len(got) == 1
    assert zone.statistics().sleeps >= 1
    zone.free_many(items + got)


def test_zeroed_items_are_zero(arena: Arena) -> None:
    zone = arena.zone("z", size=300)
    item = zone.alloc()
    item[:] = b"\xff" * 300
    item.free()
    assert zone.alloc(M_ZERO)[:] == bytes(300)
    assert zone.alloc(M_ZERO | M_NOWAIT)[:] == bytes(300)


@pytest.mark.parametrize("count", [0, 1, 64, 128, 129, 1000])
def test_bulk_calls_allocate_and_free_all(arena: Arena, count: int) -> None:
    zone = arena.zone("z", size=64)
    items = zone.alloc_many(count)
    assert len({item.address_offset for item in items}) == count
    assert zone.statistics().used == count
    zone.free_many(iter(items))
    assert all(item.freed for item in items)
    assert zone.statistics().used == 0


def test_bulk_allocation_is_all_or_none(arena: Arena) -> None:
    zone = arena.zone("z", size=2048, max_items=10)
    limit = zone.max
    with pytest.raises(ZoneExhausted, match="can never be had") as caught:
        zone.alloc_many(limit + 1)
    assert caught.value.asked == limit + 1
    held = zone.alloc_many(limit - 3)
    with pytest.raises(ZoneExhausted):
        zone.alloc_many(4, M_NOWAIT)
    assert zone.statistics().used == limit - 3
    rest = zone.alloc_many(3, M_NOWAIT)
    zone.free_many(held + rest)


@pytest.mark.parametrize("count", [-1, 1 << 25, 1 << 70])
def test_bad_counts_are_refused(arena: Arena, count: int) -> None:
    with pytest.raises(InvalidArgument):
        arena.zone("z", size=64).alloc_many(count)


def test_free_many_looks_before_it_frees(arena: Arena) -> None:
    zone, other = arena.zone("z", size=64), arena.zone("other", size=64)
    items = zone.alloc_many(3)
    stranger = other.alloc()
    with pytest.raises(ForeignItem):
        zone.free_many([*items, stranger])
    with pytest.raises(TypeError):
        zone.free_many([*items, b"bytes"])  # type: ignore[list-item]
    view = memoryview(items[2])
    with pytest.raises(BufferError):
        zone.free_many(items)
    view.release()
    assert not any(item.freed for item in items)
    items[1].free()
    with pytest.raises(DoubleFree):
        zone.free_many(items)
    assert not items[0].freed
    with pytest.raises(DoubleFree):
        zone.free_many([items[0], items[2], items[0]])
    assert zone.statistics().used == 0


def test_reserve_is_for_those_who_ask(arena: Arena) -> None:
    zone = arena.zone("z", size=2048, max_items=8, nobucket=True, reserve=2)
    items = []
    with pytest.raises(ZoneExhausted):
        for _ in range(zone.max + 1):
            items.append(zone.alloc(M_NOWAIT))
    assert len(items) == zone.max - 2
    items += [zone.alloc(M_NOWAIT | M_USE_RESERVE) for _ in range(2)]
    assert zone.statistics().reserve == 2
    zone.free_many(items)


def test_prealloc_makes_slabs_and_reclaim_gives_them_back(arena: Arena) -> None:
    zone = arena.zone("z", size=4096)
    zone.prealloc(50)
    assert zone.statistics().free >= 50
    _, slabs = zone.reclaim(shmalloc.RECLAIM_DRAIN_CPU)
    assert slabs >= 50
    assert zone.statistics().slabs == 0
    assert arena.reclaim() >= 50
    with pytest.raises(InvalidArgument):
        zone.reclaim(9)


def test_statistics_add_up(arena: Arena) -> None:
    zone = arena.zone("z", size=200)
    items = zone.alloc_many(10)
    items.pop().free()
    figures = zone.statistics()
    assert (figures.name, figures.id, figures.item_bytes) == ("z", zone.id, 200)
    assert (figures.allocs, figures.frees, figures.used) == (10, 1, 9)
    assert 50 < figures.efficiency <= 100
    assert figures.slabs * figures.items_per_slab == figures.used + figures.free
    (mine,) = zone.cpu_statistics()
    assert (mine.cpu, mine.zone, mine.allocs, mine.frees) == (arena.cpu_id, zone.id, 10, 1)
    with pytest.raises(AttributeError):
        figures.used = 3  # type: ignore[misc]


def test_secondary_zones_share_the_keg_and_its_limit(arena: Arena) -> None:
    zone = arena.zone("z", size=2048, max_items=4)
    second = zone.secondary("second", ctor="unit.shmalloc.callback_functions:ctor_stamp")
    assert isinstance(second, SecondaryZone)
    assert second.master == "z"
    assert second.item_size == 2048
    assert arena.zone("second") is second
    assert zone.secondary("second", ctor="unit.shmalloc.callback_functions:ctor_stamp") is second
    items = [second.alloc(M_NOWAIT) for _ in range(zone.max)]
    assert items[0][0:1] == b"C"
    with pytest.raises(ZoneExhausted):
        zone.alloc(M_NOWAIT)
    with pytest.raises(ForeignItem):
        zone.free_many(items)
    second.free_many(items)


def test_reference_counters_belong_to_the_item(arena: Arena) -> None:
    zone = arena.zone("z", size=64, refcnt=True)
    first, second = zone.alloc(), zone.alloc()
    count = zone.find_refcnt(first)
    start = count.get()
    assert count.add(2) == start + 2
    assert zone.find_refcnt(first).value == start + 2
    assert zone.find_refcnt(second).value == zone.find_refcnt(second).get()
    assert count.sub(2) == start
    first.free()
    with pytest.raises(shmalloc.StaleHandle):
        count.get()
    plain = arena.zone("plain", size=64)
    with pytest.raises(ZoneMismatch) as caught:
        plain.find_refcnt(plain.alloc())
    assert caught.value.field == "refcnt"


def test_destroying_a_zone_needs_its_items_back(arena: Arena) -> None:
    zone = arena.zone("z", size=64)
    items = zone.alloc_many(3)
    with pytest.raises(ZoneBusy) as caught:
        zone.destroy()
    assert caught.value.live == 3
    assert sorted(caught.value.handles) == sorted(item.handle for item in items)
    zone.free_many(items)
    zone.destroy()
    assert "z" not in arena.zone_names()
    for use in (zone.alloc, lambda: zone.alloc_many(1), zone.destroy, lambda: zone.set_max(3)):
        with pytest.raises(ZoneGone):
            use()
    fresh = arena.zone("z", size=128)
    assert len(fresh.alloc()) == 128
    with pytest.raises(ZoneGone):
        zone.alloc()


def test_a_full_table_of_zones_is_a_clear_error(arena_name: str) -> None:
    with Arena.create(arena_name, max_size="4M", max_zones=3) as arena:
        with pytest.raises(shmalloc.TableFull) as caught:
            for number in range(4):
                arena.zone(f"z{number}", size=64)
        assert (caught.value.table, caught.value.most) == ("zone", 3)
        arena.unlink()


def test_warnings_are_events(arena: Arena) -> None:
    zone = arena.zone("z", size=4096, max_items=1, warning="out of frames")
    items = zone.alloc_many(zone.max)
    with pytest.raises(ZoneExhausted):
        zone.alloc(M_NOWAIT)
    events = arena.events()
    assert any(event.kind == "warning" and "[zone: z] out of frames" in event.text for event in events)
    assert not arena.events(after=events[-1].seq)
    with pytest.raises(NameTooLong):
        zone.set_warning("x" * 64)
    zone.set_warning(None)
    zone.free_many(items)


def test_out_of_memory_names_the_sizes(arena_name: str) -> None:
    with Arena.create(arena_name, max_size="1M") as arena:
        zone = arena.zone("z", size=1 << 16)
        items = []
        with pytest.raises(shmalloc.OutOfMemory) as caught:
            for _ in range(17):
                items.append(zone.alloc(M_NOWAIT))
        assert caught.value.max_bytes == arena.max_size
        assert caught.value.asked_bytes == 1 << 16
        zone.free_many(items)
        assert arena.check().ok
        arena.unlink()


def test_a_zone_pickles_by_name(arena: Arena) -> None:
    zone = arena.zone("z", size=64)
    assert pickle.loads(pickle.dumps(zone)) is zone
    with pytest.raises(TypeError):
        Zone()

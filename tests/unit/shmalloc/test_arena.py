"""Arenas: create, attach, open, close, unlink, and what each refuses."""

import gc
import os
import pickle
import weakref
from pathlib import Path

import pytest

import shmalloc
from shmalloc import (
    Arena,
    ArenaClosed,
    ArenaExists,
    ArenaNotFound,
    ArenaTruncated,
    ArenaVersionMismatch,
    CpuSlotsExhausted,
    InvalidArgument,
    NameTooLong,
    NotAnArena,
    ReadOnly,
)

SHM = Path("/dev/shm")


def object_path(name: str) -> Path:
    return SHM / f"shmalloc.{name}"


def test_create_attach_and_close_give_slots_back(arena_name: str) -> None:
    with Arena.create(arena_name, max_size="1M", max_cpus=2) as first:
        assert (first.name, first.cpu_id, first.closed, first.read_only) == (arena_name, 0, False, False)
        assert first.max_size >= 1 << 20
        with Arena.attach(arena_name) as second:
            assert second.uuid == first.uuid
            assert second.cpu_id == 1
            assert [cpu.id for cpu in first.cpus() if cpu.alive] == [0, 1]
        assert [cpu.id for cpu in first.cpus()] == [0]
        with Arena.attach(arena_name) as third:
            assert third.cpu_id == 1


def test_the_object_is_private_and_sparse(arena_name: str) -> None:
    with Arena.create(arena_name, max_size="64G"):
        status = object_path(arena_name).stat()
        assert status.st_mode & 0o777 == 0o600
        assert status.st_size > 64 << 30
        assert status.st_blocks * 512 < 2 << 20


def test_create_refuses_a_name_that_is_taken(arena: Arena) -> None:
    with pytest.raises(ArenaExists) as caught:
        Arena.create(arena.name)
    assert caught.value.arena == arena.name


def test_attach_refuses_a_name_that_is_free(arena_name: str) -> None:
    with pytest.raises(ArenaNotFound):
        Arena.attach(arena_name)
    with pytest.raises(ArenaNotFound):
        Arena.unlink_name(arena_name)


def test_open_creates_once(arena_name: str) -> None:
    with Arena.open(arena_name, max_size="1M") as first, Arena.open(arena_name, max_size="2M") as second:
        assert first.uuid == second.uuid
        assert second.max_size == first.max_size


@pytest.mark.parametrize(
    "arguments",
    [
        {"max_size": 0},
        {"max_size": -1},
        {"max_size": "1X"},
        {"max_size": 1 << 60},
        {"max_cpus": 0},
        {"max_cpus": 4095},
        {"max_zones": 0},
        {"max_queues": 1 << 40},
        {"max_types": 255},
    ],
)
def test_geometry_out_of_range_is_refused_and_leaves_nothing(arena_name: str, arguments: dict[str, object]) -> None:
    with pytest.raises(InvalidArgument) as caught:
        Arena.create(arena_name, **arguments)  # type: ignore[arg-type]
    assert caught.value.argument in arguments
    assert not object_path(arena_name).exists()


def test_names_are_validated_before_anything_is_made() -> None:
    with pytest.raises(InvalidArgument):
        Arena.create("a/b")
    with pytest.raises(NameTooLong):
        Arena.open("x" * 200)
    with pytest.raises(TypeError):
        Arena.create(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        Arena()


def test_close_is_idempotent_and_ends_every_use(arena_name: str) -> None:
    arena = Arena.create(arena_name, max_size="1M")
    zone, queue = arena.zone("z", size=64), arena.queue("q")
    item = zone.alloc()
    arena.unlink()
    arena.close()
    arena.close()
    assert arena.closed
    assert item.freed
    uses = [
        zone.alloc,
        lambda: zone.alloc_many(2),
        lambda: zone.free_many([item]),
        zone.statistics,
        lambda: zone.max,
        lambda: queue.put(item),
        lambda: queue.get(timeout=0),
        lambda: len(queue),
        lambda: arena.zone("y", size=8),
        lambda: arena.queue("p"),
        lambda: arena.malloc(8),
        lambda: arena.adopt(1 << 100),
        arena.check,
        arena.statistics,
        arena.reclaim,
        lambda: arena.sysctl["vm.uma.wss_ms"],
        lambda: arena.uuid,
        item.free,
        lambda: item[0],
        lambda: item.read(),
        lambda: item.write(b"x"),
        lambda: memoryview(item),
        lambda: item.handle,
        item.ticket,
    ]
    for use in uses:
        with pytest.raises(ArenaClosed) as caught:
            use()
        assert caught.value.arena == arena_name


def test_a_thousand_attach_and_detach_rounds_leave_no_slot_behind(arena: Arena) -> None:
    for _ in range(1000):
        with Arena.attach(arena.name) as other:
            assert other.cpu_id == 1
    figures = arena.statistics()
    assert (figures.live_cpus, figures.dead_cpus) == (1, 0)
    assert figures.attaches == 1001


def test_more_attachments_than_slots_is_a_clear_error(arena_name: str) -> None:
    with Arena.create(arena_name, max_size="1M", max_cpus=2) as arena, Arena.attach(arena_name):
        with pytest.raises(CpuSlotsExhausted, match="max_cpus"):
            Arena.attach(arena_name)
        with Arena.attach(arena_name, read_only=True) as reader:
            assert reader.cpu_id is None
        arena.unlink()


def test_a_reader_looks_and_changes_nothing(arena: Arena) -> None:
    zone = arena.zone("z", size=64)
    item = zone.alloc()
    with Arena.attach(arena.name, read_only=True) as reader:
        assert reader.read_only
        assert reader.statistics().live_cpus == 1
        assert [figures.name for figures in reader.zone_statistics()] == ["z"]
        assert reader.check().findings == ()
        with pytest.raises(ReadOnly):
            reader.zone("y", size=8)
        with pytest.raises(ReadOnly):
            reader.zone("z").alloc()
        with pytest.raises(ReadOnly):
            reader.sysctl["vm.uma.warn_s"] = 1
    item.free()


def test_a_copy_on_disk_can_be_looked_at(arena: Arena, tmp_path: Path) -> None:
    items = arena.zone("z", size=64).alloc_many(3)
    copy = tmp_path / "dump"
    with object_path(arena.name).open("rb") as source, copy.open("wb") as target:
        at, end = 0, os.fstat(source.fileno()).st_size
        while at < end:  # what is sparse stays so
            try:
                data = os.lseek(source.fileno(), at, os.SEEK_DATA)
            except OSError:
                break
            at = os.lseek(source.fileno(), data, os.SEEK_HOLE)
            os.pwrite(target.fileno(), os.pread(source.fileno(), at - data, data), data)
        os.truncate(copy, end)
    with Arena.attach_file(copy) as dump:
        assert dump.read_only
        assert dump.zone_statistics()[0].used == 3
        assert dump.uuid == arena.uuid
    arena.zone("z").free_many(items)


def test_a_missing_foreign_empty_or_truncated_object_is_told_apart(arena_name: str, tmp_path: Path) -> None:
    path = object_path(arena_name)
    path.write_bytes(b"not an arena, but long enough to be looked at" * 200)
    with pytest.raises(NotAnArena):
        Arena.attach(arena_name)
    with Arena.create(arena_name + "b", max_size="1M") as arena:
        header = object_path(arena.name).read_bytes()[:4096]
        arena.unlink()
    path.write_bytes(header)
    with pytest.raises(ArenaTruncated):
        Arena.attach(arena_name)
    newer = bytearray(header)
    newer[8:12] = (99).to_bytes(4, "little")
    path.write_bytes(newer)
    with pytest.raises(ArenaVersionMismatch) as caught:
        Arena.attach(arena_name)
    assert (caught.value.have, caught.value.want) == (99, 2)
    path.write_bytes(b"")
    with pytest.raises(shmalloc.ArenaInvalid):
        Arena.attach(arena_name)
    path.write_bytes(b"SHMALLOC")
    with pytest.raises(shmalloc.ArenaInvalid):
        Arena.attach(arena_name)
    with pytest.raises(shmalloc.ArenaInvalid):
        Arena.attach_file(tmp_path / "empty") if (tmp_path / "empty").write_bytes(b"") == 0 else None


def test_unlink_removes_this_arena_and_no_other_of_its_name(arena_name: str) -> None:
    with Arena.create(arena_name, max_size="1M") as old:
        old.unlink()
        with pytest.raises(ArenaNotFound):
            old.unlink()
        with Arena.create(arena_name, max_size="1M") as new:
            with pytest.raises(ArenaNotFound):
                old.unlink()
            assert object_path(arena_name).exists()
            new.unlink()
        assert old.zone("z", size=8).alloc()[0:1]


def test_the_last_to_close_unlinks_if_it_was_asked_to(arena_name: str) -> None:
    first = Arena.create(arena_name, max_size="1M", unlink_on_last_close=True)
    second = Arena.attach(arena_name, unlink_on_last_close=True)
    first.close()
    assert object_path(arena_name).exists()
    second.close()
    assert not object_path(arena_name).exists()


def test_dropping_the_last_reference_closes(arena_name: str) -> None:
    arena = Arena.create(arena_name, max_size="1M", unlink_on_last_close=True)
    gone = weakref.ref(arena)
    zone = arena.zone("z", size=64)
    item = zone.alloc()
    del arena
    assert gone() is not None
    assert item.zone is zone
    del zone
    assert gone() is not None, "an item keeps its attachment"
    assert item.zone.arena is gone()
    del item
    assert gone() is None
    assert not object_path(arena_name).exists()


def test_nothing_of_an_arena_is_left_to_the_garbage_collector(arena_name: str) -> None:
    gc.disable()
    with Arena.create(arena_name, max_size="1M") as arena:
        zone, queue = arena.zone("z", size=64), arena.queue("q")
        items = zone.alloc_many(10)
        queue.put_many(items[:4])
        queue.get_many(4)
        refs = [weakref.ref(arena), weakref.ref(zone), weakref.ref(queue)]
        arena.unlink()
    del arena, zone, queue, items
    gone = [ref() for ref in refs]
    gc.enable()
    assert gone == [None, None, None]


def test_exported_views_outlive_close(arena_name: str) -> None:
    arena = Arena.create(arena_name, max_size="1M", unlink_on_last_close=True)
    other = Arena.attach(arena_name)
    zone = arena.zone("z", size=64)
    kept, lost = zone.alloc(), zone.alloc()
    kept.write(b"still here")
    view = memoryview(kept)
    arena.close()
    assert other.zone("z").statistics().used == 1, "what has no view is freed at once"
    assert other.statistics().live_cpus == 2
    assert bytes(view[:10]) == b"still here"
    with pytest.raises(ArenaClosed):
        kept.read()
    assert lost.freed
    view[0] = 83
    view.release()
    assert other.zone("z").statistics().used == 0
    assert other.statistics().live_cpus == 1
    assert other.check().ok
    other.close()
    Arena.unlink_name(arena_name)


def test_one_view_of_many_keeps_only_its_item(arena_name: str) -> None:
    arena = Arena.create(arena_name, max_size="1M")
    arena.unlink()
    zone = arena.zone("z", size=64)
    items = zone.alloc_many(20)
    views = [memoryview(item) for item in items]
    for view in views[1::2]:
        view.release()
    arena.close()
    del items, zone
    for number, view in enumerate(views[::2]):
        view[0] = number
        assert view[0] == number
        view.release()


def test_zones_and_names_are_listed(arena: Arena) -> None:
    arena.zone("a", size=8)
    arena.zone("b", size=16)
    assert arena.zone_names() == ["a", "b"]
    assert [zone.name for zone in arena.zones()] == ["a", "b"]
    assert [figures.name for figures in arena.zone_statistics()] == ["a", "b"]
    assert arena.zone_statistics(internal=True)[:2] == arena.zone_statistics()


def test_an_arena_pickles_to_this_processes_attachment(arena: Arena) -> None:
    assert pickle.loads(pickle.dumps(arena)) is arena
    data = pickle.dumps(arena)
    assert len(data) < 300


def test_a_pickle_of_an_arena_that_is_gone_is_refused(arena_name: str) -> None:
    with Arena.create(arena_name, max_size="1M") as old:
        data = pickle.dumps(old)
        old.unlink()
    with pytest.raises(ArenaNotFound):
        pickle.loads(data)
    with Arena.create(arena_name, max_size="1M"), pytest.raises(ArenaNotFound):
        pickle.loads(data)


def test_malloc_counts_by_type(arena: Arena) -> None:
    items = [arena.malloc(size, type="packet") for size in (1, 100, 5000, 300_000)]
    assert [len(item) for item in items] == [1, 100, 5000, 300_000]
    items[3][299_999] = 7
    (figures,) = [entry for entry in arena.malloc_types() if entry.name == "packet"]
    assert (figures.in_use, figures.requests) == (4, 4)
    assert figures.bytes >= 305_101
    for item in items[:2]:
        item.free()
    del items, item
    (figures,) = [entry for entry in arena.malloc_types() if entry.name == "packet"]
    assert (figures.in_use, figures.bytes) == (0, 0)


def test_malloc_refuses_bad_sizes_and_types(arena: Arena) -> None:
    for size in (0, -1, 1 << 60):
        with pytest.raises(InvalidArgument):
            arena.malloc(size)
    with pytest.raises(NameTooLong):
        arena.malloc(8, type="x" * 32)
    with pytest.raises(shmalloc.OutOfMemory) as caught:
        arena.malloc(1 << 40, flags=shmalloc.M_NOWAIT)
    assert caught.value.asked_bytes == 1 << 40
    assert caught.value.max_bytes == arena.max_size

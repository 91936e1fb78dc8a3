"""Items as buffers, their direct reads and writes, and every way in which they end."""

import copy
import gc
import os
import pickle
import random
import sys

import pytest

import shmalloc
from shmalloc import (
    M_ZERO,
    Arena,
    DoubleFree,
    ForeignItem,
    InvalidArgument,
    Item,
    ItemFreed,
    MemoryModified,
    NotOwner,
    StaleHandle,
    Zone,
)


@pytest.fixture
def zone(arena: Arena) -> Zone:
    return arena.zone("z", size=100)


def test_slices_behave_like_a_bytearrays(zone: Zone) -> None:
    item, model = zone.alloc(), bytearray(100)
    item[:] = bytes(100)
    rng = random.Random(7)
    for _ in range(2000):
        start, stop = rng.randint(-120, 120), rng.randint(-120, 120)
        step = rng.choice([None, 1, 1, 2, -1, -3, 7])
        key = slice(rng.choice([None, start]), rng.choice([None, stop]), step)
        assert item[key] == bytes(model[key]), key
        if step in (None, 1):
            data = rng.randbytes(len(model[key]))
            item[key] = rng.choice([bytes, bytearray, memoryview])(data)
            model[key] = data
        index = rng.randint(-100, 99)
        item[index] = model[index] = rng.randint(0, 255)
        assert item[index] == model[index]
    assert bytes(memoryview(item)) == bytes(model)


def test_an_item_never_changes_size(zone: Zone) -> None:
    item = zone.alloc()
    for data in (b"", b"abc", bytes(101)):
        with pytest.raises(InvalidArgument):
            item[0:2] = data
        with pytest.raises(InvalidArgument):
            item[0:2] = bytearray(data)
    with pytest.raises(InvalidArgument):
        item[0:10:2] = b"abcde"
    with pytest.raises(TypeError):
        del item[0]
    for index in (100, -101, 1 << 70):
        with pytest.raises(IndexError):
            item[index]
        with pytest.raises(IndexError):
            item[index] = 1
    for value in (-1, 256, 1.5, "a", True):
        with pytest.raises(InvalidArgument):
            item[0] = value
    with pytest.raises(TypeError):
        item[0:2] = "ab"
    with pytest.raises(TypeError):
        item["a"]


def test_read_and_write_stay_inside(zone: Zone) -> None:
    item = zone.alloc(M_ZERO)
    assert item.write(b"hello") == 5
    assert item.write(bytearray(b"world"), 5) == 5
    assert item.write(memoryview(b"!"), offset=99) == 1
    assert item.write(b"", 100) == 0
    assert item.read(10) == b"helloworld"
    assert item.read(5, 5) == b"world"
    assert item.read(offset=99) == b"!"
    assert item.read(1000, 98) == b"\0!"
    assert item.read(offset=100) == b""
    for data, offset in ((b"ab", 99), (bytearray(101), 0), (b"a", -1), (b"", 101)):
        with pytest.raises(InvalidArgument):
            item.write(data, offset)
    for offset in (-1, 101):
        with pytest.raises(InvalidArgument):
            item.read(1, offset)
    with pytest.raises(TypeError):
        item.write("text")  # type: ignore[arg-type]


def test_the_buffer_is_bytes_writable_and_one_dimensional(zone: Zone) -> None:
    item = zone.alloc()
    with memoryview(item) as view:
        assert (view.format, view.itemsize, view.ndim, view.shape, view.strides) == ("B", 1, 1, (100,), (1,))
        assert not view.readonly
        assert view.contiguous
        assert view.obj is item
        view[5:8] = b"abc"
    assert item[5:8] == b"abc"
    assert bytes(item)[5:8] == b"abc"
    read, write = os.pipe()
    os.write(write, b"zero copy")
    assert os.readv(read, [item]) == 9
    assert item.read(9) == b"zero copy"
    os.close(read)
    os.close(write)


def test_two_items_can_be_copied_into_each_other(zone: Zone) -> None:
    first, second = zone.alloc(), zone.alloc()
    first[:] = os.urandom(100)
    assert second.write(first) == 100
    assert second[:] == first[:]


def test_numpy_sees_an_item(arena: Arena) -> None:
    numpy = pytest.importorskip("numpy")
    item = arena.zone("f", size=800).alloc()
    array = numpy.frombuffer(item, dtype=numpy.float64)
    array[:] = numpy.arange(100)
    with pytest.raises(BufferError):
        item.free()
    del array
    assert numpy.frombuffer(item[:], dtype=numpy.float64).sum() == 4950
    item.free()


def test_free_is_once(zone: Zone) -> None:
    item = zone.alloc()
    item.free()
    assert item.freed
    with pytest.raises(DoubleFree):
        item.free()
    uses = (
        lambda: item[0],
        lambda: item[0:1],
        lambda: item.read(),
        lambda: item.write(b"x"),
        lambda: memoryview(item),
        lambda: item.handle,
        lambda: item.zone,
        lambda: item.address_offset,
        item.ticket,
        lambda: pickle.dumps(item),
        lambda: zone.find_refcnt(item),
    )
    for use in uses:
        with pytest.raises(ItemFreed):
            use()
    with pytest.raises(ItemFreed):
        item[0:1] = b"x"
    with pytest.raises(ItemFreed):
        item[0] = 1
    assert len(item) == 100
    assert "gone" in repr(item)


def test_an_item_freed_and_allocated_again_is_not_the_old_one(zone: Zone) -> None:
    old = zone.alloc()
    handle, offset = old.handle, old.address_offset
    old.free()
    new = zone.alloc()
    assert new.address_offset == offset, "the last one freed is the first one given"
    assert new.handle != handle
    with pytest.raises(ItemFreed):
        old.read()
    with pytest.raises(StaleHandle):
        zone.arena.adopt(handle)


def test_dropping_frees(zone: Zone) -> None:
    for _ in range(3):
        zone.alloc()
    items = [zone.alloc() for _ in range(500)]
    assert zone.statistics().used == 500
    del items
    assert zone.statistics().used == 0


def test_items_are_unknown_to_the_garbage_collector_and_keep_no_zone_alive(arena: Arena) -> None:
    zone = arena.zone("z", size=64)
    item = zone.alloc()
    assert not gc.is_tracked(item)
    count = sys.getrefcount(zone)
    more = zone.alloc_many(10)
    assert sys.getrefcount(zone) == count
    zone.free_many(more)
    del zone
    assert item.zone.name == "z"


def test_open_views_refuse_the_end(zone: Zone) -> None:
    item = zone.alloc()
    queue = zone.arena.queue("q")
    view = memoryview(item)[10:20]
    for end in (item.free, item.ticket, lambda: pickle.dumps(item), lambda: queue.put(item, timeout=0)):
        with pytest.raises(BufferError):
            end()
    assert not item.freed
    view.release()
    item.free()


def test_a_dropped_item_lives_as_long_as_its_views(zone: Zone) -> None:
    item = zone.alloc()
    item.write(b"abc")
    view = memoryview(item)
    del item
    assert zone.statistics().used == 1
    assert bytes(view[:3]) == b"abc"
    del view
    assert zone.statistics().used == 0


def test_a_ticket_moves_the_item_once(zone: Zone) -> None:
    item = zone.alloc()
    item.write(b"cargo")
    before = item.handle
    handle = item.ticket()
    assert handle != before, "a hand-over ends the handles made before it"
    assert item.freed
    with pytest.raises(ItemFreed, match="handed over"):
        item.read()
    with pytest.raises(ItemFreed):
        item.free()
    assert zone.statistics().used == 1
    with pytest.raises(StaleHandle):
        zone.arena.adopt(before)
    taken = zone.arena.adopt(handle)
    assert taken.read(5) == b"cargo"
    assert taken.zone is zone
    with pytest.raises((StaleHandle, NotOwner)):
        zone.arena.adopt(handle)
    taken.free()


def test_handles_that_were_never_given_are_refused(zone: Zone) -> None:
    item = zone.alloc()
    arena, handle = zone.arena, item.handle
    with pytest.raises(NotOwner):
        arena.adopt(handle)
    for wrong in (0, -1, 1 << 108, 1 << 200):
        with pytest.raises(InvalidArgument):
            arena.adopt(wrong)
    for wrong in (handle + 1, handle + 8, handle ^ (1 << 96), handle | (0xFFF << 96), handle | (1 << 40), 5, 1 << 63):
        with pytest.raises((ForeignItem, shmalloc.MisalignedItem, StaleHandle, shmalloc.ShmallocError)):
            arena.adopt(wrong)
    with pytest.raises(StaleHandle):
        arena.adopt(handle + (1 << 64))
    with pytest.raises(TypeError):
        arena.adopt("1")  # type: ignore[arg-type]
    assert item.handle == handle


def test_pickling_is_a_ticket_of_tens_of_bytes(zone: Zone) -> None:
    item = zone.alloc()
    item.write(b"cargo")
    data = pickle.dumps(item)
    assert len(data) < 250
    assert item.freed
    again = pickle.loads(data)
    assert again.read(5) == b"cargo"
    with pytest.raises((StaleHandle, NotOwner)):
        pickle.loads(data)


def test_items_cannot_be_copied_or_made(zone: Zone) -> None:
    item = zone.alloc()
    with pytest.raises(TypeError, match="cannot be copied"):
        copy.copy(item)
    with pytest.raises(TypeError, match="cannot be copied"):
        copy.deepcopy(item)
    with pytest.raises(TypeError, match="comes from"):
        Item()
    bare = Item.__new__(Item)
    assert bare.freed
    for use in (bare.free, bare.read, lambda: bare[0], lambda: memoryview(bare), lambda: bare.handle, bare.ticket):
        with pytest.raises(ItemFreed):
            use()
    assert not item.freed


def test_an_overrun_of_a_redzone_is_found_at_free(arena: Arena) -> None:
    zone = arena.zone("z", size=64, redzone=True)
    item = zone.alloc()
    item[:] = b"\xff" * 64
    item.free()
    item = zone.alloc()
    item[63] = 1
    assert len(item) == 64


def test_a_write_after_free_is_found_in_a_trash_zone(arena_name: str) -> None:
    with Arena.create(arena_name, max_size="1M") as arena:
        zone = arena.zone("z", size=64, trash=True)
        item = zone.alloc()
        offset = item.address_offset
        item.free()
        with open(f"/dev/shm/shmalloc.{arena_name}", "r+b") as memory:
            memory.seek(offset + 8)
            memory.write(b"scribble")
        with pytest.raises(MemoryModified):
            for _ in range(200):
                zone.alloc_many(1)
        arena.unlink()

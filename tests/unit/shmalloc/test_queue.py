"""Queues: order, limits, waiting, bulk calls, and what they refuse."""

import pickle
import queue as stdlib_queue
import threading
import time

import pytest

import shmalloc
from shmalloc import (
    Arena,
    ForeignItem,
    InvalidArgument,
    Item,
    ItemFreed,
    NameTooLong,
    Queue,
    QueueBusy,
    QueueEmpty,
    QueueFull,
    Zone,
    ZoneGone,
    ZoneMismatch,
)


@pytest.fixture
def zone(arena: Arena) -> Zone:
    return arena.zone("z", size=64)


@pytest.fixture
def queue(arena: Arena) -> Queue:
    return arena.queue("q", depth=4)


def numbered(zone: Zone, count: int) -> list[Item]:
    items = zone.alloc_many(count)
    for number, item in enumerate(items):
        item[0] = number
    return items


def test_items_come_out_in_order_and_belong_to_the_receiver(zone: Zone, queue: Queue) -> None:
    items = numbered(zone, 3)
    for item in items:
        queue.put(item)
        assert item.freed
        with pytest.raises(ItemFreed):
            queue.put(item)
    assert len(queue) == 3
    assert [queue.get()[0] for _ in range(3)] == [0, 1, 2]
    assert zone.statistics().used == 0


def test_a_full_queue_refuses_and_the_item_stays(zone: Zone, queue: Queue) -> None:
    items = numbered(zone, 5)
    assert queue.depth == 4
    for item in items[:4]:
        queue.put(item, timeout=0)
    for timeout in (0, 0.02):
        with pytest.raises(QueueFull) as caught:
            queue.put(items[4], timeout=timeout)
        assert isinstance(caught.value, stdlib_queue.Full)
        assert (caught.value.queue, caught.value.depth, caught.value.waited) == ("q", 4, pytest.approx(timeout))
    assert items[4][0] == 4
    assert [item[0] for item in queue.get_many(10)] == [0, 1, 2, 3]


def test_an_empty_queue_refuses_in_time(queue: Queue) -> None:
    with pytest.raises(QueueEmpty):
        queue.get(timeout=0)
    start = time.monotonic()
    with pytest.raises(stdlib_queue.Empty):
        queue.get(timeout=0.05)
    assert 0.04 < time.monotonic() - start < 5
    with pytest.raises(QueueEmpty):
        queue.get_many(3, timeout=0)
    for timeout in (-1, float("nan")):
        with pytest.raises(InvalidArgument):
            queue.get(timeout=timeout)


def test_waiters_are_woken_on_both_sides(zone: Zone, queue: Queue) -> None:
    seen: list[int] = []

    def consume() -> None:
        seen.extend(queue.get(timeout=30)[0] for _ in range(200))

    thread = threading.Thread(target=consume)
    thread.start()
    for number in range(200):
        item = zone.alloc()
        item[0] = number
        queue.put(item, timeout=30)
    thread.join(30)
    assert seen == list(range(200))


def test_put_many_takes_what_fits_and_says_how_many(zone: Zone, queue: Queue) -> None:
    items = numbered(zone, 6)
    assert queue.put_many(items, timeout=0) == 4
    assert [item.freed for item in items] == [True] * 4 + [False] * 2
    with pytest.raises(QueueFull):
        queue.put_many(items[4:], timeout=0)
    assert not items[4].freed
    assert [item[0] for item in queue.get_many(3)] == [0, 1, 2]
    assert queue.put_many(items[4:], timeout=0) == 2
    assert [item[0] for item in queue.get_many(64, timeout=0)] == [3, 4, 5]
    assert queue.put_many([]) == 0


def test_items_of_several_zones_travel_together(arena: Arena, zone: Zone) -> None:
    queue = arena.queue("wide", depth=256)
    other = arena.zone("other", size=128)
    items = [item for pair in zip(numbered(zone, 100), other.alloc_many(100), strict=True) for item in pair]
    assert queue.put_many(items) == 200
    got = queue.get_many(200)
    assert [len(item) for item in got] == [64, 128] * 100
    assert [item[0] for item in got[::2]] == list(range(100))
    assert got[1].zone is other


def test_malloc_memory_travels_too(arena: Arena, queue: Queue) -> None:
    item = arena.malloc(77, type="label")
    item.write(b"label")
    queue.put(item)
    got = queue.get()
    assert (len(got), got.read(5)) == (77, b"label")
    del got
    assert arena.malloc_types()[0].in_use == 0


def test_put_many_refuses_before_it_moves_anything(zone: Zone, queue: Queue) -> None:
    items = numbered(zone, 3)
    with pytest.raises(TypeError):
        queue.put_many([*items, 3])  # type: ignore[list-item]
    with pytest.raises(InvalidArgument):
        queue.put_many([items[0], items[0]])
    view = memoryview(items[1])
    with pytest.raises(BufferError):
        queue.put_many(items)
    view.release()
    items[2].free()
    with pytest.raises(ItemFreed):
        queue.put_many(items)
    assert len(queue) == 0
    assert not items[0].freed


def test_items_of_another_arena_are_refused(arena_name: str, queue: Queue) -> None:
    with Arena.create(arena_name + "x", max_size="1M", unlink_on_last_close=True) as other:
        item = other.zone("z", size=64).alloc()
        with pytest.raises(ForeignItem):
            queue.put(item)
        with pytest.raises(ForeignItem):
            queue.put_many([item])
        with pytest.raises(TypeError):
            queue.put(None)  # type: ignore[arg-type]
        assert not item.freed


def test_queues_are_opened_by_name(arena: Arena, queue: Queue) -> None:
    assert arena.queue("q").depth == 4
    assert arena.queue("new").depth == 64
    with pytest.raises(ZoneMismatch) as caught:
        arena.queue("q", depth=5)
    assert (caught.value.field, caught.value.have, caught.value.want) == ("depth", 4, 5)
    for depth in (0, -1, 1 << 60):
        with pytest.raises(InvalidArgument):
            arena.queue("bad", depth=depth)
    with pytest.raises(NameTooLong):
        arena.queue("x" * 32)
    with pytest.raises(TypeError):
        Queue()
    assert pickle.loads(pickle.dumps(queue)).name == "q"


def test_figures_count_what_passed(arena: Arena, zone: Zone, queue: Queue) -> None:
    queue.put_many(numbered(zone, 4))
    queue.get().free()
    figures = queue.statistics()
    assert (figures.name, figures.length, figures.depth) == ("q", 3, 4)
    assert (figures.puts, figures.gets, figures.item_waiters, figures.space_waiters) == (4, 1, 0, 0)
    assert arena.queue_statistics() == [figures]
    queue.get_many(3)


def test_destroying_needs_an_empty_queue(arena: Arena, zone: Zone, queue: Queue) -> None:
    queue.put(zone.alloc())
    with pytest.raises(QueueBusy):
        queue.destroy()
    queue.get().free()
    queue.destroy()
    item = zone.alloc()
    for use in (lambda: queue.put(item), lambda: queue.get(timeout=0), queue.destroy):
        with pytest.raises(ZoneGone):
            use()
    assert not item.freed
    assert arena.queue_statistics() == []


def test_what_is_in_a_queue_survives_its_sender(arena_name: str) -> None:
    with Arena.create(arena_name, max_size="1M") as keeper:
        with Arena.attach(arena_name) as sender:
            item = sender.zone("z", size=64).alloc()
            item.write(b"letter")
            sender.queue("q").put(item)
        assert keeper.queue("q").get(timeout=0).read(6) == b"letter"
        assert shmalloc.Arena.attach(arena_name).close() is None
        keeper.unlink()

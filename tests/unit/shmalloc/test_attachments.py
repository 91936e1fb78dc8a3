"""The life of attachments: threads that sleep while another closes, signals, and the process's own end."""

import threading
import time
from collections.abc import Callable

import pytest

import shmalloc
from shmalloc import Arena, ArenaClosed, Queue, Zone
from shmalloc.attachments import attached, close_all

WAITS: dict[str, Callable[[Zone, Queue], object]] = {
    "alloc": lambda zone, queue: zone.alloc(),
    "alloc_many": lambda zone, queue: zone.alloc_many(1),
    "get": lambda zone, queue: queue.get(),
    "get_many": lambda zone, queue: queue.get_many(3),
}


@pytest.mark.parametrize("wait", WAITS)
@pytest.mark.parametrize("exported", [False, True])
def test_close_lets_sleeping_threads_go(arena: Arena, wait: str, exported: bool) -> None:
    zone = arena.zone("z", size=4096, max_items=1)
    held = zone.alloc_many(zone.max)
    other = Arena.attach(arena.name)
    theirs, queue = other.zone("z"), other.queue("q")
    view = memoryview(other.malloc(10)) if exported else None
    ended: list[type[BaseException]] = []

    def sleep() -> None:
        try:
            WAITS[wait](theirs, queue)
        except shmalloc.ShmallocError as error:
            ended.append(type(error))

    thread = threading.Thread(target=sleep, daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while zone.statistics().waiters + arena.queue("q").statistics().item_waiters == 0:
        assert time.monotonic() < deadline, "nobody went to sleep"
    other.close()
    thread.join(30)
    assert ended == [ArenaClosed]
    assert arena.statistics().live_cpus == 1 + exported
    if view is not None:
        view.release()
    assert arena.statistics().live_cpus == 1
    assert arena.check().findings == ()
    assert zone.statistics().waiters == 0
    zone.free_many(held)


def test_several_attachments_of_one_process_are_cpus_of_their_own(arena: Arena) -> None:
    with Arena.attach(arena.name) as other:
        mine, theirs = arena.zone("z", size=64), other.zone("z")
        assert mine is not theirs
        item = mine.alloc()
        with pytest.raises(shmalloc.ForeignItem):
            theirs.free_many([item])
        assert theirs.alloc().address_offset != item.address_offset
        assert {row.cpu for row in mine.cpu_statistics()} == {arena.cpu_id, other.cpu_id}


def test_pickles_find_the_attachment_that_is_there_and_make_one_otherwise(arena: Arena) -> None:
    assert attached(arena.name, arena.uuid) is arena
    name, uuid = arena.name, arena.uuid
    keeper = Arena.attach(name)
    arena.close()
    assert attached(name, uuid) is keeper
    keeper.close()
    made = attached(name, uuid)
    assert not made.closed
    assert attached(name, uuid) is made
    made.close()
    assert attached(name, uuid) is not made
    close_all()


def test_close_all_closes_what_is_open(arena_name: str) -> None:
    arenas = [Arena.create(arena_name, max_size="1M"), Arena.attach(arena_name), Arena.attach(arena_name)]
    arenas[1].close()
    arenas[0].unlink()
    close_all()
    assert [arena.closed for arena in arenas] == [True, True, True]

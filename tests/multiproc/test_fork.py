"""fork: the child is a CPU of its own, and the parent's items stay the parent's."""

import gc
import multiprocessing
import os

import pytest

from multiproc import work
from multiproc.crew import Crew
from shmalloc import Arena


def test_a_forked_child_cannot_use_the_parents_items(arena: Arena) -> None:
    zone = arena.zone("z", size=64)
    item, more = zone.alloc(), zone.alloc_many(5)
    item.write(b"mine")
    with Crew("fork") as crew:
        crew.start(work.touch_inherited, arena, item, more)
        (seen,) = crew.results()
    assert set(seen["uses"].values()) == {"ForkedItem"}, seen["uses"]
    assert seen["cpu"] not in (None, arena.cpu_id)
    assert item.read(4) == b"mine"
    assert zone.statistics().used == 6
    assert [cpu.alive for cpu in arena.cpus()] == [True]
    more.clear()
    item.free()
    assert zone.statistics().used == 0


def test_a_child_that_leaves_through_exit_gives_its_slot_back(arena: Arena) -> None:
    arena.zone("z", size=64)
    with Crew("fork") as crew:
        crew.start(work.who_constructs, arena.name)
        crew.results()
    figures = arena.statistics()
    assert (figures.live_cpus, figures.dead_cpus) == (1, 0)


def _close_and_exit(arena: Arena) -> None:
    arena.close()


def test_closing_in_the_child_leaves_the_parent_alone(arena: Arena) -> None:
    zone = arena.zone("z", size=64)
    item = zone.alloc()
    view = memoryview(item)
    view[0] = 7
    with Crew("fork") as crew:
        crew.start(_close_and_exit, arena)
        crew.results()
    assert view[0] == 7
    view.release()
    item.free()
    assert zone.alloc()[0] == 7


def test_views_inherited_through_fork_free_nothing_in_the_child(arena: Arena) -> None:
    zone = arena.zone("z", size=64)
    item = zone.alloc()
    view = memoryview(item)
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            zone.alloc().free()
            view.release()
            del item, view
            gc.collect()
            arena.close()
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert zone.statistics().used == 1
    view.release()
    assert not item.freed


def test_items_of_a_vanished_child_come_back(arena: Arena) -> None:
    zone = arena.zone("z", size=2048, max_items=8)
    ours, theirs = multiprocessing.Pipe()
    pid = os.fork()
    if pid == 0:
        work.hold_and_vanish(arena.name, zone.max, theirs)
    assert len(ours.recv()) == zone.max
    os.waitpid(pid, 0)
    items = zone.alloc_many(zone.max, timeout=30)
    assert arena.statistics().dead_cpus == 0
    assert arena.check().ok
    zone.free_many(items)


def test_kept_items_of_a_vanished_child_are_adopted(arena: Arena) -> None:
    arena.zone("z", size=64, keep=True)
    ours, theirs = multiprocessing.Pipe()
    pid = os.fork()
    if pid == 0:
        work.hold_and_vanish(arena.name, 3, theirs)
    handles = ours.recv()
    os.waitpid(pid, 0)
    Arena.attach(arena.name).close()  # whoever comes next reaps
    arena.reclaim()
    adopted = [arena.adopt(handle) for handle in handles]
    assert sorted(item.handle for item in adopted) == sorted(handles)
    for item in adopted:
        item.free()


def _grandchild(arena: Arena) -> int:
    item = arena.zone("z").alloc()
    with Crew("fork") as crew:
        crew.start(work.touch_inherited, arena, item, [])
        (seen,) = crew.results()
    assert set(seen["uses"].values()) == {"ForkedItem"}
    assert arena.cpu_id is not None
    return arena.cpu_id


def test_children_of_children_are_cpus_too(arena: Arena) -> None:
    arena.zone("z", size=64)
    with Crew("fork") as crew:
        crew.start(_grandchild, arena)
        assert crew.results() == [1]


@pytest.mark.parametrize("order", ["before", "after"])
def test_dropping_an_inherited_item_frees_nothing_before_and_after_the_childs_first_operation(
    arena: Arena, order: str
) -> None:
    zone = arena.zone("z", size=64)
    items = zone.alloc_many(40)
    handles = [item.handle for item in items]
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            if order == "after":
                zone.alloc().free()
            items.clear()
            gc.collect()
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert [item.handle for item in items] == handles
    assert not any(item.freed for item in items)


def test_an_observer_sees_the_dead_before_they_are_reaped(arena: Arena) -> None:
    arena.zone("z", size=64)
    ours, theirs = multiprocessing.Pipe()
    pid = os.fork()
    if pid == 0:
        work.hold_and_vanish(arena.name, 3, theirs)
    ours.recv()
    os.waitpid(pid, 0)
    with Arena.attach(arena.name, observe=True) as observer:
        assert observer.statistics().dead_cpus == 1
        assert observer.zone_statistics()[0].used == 3
    Arena.attach(arena.name).close()
    assert arena.statistics().dead_cpus == 0
    assert arena.zone("z").statistics().used == 0

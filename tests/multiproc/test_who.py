"""Who holds what, across processes: a leak planted in one of three is found by process and line."""

import inspect
import os
from multiprocessing.connection import Connection
from typing import Any

import pytest

from multiproc.crew import DEADLINE_S, Crew
from shmalloc import Arena, Item


def allocate_and_leak(name: str, index: int, pipe: Connection) -> list[Item]:
    """Allocates and frees like the others; the one with index 1 keeps every tenth message."""
    kept: list[Item] = []
    with Arena.attach(name, cpu_name=f"worker{index}") as arena:
        zone = arena.zone("message")
        for round_ in range(100):
            item = zone.alloc()
            if index == 1 and round_ % 10 == 0:
                kept.append(leaky(arena))
            item.free()
        pipe.send(os.getpid())
        assert pipe.poll(DEADLINE_S)
        pipe.recv()
        if index == 1:
            arena.queue("q").put(kept.pop(0), timeout=30)
            pipe.send("passed")
            assert pipe.poll(DEADLINE_S)
            pipe.recv()
        for left in kept:
            left.free()
    return []


def leaky(arena: Arena) -> Item:
    """The line that leaks."""
    return arena.zone("message").alloc()


def leak_line() -> int:
    lines, first = inspect.getsourcelines(leaky)
    return first + next(i for i, line in enumerate(lines) if "alloc()" in line)


def leak_and_die(name: str, pipe: Connection) -> None:
    """Holds items and goes without a word."""
    arena = Arena.attach(name, cpu_name="doomed")
    items = [leaky(arena) for _ in range(4)]
    pipe.send(len(items))
    os._exit(0)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_leak_is_attributed_to_its_process_and_line_and_keeps_the_line_when_it_passes_on(
    arena_name: str, method: str
) -> None:
    with Arena.create(arena_name, max_size="8M", cpu_name="parent") as arena, Crew(method) as crew:
        arena.zone("message", size=200, trace=True)
        queue = arena.queue("q", depth=4)
        pipes: list[Any] = []
        for index in range(3):
            ours, theirs = crew.context.Pipe()
            crew.start(allocate_and_leak, arena_name, index, theirs)
            pipes.append(ours)
        for pipe in pipes:
            assert pipe.poll(DEADLINE_S)
        pids = [pipe.recv() for pipe in pipes]

        [leak] = arena.who()
        assert (leak.process, leak.pid, leak.alive, leak.count, leak.zone) == ("worker1", pids[1], True, 10, "message")
        assert leak.site is not None
        assert leak.site.split(" < ")[0] == f"{__file__}:{leak_line()} leaky"
        assert "allocate_and_leak" in leak.site.split(" < ")[1]
        assert [group.count for group in arena.who(pid=pids[1])] == [10]
        assert arena.who(pid=pids[0]) == []

        for pipe in pipes:
            pipe.send("go on")
        assert pipes[1].poll(DEADLINE_S)
        pipes[1].recv()
        queued = next(group for group in arena.who() if group.state == "queued")
        assert (queued.queue, queued.cpu, queued.site, queued.allocated_by) == ("q", None, leak.site, pids[1])
        item = queue.get(timeout=30)
        mine = next(group for group in arena.who() if group.pid == os.getpid())
        assert (mine.process, mine.site, mine.allocated_by, mine.count) == ("parent", leak.site, pids[1], 1)
        handle = arena.who_items(pid=os.getpid())[0].handle
        assert handle == item.handle
        item.free()
        pipes[1].send("done")
        crew.results()
        assert arena.who() == []
        assert arena.check().ok


def test_a_dead_holder_is_named_as_dead_until_it_is_reaped(arena_name: str) -> None:
    with Arena.create(arena_name, max_size="8M") as arena, Crew("spawn") as crew:
        arena.zone("message", size=200, trace=True)
        ours, theirs = crew.context.Pipe()
        pid = crew.start(leak_and_die, arena_name, theirs)
        theirs.close()
        assert ours.poll(DEADLINE_S)
        assert ours.recv() == 4
        child = crew._children.pop()[0]  # it returns nothing
        child.join(DEADLINE_S)
        [left] = arena.who()
        assert (left.process, left.pid, left.alive, left.count) == ("doomed", pid, False, 4)
        assert left.site is not None
        assert f":{leak_line()} leaky" in left.site
        assert arena.reap().freed == 4
        assert arena.who() == []

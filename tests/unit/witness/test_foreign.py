"""Watched locks behave as the interpreter's own, and their order, recursion and permits are told."""

import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

import shmalloc
from witness import _witness, arm, flags, read_graph
from witness.checker import Checker

Watched = _witness.ForeignLock


@pytest.fixture
def arena(arena_name: str) -> Iterator[shmalloc.Arena]:
    with shmalloc.Arena.create(arena_name, max_size="64M", unlink_on_last_close=True) as arena:
        yield arena


@pytest.fixture
def checker(arena: shmalloc.Arena) -> Checker:
    return arm(arena, output=None)


def lock(checker: Checker, name: str) -> _witness.WatchedLock:
    return _witness.WatchedLock(checker.native, checker.class_id(name, "foreign:threading.Lock", flags=flags.DUPOK))


def number(checker: Checker, name: str) -> int:
    return checker.class_id(name, "foreign:threading.Lock")


def rlock(checker: Checker, name: str) -> _witness.WatchedRLock:
    rules = flags.DUPOK | flags.RECURSABLE
    return _witness.WatchedRLock(checker.native, checker.class_id(name, "foreign:threading.RLock", flags=rules))


def test_orders_that_contradict_each_other_are_reported(arena: shmalloc.Arena, checker: Checker) -> None:
    a, b = lock(checker, "a"), rlock(checker, "b")
    with a, b:
        pass
    assert not read_graph(arena).reversals
    with b, a:
        pass
    assert [found.kind for found in read_graph(arena).reversals] == ["reversal"]


def test_a_lock_behaves_as_the_interpreters(checker: Checker) -> None:
    a = lock(checker, "a")
    assert a.acquire()
    assert a.locked()
    assert not a.acquire(blocking=False)
    assert not a.acquire(timeout=0.01)
    a.release()
    assert not a.locked()
    with pytest.raises(RuntimeError):
        a.release()
    with pytest.raises(ValueError, match="timeout"):
        a.acquire(timeout=-2)
    with pytest.raises(ValueError, match="timeout"):
        a.acquire(False, 1)
    with pytest.raises(OverflowError):
        a.acquire(timeout=threading.TIMEOUT_MAX + 1)


def test_taking_a_lock_that_the_thread_holds_is_told_before_it_would_hang(
    arena: shmalloc.Arena, checker: Checker
) -> None:
    a = lock(checker, "a")
    with a:
        assert not a.acquire(timeout=0.01)
    assert [found.kind for found in read_graph(arena).reversals] == ["recursion"]


def test_a_condition_over_a_watched_lock_holds_nothing_while_it_waits(arena: shmalloc.Arena, checker: Checker) -> None:
    b, other = rlock(checker, "b"), lock(checker, "other")
    condition = threading.Condition(b)  # type: ignore[arg-type]
    ready = threading.Event()
    seen: list[bool] = []

    def waiter() -> None:
        with condition, condition:
            ready.set()
            seen.append(condition.wait(timeout=30))

    thread = threading.Thread(target=waiter)
    thread.start()
    assert ready.wait(30)
    with condition:
        condition.notify()
    thread.join(30)
    assert seen == [True]
    with other:
        pass
    graph = read_graph(arena)
    assert not graph.reversals
    assert not graph.misuses
    assert not [edge for edge in graph.edges if number(checker, "other") in (edge.first, edge.second)]


def test_a_lock_that_another_thread_gives_back_is_not_held_any_more(arena: shmalloc.Arena, checker: Checker) -> None:
    a, b = lock(checker, "a"), lock(checker, "b")
    a.acquire()
    thread = threading.Thread(target=a.release)
    thread.start()
    thread.join(30)
    with b:
        pass
    with b, a:
        pass
    graph = read_graph(arena)
    assert not graph.reversals
    ids = {number(checker, "a"), number(checker, "b")}
    assert [(e.first, e.second) for e in graph.edges if ids <= {e.first, e.second}] == [
        (number(checker, "b"), number(checker, "a"))
    ]


SEMAPHORES = """
import threading
from shmalloc import Arena
import witness
from witness.foreign import watch_threading
import sys

with Arena.create(sys.argv[1], max_size="64M") as arena:
    checker = witness.arm(arena, output=None)
    watch_threading(checker.native)
    one = threading.BoundedSemaphore()
    two = threading.BoundedSemaphore()
    with one, two:
        pass
    with two, one:
        pass
    try:
        two.release()
    except ValueError:
        print("refused")
    many = threading.Semaphore()
    with many, one:
        pass
    with one, many:
        pass
    graph = witness.read_graph(arena)
    print([found.kind for found in graph.reversals], len(graph.misuses))
    arena.unlink()
"""


def test_bounded_semaphores_of_one_permit_have_an_order_and_others_have_none(arena_name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SEMAPHORES, arena_name], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "refused\n['reversal'] 0\n", done.stderr

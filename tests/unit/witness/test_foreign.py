"""Watched locks behave as the interpreter's own, and their order, recursion and permits are told."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

import shmalloc
from witness import _witness, arm, disarm, flags, read_graph
from witness.analysis import analyse
from witness.checker import Checker
from witness.foreign import RULES


@pytest.fixture
def arena(arena_name: str) -> Iterator[shmalloc.Arena]:
    with shmalloc.Arena.create(arena_name, max_size="64M", unlink_on_last_close=True) as arena:
        yield arena


@pytest.fixture
def checker(arena: shmalloc.Arena) -> Checker:
    return arm(arena, output=None)


def lock(checker: Checker, name: str) -> threading.Lock:
    number = checker.class_id(name, "foreign:threading.Lock", flags=RULES)
    return _witness.watch_lock(threading.Lock(), checker.native, number)


def number(checker: Checker, name: str) -> int:
    return checker.class_id(name, "foreign:threading.Lock")


def rlock(checker: Checker, name: str) -> threading.RLock:  # type: ignore[valid-type]
    rules = RULES | flags.RECURSABLE
    number = checker.class_id(name, "foreign:threading.RLock", flags=rules)
    return _witness.watch_lock(threading.RLock(), checker.native, number)


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


HANGS = """
import os, sys, threading
import shmalloc, witness
from witness.foreign import watch_threading

arena = shmalloc.Arena.attach(sys.argv[1])
checker = witness.arm(arena)
checker.output = lambda text: os._exit(3)
watch_threading(checker.native)
a = threading.Lock()
with a:
    a.acquire()
"""


def test_taking_a_lock_that_the_thread_holds_is_told_before_it_hangs(arena: shmalloc.Arena, checker: Checker) -> None:
    done = subprocess.run(
        [sys.executable, "-c", HANGS, arena.name], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 3, done.stderr
    assert [found.kind for found in read_graph(arena).reversals] == ["recursion"]


def test_who_waits_for_its_own_lock_for_a_time_waits_for_a_signal(arena: shmalloc.Arena, checker: Checker) -> None:
    a, b = lock(checker, "a"), rlock(checker, "b")
    with a:
        assert not a.acquire(timeout=0.01)
        assert not a.acquire(blocking=False)
        assert not a.acquire(timeout=0)
    with b, b:
        pass
    graph = read_graph(arena)
    assert not graph.reversals
    assert not graph.classes[number(checker, "a")].signal


def test_a_lock_that_goes_while_it_is_held_is_held_no_more(arena: shmalloc.Arena, checker: Checker) -> None:
    gone, b = lock(checker, "gone"), lock(checker, "b")
    gone.acquire()
    del gone
    with b:
        pass
    graph = read_graph(arena)
    assert not [edge for edge in graph.edges if number(checker, "b") in (edge.first, edge.second)]
    assert not graph.misuses


def test_the_locks_of_a_class_are_watched_each_for_itself(arena: shmalloc.Arena, checker: Checker) -> None:
    many = [lock(checker, f"class {i % 7}") for i in range(3000)]
    last = lock(checker, "last")
    del many[::3]
    for one in many:
        with one, last:
            assert not one.acquire(False)
    assert not many[0].locked()
    graph = read_graph(arena)
    into = [edge for edge in graph.edges if edge.second == number(checker, "last")]
    assert len(into) == 7
    assert sum(edge.count for edge in into) == 2000
    assert [graph.classes[edge.first].acquires for edge in into] == [edge.count for edge in into]


def handed_over(taken: threading.Lock, way: str) -> None:
    """A lock that one thread takes and another one gives back."""
    if way == "another gives it back":
        taken.acquire()
        thread = threading.Thread(target=taken.release)
    elif way == "its taker waits for that":
        taken.acquire()
        thread = threading.Thread(target=taken.release)
        thread.start()
        taken.acquire()
        taken.release()
        thread.join(30)
        return
    else:
        thread = threading.Thread(target=taken.acquire)
        thread.start()
        thread.join(30)
        taken.release()
        return
    thread.start()
    thread.join(30)


@pytest.mark.parametrize("way", ["another gives it back", "its taker waits for that", "its taker has ended"])
def test_a_lock_that_another_thread_gives_back_is_a_signal_and_has_no_order(
    arena: shmalloc.Arena, checker: Checker, way: str
) -> None:
    a, b = lock(checker, "a"), lock(checker, "b")
    with a, b:
        pass
    handed_over(a, way)
    with b, a:
        pass
    graph = read_graph(arena)
    assert graph.classes[number(checker, "a")].signal
    assert not graph.reversals
    assert not graph.misuses
    assert not [edge for edge in graph.edges if number(checker, "a") in (edge.first, edge.second)]


def test_a_reversal_that_only_a_signal_closed_hides_none(arena: shmalloc.Arena, checker: Checker) -> None:
    a, s, b = lock(checker, "a"), lock(checker, "s"), lock(checker, "b")
    for first, second in ((a, s), (s, b), (b, a)):
        with first, second:
            pass
    assert len(read_graph(arena).reversals) == 1
    handed_over(s, "another gives it back")
    assert not analyse(read_graph(arena)).findings
    with a, b:
        pass
    [finding] = analyse(read_graph(arena)).findings
    assert sorted(finding.classes) == sorted((number(checker, "a"), number(checker, "b")))


def test_two_locks_of_one_class_in_contrary_orders_are_told_unless_they_are_signals(
    arena: shmalloc.Arena, checker: Checker
) -> None:
    one, two = lock(checker, "a"), lock(checker, "a")
    with one, two:
        pass
    assert not read_graph(arena).reversals
    with two, one:
        pass
    [found] = read_graph(arena).reversals
    assert (found.first, found.second) == (number(checker, "a"),) * 2
    handed_over(one, "another gives it back")
    graph = read_graph(arena)
    assert not graph.reversals
    assert not [edge for edge in graph.edges if number(checker, "a") in (edge.first, edge.second)]


def test_a_recursive_lock_taken_again_under_another_makes_no_order(arena: shmalloc.Arena, checker: Checker) -> None:
    a, b = rlock(checker, "a"), lock(checker, "b")
    with a, b, a:
        pass
    graph = read_graph(arena)
    assert not graph.reversals
    assert [(edge.first, edge.second) for edge in graph.edges if number(checker, "b") in (edge.first, edge.second)] == [
        (checker.class_id("a", "foreign:threading.RLock"), number(checker, "b"))
    ]


def test_locks_made_after_the_graph_was_left_say_nothing(arena: shmalloc.Arena, checker: Checker) -> None:
    watch, known = checker.native, number(checker, "a")
    disarm(arena)
    with _witness.watch_lock(threading.Lock(), watch, known):
        pass
    semaphore = _witness.ForeignLock(watch, known)
    semaphore.waits()
    semaphore.taken()
    semaphore.given(semaphore.owner)


def test_a_thread_that_ends_with_a_lock_is_told(arena: shmalloc.Arena, checker: Checker) -> None:
    a = rlock(checker, "a")
    thread = threading.Thread(target=a.acquire)
    thread.start()
    thread.join(30)
    deadline = time.monotonic() + 60
    while not checker.sweep():  # the kernel's thread ends a little after Python's
        assert time.monotonic() < deadline
    assert [misuse.what for misuse in read_graph(arena).misuses] == ["thread ended with a lock held"]


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


SEMAPHORES = """
import threading
from shmalloc import Arena
import witness
from witness.run.enter import watch_kinds
import sys

with Arena.create(sys.argv[1], max_size="64M") as arena:
    checker = witness.arm(arena, output=None)
    watch_kinds(checker.native)
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
    many = threading.Semaphore(2)
    signal = threading.BoundedSemaphore()
    with one:
        assert not one.acquire(timeout=0.01)
        with signal:
            pass
    signal.acquire()
    thread = threading.Thread(target=signal.release)
    thread.start()
    thread.join()
    with signal, one:
        pass
    forgotten = threading.BoundedSemaphore()
    forgotten.acquire()
    del forgotten
    with many, one:
        pass
    with one, many:
        pass
    graph = witness.read_graph(arena)
    print([found.kind for found in graph.reversals], len(graph.misuses))
    arena.unlink()
"""


def test_bounded_semaphores_of_one_permit_have_an_order_and_counts_have_none(arena_name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SEMAPHORES, arena_name], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "refused\n['reversal'] 0\n", done.stderr

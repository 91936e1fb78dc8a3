"""`witness why`: rings of processes and threads that really wait for each other, and waits that are none."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

import witness
from multiproc.crew import DEADLINE_S, Crew
from shmalloc import Arena, OwnerDied
from witness.live import Situation, ThreadNow, Unwatched, why

PATIENCE_S = 100.0  # of those that wait: longer than any test looks


def take_then_wait(name: str, first: str, second: str, out: Connection, go: Connection) -> None:
    """Holds `first`, and once told to, waits for `second`."""
    with Arena.attach(name) as arena:
        mine, other = arena.mutex(first), arena.mutex(second)
        mine.acquire()
        out.send("holds")
        go.recv()
        try:
            other.acquire(timeout=PATIENCE_S)
        except OwnerDied:
            out.send("got it of the dead")
        else:
            out.send("got it")
        go.recv()


class Waiter:
    """A process that holds one lock of an arena and waits for another when told to."""

    def __init__(self, crew: Crew, arena: Arena, first: str, second: str) -> None:
        self.out, theirs = crew.context.Pipe(duplex=False)
        go, self.go = crew.context.Pipe(duplex=False)
        self.process = crew.context.Process(  # type: ignore[attr-defined]
            target=take_then_wait, args=(arena.name, first, second, theirs, go)
        )
        self.process.start()
        assert self.hears() == "holds"

    @property
    def pid(self) -> int:
        """Its process."""
        return int(self.process.pid)

    def hears(self) -> Any:
        """What it says next."""
        assert self.out.poll(DEADLINE_S)
        return self.out.recv()


@contextmanager
def waiters(arena: Arena, *pairs: tuple[str, str]) -> Iterator[list[Waiter]]:
    """A process for each (held, wanted); all are ended with the block."""
    witness.arm(arena, output=None)
    crew = Crew("spawn")
    made: list[Waiter] = []
    try:
        for first, second in pairs:
            made.append(Waiter(crew, arena, first, second))
        for one in made:
            one.go.send("wait")
        yield made
    finally:
        for one in made:
            one.process.kill()
            one.process.join()
            one.process.close()


def until(target: str | int | None, holds: Callable[[Situation], bool]) -> Situation:
    """Look until it is so, and for no longer than a minute."""
    end = time.monotonic() + DEADLINE_S
    while not holds(situation := why(target)):
        assert time.monotonic() < end, situation
    return situation


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    """`witness why` with these arguments."""
    words = [sys.executable, "-m", "witness.cli", "why", *(str(argument) for argument in arguments)]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)


def lock_of(one: ThreadNow) -> str:
    """What it waits for."""
    assert one.waits is not None
    return one.waits.lock.name


def test_two_processes_that_wait_for_each_other_are_a_deadlock_with_every_stack(arena: Arena) -> None:
    with waiters(arena, ("a", "b"), ("b", "a")) as (one, two):
        situation = until(arena.name, lambda now: bool(now.deadlocks))
        [ring] = situation.deadlocks
        assert {thread.pid: lock_of(thread) for thread in ring} == {one.pid: "b", two.pid: "a"}
        assert all(thread.waits is not None and thread.waits.stack[0].function == "take_then_wait" for thread in ring)
        assert all(thread.holds[0].stack[0].function == "take_then_wait" for thread in ring)
        assert why(one.pid).deadlocks  # found by a pid alone
        assert {one.pid, two.pid} in [{thread.pid for thread in found} for found in why().deadlocks]

        told = command(arena.name)
        assert told.returncode == 1, told.stderr
        assert "DEADLOCK: 2 threads wait for each other" in told.stdout
        assert told.stdout.count('mutex "a"') == 1
        assert told.stdout.count("which waits itself") == 2
        plain = command(two.pid, "--json")
        assert plain.returncode == 1
        [wait] = [wait for wait in json.loads(plain.stdout)["waits"] if wait["pid"] == two.pid]
        assert wait["deadlocked"]
        assert wait["lock"]["name"] == "a"
        assert [holder["pid"] for holder in wait["holders"]] == [one.pid]


def test_three_processes_in_a_ring_are_one_deadlock(arena: Arena) -> None:
    with waiters(arena, ("a", "b"), ("b", "c"), ("c", "a")) as members:
        situation = until(arena.name, lambda now: bool(now.deadlocks))
        [ring] = situation.deadlocks
        assert sorted(map(lock_of, ring)) == ["a", "b", "c"]
        assert {thread.pid for thread in ring} == {one.pid for one in members}


def test_the_death_of_one_of_them_ends_the_deadlock_even_before_anybody_reaps_it(arena: Arena) -> None:
    with waiters(arena, ("a", "b"), ("b", "a")) as (one, two):
        until(arena.name, lambda now: bool(now.deadlocks))
        os.kill(one.pid, signal.SIGKILL)
        os.waitid(os.P_PID, one.pid, os.WEXITED | os.WNOWAIT)  # it is a zombie, and stays one
        situation = why(arena.name)
        assert situation.deadlocks == ()
        assert {thread.life for thread in situation.threads if thread.pid == one.pid} <= {"died"}
        assert two.hears() == "got it of the dead"
        told = command(arena.name, "--all")
        assert told.returncode == 0
        assert f"pid {one.pid}, " in told.stdout
        assert "the process is dead" in told.stdout


def test_a_slow_holder_is_no_deadlock_and_is_named(arena: Arena) -> None:
    with waiters(arena, ("slow", "free"), ("other", "slow")) as (slow, other):
        assert slow.hears() == "got it"
        situation = until(
            arena.name, lambda now: any(one.waits is not None and one.waits.stands for one in now.waiting)
        )
        assert situation.deadlocks == ()
        [waiter] = situation.waiting
        assert waiter.pid == other.pid
        assert waiter.waits is not None
        assert [thread.pid for thread, _ in situation.holders(waiter.waits.lock)] == [slow.pid]
        told = command(arena.name)
        assert told.returncode == 0
        assert "DEADLOCK" not in told.stdout
        assert f"(pid {slow.pid}," in told.stdout


MIX = """
import os, sys, threading
from shmalloc import Arena
import witness

ours = threading.Lock()
with Arena.attach(sys.argv[1]) as arena:
    shared = arena.mutex("shared")
    both = threading.Barrier(2)

    def one():
        with ours:
            both.wait()
            shared.acquire(timeout=100)

    def other():
        with shared:
            both.wait()
            print(os.getpid(), flush=True)
            ours.acquire(timeout=100)

    for target in (one, other):
        threading.Thread(target=target, daemon=True).start()
    sys.stdin.read()
    os._exit(0)
"""


def test_a_ring_over_a_lock_of_threading_and_one_of_an_arena_is_found_across_the_blocks(
    arena: Arena, tmp_path: Path
) -> None:
    witness.arm(arena, output=None)
    script = tmp_path / "mix.py"
    script.write_text(MIX)
    words = [sys.executable, "-m", "witness.cli", "run", str(script), arena.name]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as run:
        assert run.stdin is not None
        assert run.stdout is not None
        try:
            pid = int(run.stdout.readline())
            for target in (pid, run.pid, arena.name):
                [ring] = until(target, lambda now: bool(now.deadlocks)).deadlocks
                assert {thread.pid for thread in ring} == {pid}
                assert {thread.waits.lock.kind for thread in ring if thread.waits} == {
                    "mutex",
                    "foreign:threading.Lock",
                }
            told = command(pid)
            assert told.returncode == 1
            assert "mix.py" in told.stdout
            assert f'mutex "shared" ({arena.name})' in told.stdout
        finally:
            run.stdin.close()
            # It left holding both: its own lock went with it, and the other one is for the arena's graph to tell of.
            assert run.wait(60) == 0


ENDED = """
import os, sys, threading
lock = threading.Lock()
thread = threading.Thread(target=lock.acquire)
thread.start()
thread.join()
threading.Thread(target=lambda: lock.acquire(timeout=100), daemon=True).start()
print(os.getpid(), flush=True)
sys.stdin.read()
os._exit(0)
"""


def test_a_holder_whose_thread_has_ended_is_said_to_have_ended(tmp_path: Path) -> None:
    script = tmp_path / "ended.py"
    script.write_text(ENDED)
    words = [sys.executable, "-m", "witness.cli", "run", str(script)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as run:
        assert run.stdin is not None
        assert run.stdout is not None
        try:
            pid = int(run.stdout.readline())
            situation = until(pid, lambda now: any(one.waits and one.waits.stands for one in now.waiting))
            assert situation.deadlocks == ()
            [waiter] = situation.waiting
            assert waiter.waits is not None
            [(holder, _)] = situation.holders(waiter.waits.lock)
            assert holder.life == "ended"
            assert "the thread has ended: another one must give it back" in command(pid).stdout
        finally:
            run.stdin.close()
            run.wait(60)


@pytest.mark.parametrize("target", ["no-such-arena", 2**22 + 7])
def test_what_is_not_there_is_a_usage_error_that_says_what_to_do(target: str | int) -> None:
    with pytest.raises(Unwatched):
        why(target)
    told = command(target)
    assert told.returncode == 2
    assert str(target) in told.stderr


def test_an_arena_that_is_not_watched_says_how_to_watch_it(arena: Arena) -> None:
    told = command(arena.name)
    assert told.returncode == 2
    assert "witness.arm" in told.stderr

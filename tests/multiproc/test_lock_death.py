"""Processes that are killed, or leave, holding locks: the next one is told, repairs, and goes on; sleepers wake."""

import os
import signal
import struct
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

import pytest

from multiproc.crew import Crew
from shmalloc import Arena, LockNotHeld, OwnerDied

HANDED_OVER_S = 5.0


def hold(name: str, ready: Connection, kind: str) -> None:
    """Take the lock, say so, and never give it back."""
    with Arena.attach(name) as arena:
        {
            "mutex": lambda: arena.mutex("lock").acquire(),
            "rwlock": lambda: arena.rwlock("lock").acquire_write(),
            "reader": lambda: arena.rwlock("lock").acquire_read(),
            "sx": lambda: arena.sx("lock").acquire_exclusive(),
            "semaphore": lambda: arena.semaphore("lock", 1).acquire(),
        }[kind]()
        ready.send(arena.cpu_id)
        while True:
            signal.pause()


def killed_holding(arena: Arena, kind: str) -> tuple[int, int, Callable[[], None]]:
    """A child that holds the lock. Returns: its CPU, its pid, and what kills it."""
    crew = Crew("spawn")
    ours, theirs = crew.context.Pipe(duplex=False)
    child = crew.context.Process(target=hold, args=(arena.name, theirs, kind))  # type: ignore[attr-defined]
    child.start()
    assert ours.poll(60)
    cpu = ours.recv()

    def kill() -> None:
        child.kill()
        child.join()
        child.close()

    return cpu, child.pid, kill


@pytest.mark.parametrize("kind", ["mutex", "rwlock", "sx", "semaphore"])
def test_the_next_one_is_told_who_died_and_holds_the_lock(arena: Arena, kind: str) -> None:
    cpu, pid, kill = killed_holding(arena, kind)
    lock = getattr(arena, kind)("lock")
    how = {"rwlock": "_write", "sx": "_exclusive"}.get(kind, "")
    take, give = getattr(lock, f"acquire{how}"), getattr(lock, f"release{how}")
    assert take(blocking=False) is False
    kill()
    killed_at = time.monotonic()
    with pytest.raises(OwnerDied) as death:
        take()
    assert time.monotonic() - killed_at < HANDED_OVER_S
    assert (death.value.lock, death.value.kind, death.value.cpu, death.value.pid) == ("lock", kind, cpu, pid)
    assert death.value.held
    give()
    with pytest.raises(OwnerDied):
        take()
    lock.repaired()
    give()
    assert take()
    give()
    assert lock.statistics().deaths == 1
    assert any(f"CPU {cpu}" in event.text and "holding lock lock" in event.text for event in arena.events())


def test_the_death_of_a_reader_is_nobodys_concern(arena: Arena) -> None:
    _, _, kill = killed_holding(arena, "reader")
    lock = arena.rwlock("lock")
    assert lock.acquire_write(blocking=False) is False
    kill()
    assert lock.acquire_write(timeout=HANDED_OVER_S)
    lock.release_write()


def write_by_turns(name: str, rounds: int, dies: bool) -> None:
    """Write a record in two halves under the lock; some die between the halves, in their last round.

    The third number of the record counts the deaths that were mended.
    """
    with Arena.attach(name) as arena:
        lock = arena.mutex("lock")
        book = arena.queue("book")
        for turn in range(rounds):
            died = False
            try:
                lock.acquire()
            except OwnerDied:
                died = True
            item = book.get(timeout=0)
            left, right, mended = struct.unpack("QQQ", item[0:24])
            if died:
                assert left == right + 1
                item[8:24] = struct.pack("QQ", left, mended + 1)
                lock.repaired()
            else:
                assert left == right
            item[0:8] = struct.pack("Q", left + 1)
            if dies and turn == rounds - 1:
                book.put(item)
                os.kill(os.getpid(), signal.SIGKILL)
            item[8:16] = struct.pack("Q", left + 1)
            book.put(item)
            lock.release()


def test_what_is_half_written_is_found_and_mended(arena: Arena) -> None:
    rounds, deaths = 200, 4
    item = arena.zone("record", size=64).alloc()
    item[0:24] = bytes(24)
    book = arena.queue("book", depth=2)
    book.put(item)
    with Crew("spawn") as crew:
        for _ in range(3):
            crew.start(write_by_turns, arena.name, rounds, False)
        for _ in range(deaths):
            child = crew.context.Process(  # type: ignore[attr-defined]
                target=write_by_turns, args=(arena.name, 20, True)
            )
            child.start()
            child.join(60)
            assert child.exitcode == -signal.SIGKILL
            child.close()
        crew.results()
    with arena.mutex("lock").repairing(lambda death: None) as death:
        item = book.get(timeout=0)
    left, right, mended = struct.unpack("QQQ", item[0:24])
    assert mended + (death is not None) == deaths
    assert left == right + (death is not None) == 3 * rounds + deaths * 20
    item.free()


def take_in_vain(arena: Arena) -> str:
    """In a forked child: the parent's lock is not ours."""
    lock = arena.mutex("lock")
    assert not lock.held
    try:
        lock.release()
    except LockNotHeld:
        return "taken" if lock.acquire(blocking=False) else "not held"
    return "released"


def test_a_forked_child_holds_nothing_of_its_parents(arena: Arena) -> None:
    lock = arena.mutex("lock")
    with lock:
        with Crew("fork") as crew:
            crew.start(take_in_vain, arena)
            assert crew.results() == ["not held"]
        assert lock.held
    assert not arena.mutex("lock").died


def wait_for_news(name: str, rounds: int) -> int:
    """Waits for so many notifications. Returns: how many."""
    with Arena.attach(name) as arena:
        lock = arena.mutex("lock")
        news = arena.condition("news", lock)
        with news:
            for _ in range(rounds):
                assert news.wait(timeout=60)
    return rounds


def test_a_condition_survives_the_death_of_a_waiter(arena: Arena) -> None:
    lock = arena.mutex("lock")
    news = arena.condition("news", lock)
    with Crew("spawn") as crew:
        doomed = crew.context.Process(target=wait_for_news, args=(arena.name, 1))  # type: ignore[attr-defined]
        doomed.start()
        crew.start(wait_for_news, arena.name, 1)
        deadline = time.monotonic() + 60
        while news.statistics().waiters < 2:
            assert time.monotonic() < deadline
            os.sched_yield()
        os.kill(doomed.pid, signal.SIGKILL)
        doomed.join()
        doomed.close()
        with news:
            news.notify()  # whoever it wakes: the dead one cannot take it along
        assert crew.results() == [1]
    arena.reap()
    assert news.statistics().waiters == 0

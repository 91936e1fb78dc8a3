"""Locks in one process: what each kind lets in and refuses, threads, timeouts, names, pickles, figures."""

import pickle
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import shmalloc
from shmalloc import (
    Arena,
    ArenaClosed,
    InvalidArgument,
    LockBusy,
    LockDeadlock,
    LockGone,
    LockMismatch,
    LockNotFound,
    LockNotHeld,
    LockTimeout,
    Mutex,
    NameTooLong,
    OwnerDied,
)

DEADLINE_S = 20.0


class Other:
    """Runs calls in one other thread, in order."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1)

    def start(self, call: Callable[[], Any]) -> Callable[[], Any]:
        """Begin the call. Returns: a function that waits for its result, or raises what it raised."""
        future = self._thread.submit(call)
        return lambda: future.result(DEADLINE_S)

    def __call__(self, call: Callable[[], Any]) -> Any:
        return self.start(call)()

    def end(self) -> None:
        """Wait for the thread."""
        self._thread.shutdown()


def until(condition: Callable[[], bool]) -> None:
    """Wait until another thread or process has come so far."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0)


@pytest.fixture
def other() -> Iterator[Other]:
    thread = Other()
    yield thread
    thread.end()


def test_two_threads_exclude_each_other(arena: Arena, other: Other) -> None:
    lock = arena.mutex("m")
    assert lock.acquire()
    assert lock.held
    assert other(lambda: lock.held) is False
    assert other(lambda: lock.acquire(blocking=False)) is False
    with pytest.raises(LockTimeout) as late:
        other(lambda: lock.acquire(timeout=0.01))
    assert (late.value.lock, late.value.kind, late.value.waited) == ("m", "mutex", 0.01)
    assert isinstance(late.value, TimeoutError)
    with pytest.raises(LockNotHeld):
        other(lock.release)
    with pytest.raises(LockDeadlock, match="recursive"):
        lock.acquire()
    lock.release()
    with pytest.raises(LockNotHeld, match="'m'"):
        lock.release()


def test_a_sleeping_thread_gets_the_lock_when_it_is_given_back(arena: Arena, other: Other) -> None:
    lock = arena.mutex("m")
    with lock:
        result = other.start(lock.acquire)
        until(lambda: lock.statistics().waiters == 1)
    assert result() is True
    other(lock.release)
    figures = lock.statistics()
    assert (figures.acquisitions, figures.contended, figures.waiters, figures.owner) == (2, 1, 0, None)


def test_a_recursive_mutex_is_given_back_as_often_as_taken(arena: Arena, other: Other) -> None:
    lock = arena.mutex("m", recursive=True)
    with lock, lock:
        lock.release()
        assert other(lambda: lock.acquire(blocking=False)) is False
        lock.acquire()
    assert other(lambda: lock.acquire(blocking=False)) is True
    other(lock.release)


def test_readers_share_and_a_writer_is_alone(arena: Arena, other: Other) -> None:
    lock = arena.rwlock("rw")
    with lock.read():
        assert other(lambda: lock.acquire_read(blocking=False)) is True
        assert lock.statistics().holds == 2
        assert other(lambda: lock.acquire_write(blocking=False)) is False
        other(lock.release_read)
    with lock.write() as held:
        assert held is lock
        assert lock.statistics().owner == arena.cpu_id
        assert other(lambda: lock.acquire_read(blocking=False)) is False
        with pytest.raises(LockDeadlock):
            lock.acquire_read()
    for give in (lock.release_read, lock.release_write):
        with pytest.raises(LockNotHeld):
            give()


def test_an_sx_lock_goes_up_and_down(arena: Arena, other: Other) -> None:
    lock = arena.sx("sx")
    with lock.shared():
        other(lock.acquire_shared)
        assert lock.try_upgrade() is False
        other(lock.release_shared)
        assert lock.try_upgrade() is True
        assert other(lambda: lock.acquire_shared(blocking=False)) is False
        lock.downgrade()
        assert other(lambda: lock.acquire_shared(blocking=False)) is True
        other(lock.release_shared)
    with pytest.raises(LockNotHeld):
        lock.try_upgrade()
    with pytest.raises(LockNotHeld):
        lock.downgrade()
    with lock.exclusive():
        assert lock.statistics().owner == arena.cpu_id


def test_a_semaphore_has_so_many_permits(arena: Arena, other: Other) -> None:
    permits = arena.semaphore("s", 2)
    assert permits.value == 2
    with permits, permits:
        assert permits.acquire(blocking=False) is False
        with pytest.raises(LockTimeout):
            other(lambda: permits.acquire(timeout=0))
        assert permits.statistics().holds == 2
    with pytest.raises(LockNotHeld):
        permits.release()
    assert arena.semaphore("s").value == 2
    assert arena.semaphore("plain").value == 1


def test_a_condition_wakes_whom_it_is_told_to(arena: Arena, other: Other) -> None:
    lock = arena.mutex("m")
    ready = arena.condition("ready", lock)
    seen: list[int] = []

    def consume() -> list[int]:
        with ready:
            assert ready.wait_for(lambda: seen, timeout=DEADLINE_S) == [7]
            return seen

    result = other.start(consume)
    until(lambda: ready.statistics().waiters == 1)
    with ready:
        seen.append(7)
        ready.notify()
    assert result() == [7]
    with pytest.raises(LockNotHeld):
        ready.wait()
    with lock:
        assert ready.wait(timeout=0.001) is False
        assert lock.held
        assert ready.wait_for(lambda: 0, timeout=0.001) == 0
    assert ready.statistics().mutex == "m"
    assert ready.mutex is lock


def test_a_condition_keeps_the_depth_of_a_recursive_mutex(arena: Arena, other: Other) -> None:
    lock = arena.mutex("m", recursive=True)
    ready = arena.condition("ready", lock)

    seen: list[bool] = []

    def take_once() -> bool:
        with lock:
            seen.append(True)
            return True

    with lock, lock:
        taken = other.start(take_once)
        until(lambda: lock.statistics().waiters == 1)
        # Each wait gives the mutex up to its last level; a loaded machine may need more than one for the other to run.
        until(lambda: ready.wait(timeout=0.001) is False and bool(seen))
        assert taken() is True
        assert lock.held
    assert not lock.held


def test_a_holder_that_leaves_is_told_of_like_one_that_died(arena: Arena) -> None:
    guest = Arena.attach(arena.name)
    left = guest.cpu_id
    guest.mutex("m").acquire()
    guest.rwlock("rw").acquire_write()
    guest.close()
    lock = arena.mutex("m")
    with pytest.raises(OwnerDied) as death:
        lock.acquire()
    assert lock.held
    assert (death.value.lock, death.value.kind, death.value.cpu, death.value.held) == ("m", "mutex", left, True)
    assert lock.died
    lock.release()  # without repaired(): the next one is told again
    entered = False
    with pytest.raises(OwnerDied) as death, lock:
        entered = True
    assert not entered  # a body that cannot know of the death
    assert death.value.held is False
    assert not lock.held
    with pytest.raises(LockNotHeld):
        lock.repaired()
    with pytest.raises(OwnerDied):
        lock.acquire()
    lock.repaired()
    lock.release()
    with lock:
        assert not lock.died
    assert lock.statistics().deaths == 1
    assert any("left holding lock m" in event.text for event in arena.events())
    rw = arena.rwlock("rw")
    for _ in range(2):  # readers are told, and cannot repair
        with pytest.raises(OwnerDied):
            rw.acquire_read()
        with pytest.raises(LockNotHeld):
            rw.repaired()
        rw.release_read()
    mended = []
    with rw.repairing(mended.append) as found:
        assert mended == [found]
    with rw.repairing(mended.append) as found:
        assert found is None
    assert len(mended) == 1


def test_a_mend_that_fails_leaves_the_mark_and_gives_the_lock_back(arena: Arena) -> None:
    guest = Arena.attach(arena.name)
    guest.mutex("m").acquire()
    guest.close()
    lock = arena.mutex("m")

    def fail(death: OwnerDied) -> None:
        raise RuntimeError("cannot mend")

    with pytest.raises(RuntimeError), lock.repairing(fail):
        raise AssertionError("entered")
    assert lock.died
    assert not lock.held
    with lock.repairing(lambda death: None) as death:
        assert death is not None
    assert not lock.died


def test_a_name_stands_for_one_kind_and_one_set_of_parameters(arena: Arena) -> None:
    lock, other_lock = arena.mutex("m"), arena.mutex("o")
    arena.semaphore("s", 3)
    arena.condition("c", lock)
    wrong: list[tuple[Callable[[], Any], str, Any, Any]] = [
        (lambda: arena.rwlock("m"), "kind", "mutex", "rwlock"),
        (lambda: arena.mutex("m", recursive=True), "recursive", False, True),
        (lambda: arena.semaphore("s", 4), "value", 3, 4),
        (lambda: arena.condition("c", other_lock), "mutex", "m", "o"),
    ]
    for call, field, have, want in wrong:
        with pytest.raises(LockMismatch) as error:
            call()
        assert (error.value.field, error.value.have, error.value.want) == (field, have, want)
    with pytest.raises(NameTooLong):
        arena.mutex("x" * 32)
    with pytest.raises(InvalidArgument):
        arena.semaphore("none", 0)
    with pytest.raises(InvalidArgument):
        lock.acquire(timeout=1, blocking=False)
    with pytest.raises(InvalidArgument):
        lock.acquire(timeout=-1)
    with pytest.raises(TypeError):
        arena.condition("c2", None)  # type: ignore[arg-type]


def test_a_destroyed_lock_is_gone_for_all_its_objects(arena: Arena) -> None:
    lock, same = arena.mutex("m"), arena.mutex("m")
    with lock, pytest.raises(LockBusy):
        same.destroy()
    same.destroy()
    for call in (lock.acquire, lock.release, lock.destroy, lock.repaired):
        with pytest.raises(LockGone):
            call()
    assert arena.lock_statistics() == []
    arena.sx("m")  # the name is free for another kind
    with pytest.raises(LockGone):
        lock.acquire()


def test_every_lock_is_listed_with_its_figures(arena: Arena) -> None:
    lock = arena.mutex("m")
    arena.condition("c", lock)
    arena.semaphore("s", 5)
    with lock:
        found = {figures.name: figures for figures in arena.lock_statistics()}
    assert {name: f.kind for name, f in found.items()} == {"m": "mutex", "c": "condition", "s": "semaphore"}
    assert found["m"].owner == arena.cpu_id
    assert found["s"].permits == 5
    assert (lock.name, lock.kind, lock.arena) == ("m", "mutex", arena)
    assert "'m'" in repr(lock)


def test_a_lock_travels_by_name(arena: Arena) -> None:
    lock = arena.mutex("m", recursive=True)
    for one in (lock, arena.rwlock("rw"), arena.sx("sx"), arena.semaphore("s", 2), arena.condition("c", lock)):
        again = pickle.loads(pickle.dumps(one))
        assert type(again) is type(one)
        assert again.name == one.name
    with pytest.raises(TypeError):
        Mutex()


def test_a_lock_of_a_closed_arena_says_so(arena_name: str) -> None:
    arena = Arena.create(arena_name, max_size="16M")
    lock = arena.mutex("m")
    reader = Arena.attach(arena_name, read_only=True)
    assert reader.lock_statistics()[0].name == "m"
    with pytest.raises(shmalloc.ReadOnly):
        reader.mutex("m").acquire()
    with pytest.raises(LockNotFound):
        reader.mutex("new")
    reader.close()
    arena.close()
    for call in (lock.acquire, lock.release, lock.statistics):
        with pytest.raises(ArenaClosed):
            call()


def test_closing_lets_a_sleeping_thread_go(arena_name: str, other: Other) -> None:
    arena = Arena.create(arena_name, max_size="16M")
    lock = arena.mutex("m")
    ready = arena.condition("c", arena.mutex("n"))
    lock.acquire()

    def wait() -> None:
        with ready:
            ready.wait()

    waiter = Other()
    sleeping, waiting = other.start(lock.acquire), waiter.start(wait)
    until(lambda: lock.statistics().waiters == 1 and ready.statistics().waiters == 1)
    arena.close()
    for result in (sleeping, waiting):
        with pytest.raises(ArenaClosed):
            result()
    waiter.end()

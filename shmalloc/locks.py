"""Locks between processes whose holder may die: mutex, rwlock, sx, semaphore, condition. Owns the Python types; every
call is native.

A lock has a name in its arena. When a process dies holding it, the lock is given back, and the next one to take it gets
OwnerDied: it holds the lock, may repair what the lock protects, says ``repaired()`` and goes on. Without ``repaired()``
whoever comes next is told again. No lock ever becomes unusable. A forked child holds nothing of its parent's.

    try:
        lock.acquire()
    except OwnerDied as death:
        mend(death.cpu)
        lock.repaired()
    try:
        ...
    finally:
        lock.release()

is what ``with lock.repairing(mend): ...`` does. A plain ``with lock:`` gives the lock back before it raises OwnerDied:
its body is not entered, so nobody else would.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from shmalloc import _native
from shmalloc.errors import OwnerDied
from shmalloc.stats import LockStatistics

__all__ = ["Condition", "LockTable", "Mutex", "RWLock", "Semaphore", "SxLock"]

Mend = Callable[[OwnerDied], object]


@contextmanager
def _repairing(
    acquire: Callable[..., bool],
    release: Callable[[], None],
    repaired: Callable[[], None],
    mend: Mend,
    timeout: float | None,
) -> Iterator[OwnerDied | None]:
    """Take the lock, have a death mended, give the lock back in any case."""
    death = None
    try:
        acquire(timeout)
    except OwnerDied as error:
        death = error
    try:
        if death is not None:
            mend(death)  # if it raises, the next one is told again
            repaired()
        yield death
    finally:
        release()


class Mutex(_native.Mutex):
    """A lock that one thread of one process holds; made by ``arena.mutex(name)``.

    Concurrency: owned by (process, thread). Not fair: who asks at the right moment goes before who has slept longer.
    Source: pthread_mutexattr_setrobust(3).

    >>> with shmalloc.Arena.create(name) as arena:
    ...     lock = arena.mutex("ledger")
    ...     with lock:
    ...         lock.held, lock.statistics().owner == arena.cpu_id
    (True, True)
    """

    __slots__ = ()

    @contextmanager
    def repairing(self, mend: Mend, *, timeout: float | None = None) -> Iterator[OwnerDied | None]:
        """A ``with`` that enters also after a death: mend(death) runs first, and repaired() if it returns.

        Yields: the OwnerDied that was mended, or None.
        """
        with _repairing(self.acquire, self.release, self.repaired, mend, timeout) as death:
            yield death


class RWLock(_native.RWLock):
    """Many readers or one writer; made by ``arena.rwlock(name)``.

    Writers go first: a new reader waits while a writer does, unless its process reads already, or it has waited 20 ms.
    The death of a writer is told to readers and writers until a writer says repaired(); that of a reader to nobody.
    Concurrency: the writer is a thread; read holds are counted by process.   Source: FreeBSD rwlock(9).
    """

    __slots__ = ()

    @contextmanager
    def repairing(self, mend: Mend, *, timeout: float | None = None) -> Iterator[OwnerDied | None]:
        """As Mutex.repairing, for writing."""
        with _repairing(self.acquire_write, self.release_write, self.repaired, mend, timeout) as death:
            yield death


class SxLock(_native.SxLock):
    """A shared/exclusive lock that can be upgraded and downgraded; made by ``arena.sx(name)``.

    As RWLock, with try_upgrade() and downgrade().   Source: FreeBSD sx(9).
    """

    __slots__ = ()

    @contextmanager
    def repairing(self, mend: Mend, *, timeout: float | None = None) -> Iterator[OwnerDied | None]:
        """As Mutex.repairing, exclusive."""
        with _repairing(self.acquire_exclusive, self.release_exclusive, self.repaired, mend, timeout) as death:
            yield death


class Semaphore(_native.Semaphore):
    """A number of permits; made by ``arena.semaphore(name, value)``.

    A permit belongs to the process that took it and comes back when that process dies; the next one to take a permit
    gets OwnerDied, as with a mutex. For signals between processes use a Condition or a Queue.
    """

    __slots__ = ()

    @contextmanager
    def repairing(self, mend: Mend, *, timeout: float | None = None) -> Iterator[OwnerDied | None]:
        """As Mutex.repairing, holding a permit."""
        with _repairing(self.acquire, self.release, self.repaired, mend, timeout) as death:
            yield death


class Condition(_native.Condition):
    """Waiting for something that a mutex protects; made by ``arena.condition(name, mutex)``.

    A ``with`` block holds the mutex. Waiters may wake without a notification; when one of them dies, all do.
    Source: threading.Condition, FreeBSD condvar(9).
    """

    __slots__ = ()

    def wait_for(self, predicate: Callable[[], object], timeout: float | None = None) -> object:
        """Wait until predicate() is true, or the time has passed.

        Returns: what it returned last. Raises: as wait().
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        result = predicate()
        while not result:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                break
            self.wait(left)
            result = predicate()
        return result


class LockTable(_native.Attachment):
    """An attachment that opens locks by name; base of Arena."""

    __slots__ = ()

    def mutex(self, name: str, *, recursive: bool = False, lock_type: str | None = None, subclass: int = 0) -> Mutex:
        """Open a mutex, creating it if there is none of this name.

        Parameters: recursive: its owner may take it again; lock_type: for a lock checker, this is one of the locks of
        that type, which have one order (None: a type of its own); subclass: its place among locks of the type that are
        taken one in another, the outer one 0. Both are a matter of this object: whoever opens the lock says the same.
        Raises: LockMismatch: the name stands for another kind of lock. NameTooLong, TableFull, InvalidArgument.
        """
        lock = _native.lock_open(self, "mutex", name, recursive, lock_type=lock_type, subclass=subclass)
        assert isinstance(lock, Mutex)
        return lock

    def rwlock(self, name: str, *, lock_type: str | None = None, subclass: int = 0) -> RWLock:
        """Open a lock for many readers or one writer, creating it if there is none. Parameters, Raises: as mutex."""
        lock = _native.lock_open(self, "rwlock", name, lock_type=lock_type, subclass=subclass)
        assert isinstance(lock, RWLock)
        return lock

    def sx(self, name: str, *, lock_type: str | None = None, subclass: int = 0) -> SxLock:
        """Open a shared/exclusive lock, creating it if there is none. Parameters, Raises: as mutex."""
        lock = _native.lock_open(self, "sx", name, lock_type=lock_type, subclass=subclass)
        assert isinstance(lock, SxLock)
        return lock

    def semaphore(
        self, name: str, value: int | None = None, *, lock_type: str | None = None, subclass: int = 0
    ) -> Semaphore:
        """Open a semaphore, creating it if there is none.

        Parameters: value: its permits, 1 if not given and created now; the others as mutex.
        Raises: as mutex; LockMismatch: it exists with another value.
        """
        lock = _native.lock_open(self, "semaphore", name, False, value, lock_type=lock_type, subclass=subclass)
        assert isinstance(lock, Semaphore)
        return lock

    def condition(self, name: str, mutex: Mutex) -> Condition:
        """Open a condition, creating it if there is none.

        Parameters: mutex: of this Arena; what the condition gives back while it waits.
        Raises: as mutex; LockMismatch: it belongs to another mutex.
        """
        lock = _native.lock_open(self, "condition", name, False, None, mutex)
        assert isinstance(lock, Condition)
        return lock

    def lock_statistics(self) -> list[LockStatistics]:
        """Figures of every lock."""
        return _native.lock_statistics(self)

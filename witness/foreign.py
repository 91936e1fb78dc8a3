"""Foreign locks under witness: threading's Lock, RLock, Condition and Semaphore, without a change of the program.

Owns the names and rules of their classes, and what in ``threading`` is replaced. The bookkeeping is native
(``witness/locktype.pxi``): a watched lock is an object of the interpreter's own type. Locks of one creation site are
one class. Two of a class may be held at once: most programs that make many locks in one place order them by something
that cannot be seen here. BoundedSemaphores of one permit are locks; other semaphores are signals or counts, and have no
order. A class of which one was given back by another thread than took it is one of signals (``flags.SIGNAL``).
Limits: a lock made before ``watch_threading``, or by ``_thread.allocate_lock``, is not watched. What is taken from
``threading`` by name before, neither.
"""

import os
import sys
import threading
from collections.abc import Callable
from typing import Any

from witness import _witness, flags

__all__ = ["creation_site", "watch_threading"]

_OURS = os.path.dirname(os.path.abspath(__file__)) + os.sep
_SKIPPED = (threading.__file__, _OURS)
_NAME_BYTES = 63 - len(" Semaphore")
_RULES = flags.DUPOK | flags.PRIVATE


def creation_site(skipped: tuple[str, ...] = _SKIPPED) -> str:
    """Where the caller's lock is made: `file.py:line` of the innermost frame outside of threading and this package."""
    frame: Any = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(skipped):
        frame = frame.f_back
    if frame is None:
        return "?"
    path = frame.f_code.co_filename
    site = f"{os.path.basename(os.path.dirname(path))}/{os.path.basename(path)}:{frame.f_lineno}"
    return site.encode("utf-8", "replace")[-_NAME_BYTES:].decode("utf-8", "ignore")


class _Classes:
    """Class numbers by site and kind; asks the shared table once for each."""

    def __init__(self, watch: _witness.Watch) -> None:
        self.watch = watch
        self.known: dict[tuple[str, str], int | None] = {}

    def number(self, kind: str, rules: int) -> int | None:
        """The class of a lock that is made now; None: the table is full, so it is not watched."""
        # Of a line that makes locks of two kinds, each is a class of its own.
        site = creation_site() + ("" if kind == "Lock" else f" {kind}")
        if (site, kind) not in self.known:
            try:
                self.known[site, kind] = self.watch.class_get(site, f"foreign:threading.{kind}", 0, rules)
            except _witness.CoreError:
                self.known[site, kind] = None  # the record says that the tables are full: Graph.off_reason
        return self.known[site, kind]


def watch_threading(watch: _witness.Watch) -> None:
    """Have the locks of ``threading`` that are made from now on watched.

    Parameters: watch: where they report; it must live as long as the process.
    """
    classes = _Classes(watch)
    part_of_semaphore = threading.Semaphore.__init__.__code__

    def class_of_lock() -> tuple[_witness.Watch, int] | None:
        if sys._getframe(1).f_code is part_of_semaphore:
            return None  # the order of the semaphore is what counts, not of what it is made of
        number = classes.number("Lock", _RULES)
        return None if number is None else (watch, number)

    setattr(threading, "Lock", _witness.watch_made(class_of_lock))  # noqa: B010 - the stubs call it a class
    _watch_recursive(watch, classes)
    _watch_semaphores(watch, classes)


def _watch_recursive(watch: _witness.Watch, classes: _Classes) -> None:
    made: Callable[..., Any] = threading.RLock
    rlock_type = type(made())

    def RLock(*args: Any, **kwargs: Any) -> Any:  # noqa: N802 - it stands for threading.RLock
        lock = made(*args, **kwargs)
        if type(lock) is rlock_type:
            number = classes.number("RLock", _RULES | flags.RECURSABLE)
            if number is not None:
                _witness.watch_lock(lock, watch, number)
        return lock

    _stand_for(RLock, made)
    setattr(threading, "RLock", RLock)  # noqa: B010


def _watch_semaphores(watch: _witness.Watch, classes: _Classes) -> None:
    """Semaphores keep their class, so that programs may derive from it; its calls report."""
    made, acquire = threading.Semaphore.__init__, threading.Semaphore.acquire

    def watched_init(self: Any, value: int = 1) -> None:
        made(self, value)
        number = None
        if value == 1 and isinstance(self, threading.BoundedSemaphore):
            number = classes.number("Semaphore", _RULES)
        self._witness = None if number is None else _witness.ForeignLock(watch, number)

    def watched_acquire(self: Any, blocking: bool = True, timeout: float | None = None) -> bool:
        told = getattr(self, "_witness", None)
        if told is None:
            return acquire(self, blocking, timeout)
        if blocking:
            # Whether it is taken is known to the semaphore alone; its value says so but for the last moment.
            told.waits(timeout is not None, self._value > 0)
        got = False
        try:
            got = acquire(self, blocking, timeout)
        finally:
            if got:
                told.taken(not blocking)
            elif blocking:
                told.waited()
        return got

    for name, function in (("__init__", watched_init), ("acquire", watched_acquire), ("__enter__", watched_acquire)):
        _stand_for(function, getattr(threading.Semaphore, name))
        setattr(threading.Semaphore, name, function)
    _watch_bounded()


def _watch_bounded() -> None:
    """BoundedSemaphore has a release of its own, which may refuse: it is told of when it did not."""
    release = threading.BoundedSemaphore.release

    def watched_release(self: Any, n: int = 1) -> None:
        told = getattr(self, "_witness", None)
        owner = 0 if told is None else told.owner
        release(self, n)
        if told is not None:
            told.given(owner)

    _stand_for(watched_release, release)
    setattr(threading.BoundedSemaphore, "release", watched_release)  # noqa: B010


def _stand_for(function: Any, former: Any) -> None:
    for name in ("__name__", "__qualname__", "__module__", "__doc__"):
        setattr(function, name, getattr(former, name))

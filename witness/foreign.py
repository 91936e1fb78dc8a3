"""Foreign locks under witness: threading's Lock, RLock, Condition and Semaphore, without a change of the program.

Owns the names and rules of their classes, and what in ``threading`` is replaced. The bookkeeping is native
(``witness/foreign.pxi``). Locks of one creation site are one class. Two of a class may be held at once: most programs
that make many locks in one place order them by something that cannot be seen here. BoundedSemaphores of one permit are
locks; other semaphores are signals or counts, and have no order.
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
    """Put watched locks in the place of those of ``threading``, for every lock that is made from now on.

    Parameters: watch: where they report; it must live as long as the process.
    """
    classes = _Classes(watch)
    plain_lock: Callable[[], Any] = threading.Lock
    plain_rlock: Callable[[], Any] = threading.RLock

    part_of_semaphore = threading.Semaphore.__init__.__code__

    def Lock() -> Any:  # noqa: N802 - it stands for threading.Lock
        if sys._getframe(1).f_code is part_of_semaphore:
            return plain_lock()  # the order of the semaphore is what counts, not of what it is made of
        number = classes.number("Lock", flags.DUPOK | flags.PAIRED)
        return plain_lock() if number is None else _witness.WatchedLock(watch, number)

    def RLock() -> Any:  # noqa: N802
        number = classes.number("RLock", flags.DUPOK | flags.PAIRED | flags.RECURSABLE)
        return plain_rlock() if number is None else _witness.WatchedRLock(watch, number)

    Lock.__qualname__, RLock.__qualname__ = "Lock", "RLock"
    Lock.__module__ = RLock.__module__ = threading.__name__
    setattr(threading, "Lock", Lock)  # noqa: B010 - the stubs call it a class
    setattr(threading, "RLock", RLock)  # noqa: B010
    _watch_semaphores(watch, classes)


def _watch_semaphores(watch: _witness.Watch, classes: _Classes) -> None:
    """Semaphores keep their class, so that programs may derive from it; its calls report."""
    made, acquire, release = (
        threading.Semaphore.__init__,
        threading.Semaphore.acquire,
        threading.Semaphore.release,
    )
    rules = flags.DUPOK

    def watched_init(self: Any, value: int = 1) -> None:
        made(self, value)
        self._witness_class = (
            classes.number("Semaphore", rules) if value == 1 and isinstance(self, threading.BoundedSemaphore) else None
        )

    def watched_acquire(self: Any, blocking: bool = True, timeout: float | None = None) -> bool:
        number = getattr(self, "_witness_class", None)
        if number is None:
            return acquire(self, blocking, timeout)
        if blocking:
            watch.before(number, id(self))
        got = False
        try:
            got = acquire(self, blocking, timeout)
        finally:
            if got:
                watch.acquired(number, id(self), 0, 0 if blocking else flags.TRY)
            else:
                watch.not_acquired(number, id(self))
        return got

    def watched_release(self: Any, n: int = 1) -> None:
        number = getattr(self, "_witness_class", None)
        if number is not None:
            watch.released(number, id(self))
        release(self, n)

    for name, function in (("__init__", watched_init), ("acquire", watched_acquire), ("release", watched_release)):
        setattr(threading.Semaphore, name, function)
    threading.Semaphore.__enter__ = watched_acquire  # type: ignore[method-assign]
    _watch_bounded(watch)


def _watch_bounded(watch: _witness.Watch) -> None:
    """BoundedSemaphore has a release of its own, which may refuse: it is told of when it did not."""
    release = threading.BoundedSemaphore.release

    def watched_release(self: Any, n: int = 1) -> None:
        release(self, n)
        number = getattr(self, "_witness_class", None)
        if number is not None:
            watch.released(number, id(self))

    setattr(threading.BoundedSemaphore, "release", watched_release)  # noqa: B010

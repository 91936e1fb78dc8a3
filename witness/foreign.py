"""Foreign locks under witness: threading's Lock, RLock and Condition, without a change of the program.

Owns the names and rules of their classes, and what in ``threading`` is replaced. The bookkeeping is native
(``witness/locktype.pxi``): a watched lock is an object of the interpreter's own type. Locks of one creation site are
one class. Two of a class may be held at once: most programs that make many locks in one place order them by something
that cannot be seen here. A class of which one was given back by another thread than took it is one of signals
(``flags.SIGNAL``). Semaphores and the other kinds are in ``witness.watched``.
Limits: a lock made before ``watch_threading``, or by ``_thread.allocate_lock``, is not watched. What is taken from
``threading`` by name before, neither.
"""

import os
import sys
import threading
from collections.abc import Callable
from typing import Any

from witness import _witness, flags

__all__ = ["RULES", "creation_site", "stand_for", "watch_threading"]

_OURS = os.path.dirname(os.path.abspath(__file__)) + os.sep
_SKIPPED = (threading.__file__, _OURS)
_NAME_BYTES = 63 - len(" Semaphore")
RULES = flags.DUPOK | flags.PAIRED | flags.PRIVATE
"""Of the classes of threading's locks; the numbers of their instances are never given out again."""


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
        number = classes.number("Lock", RULES)
        return None if number is None else (watch, number)

    setattr(threading, "Lock", _witness.watch_made(class_of_lock))  # noqa: B010 - the stubs call it a class
    _watch_recursive(watch, classes)


def _watch_recursive(watch: _witness.Watch, classes: _Classes) -> None:
    made: Callable[..., Any] = threading.RLock
    rlock_type = type(made())

    def RLock(*args: Any, **kwargs: Any) -> Any:  # noqa: N802 - it stands for threading.RLock
        lock = made(*args, **kwargs)
        if type(lock) is rlock_type:
            number = classes.number("RLock", RULES | flags.RECURSABLE)
            if number is not None:
                _witness.watch_lock(lock, watch, number)
        return lock

    stand_for(RLock, made)
    setattr(threading, "RLock", RLock)  # noqa: B010


def stand_for(function: Any, former: Any) -> None:
    """Give a function that replaces another one its names and its text."""
    for name in ("__name__", "__qualname__", "__module__", "__doc__"):
        setattr(function, name, getattr(former, name))

"""threading's semaphores of one permit, where they are used as locks. Owns their methods' replacements.

A BoundedSemaphore of one permit is a lock from its first taking; a plain one where ``witness.watched.trust`` says so.
One that was told of and is given by another thread than took it makes its class one of signals (``flags.SIGNAL``), as
every lock of threading does. Semaphores keep their class, so that programs may derive from it.
"""

import sys
import threading
from typing import Any

from witness import _witness
from witness.foreign import RULES, stand_for
from witness.watched.naming import Classes
from witness.watched.trust import Permit, Trust

__all__ = ["watch_semaphores"]


def watch_semaphores(watch: _witness.Watch, trust: Trust) -> None:
    """Watch the semaphores of one permit that are made from now on."""
    kind = threading.Semaphore
    made, acquire = kind.__init__, kind.acquire
    classes = Classes(watch, "foreign:threading.Semaphore", RULES, skipped=(threading.__file__,))

    def watched_init(self: Any, value: int = 1) -> None:
        made(self, value)
        number = classes.here() if value == 1 else None
        if number is not None:
            permit = None if isinstance(self, threading.BoundedSemaphore) else Permit(trust, number)
            self._witness = permit, _witness.ForeignLock(watch, number)

    def take(self: Any, blocking: bool, timeout: float | None, place: Any) -> bool:
        mark = getattr(self, "_witness", None)
        if mark is None:
            return acquire(self, blocking, timeout)
        permit, lock = mark
        told = permit is None or permit.take(place)
        if told and blocking:
            # Whether it is taken is known to the semaphore alone; its value says so but for the last moment.
            lock.waits(timeout is not None, self._value > 0)
        got = False
        try:
            got = acquire(self, blocking, timeout)
        finally:
            if got and (permit is None or permit.taken(threading.get_ident(), place, told, free=self._value)):
                lock.taken(not blocking)
            elif told and blocking:
                lock.waited()
        return got

    def watched_acquire(self: Any, blocking: bool = True, timeout: float | None = None) -> bool:
        caller = sys._getframe(1)
        return take(self, blocking, timeout, (caller.f_code, caller.f_lasti))

    def watched_enter(self: Any, blocking: bool = True, timeout: float | None = None) -> bool:
        return take(self, blocking, timeout, None)

    for name, function in (("__init__", watched_init), ("acquire", watched_acquire), ("__enter__", watched_enter)):
        stand_for(function, getattr(kind, name))
        setattr(kind, name, function)
    _watch_release(kind)
    _watch_release(threading.BoundedSemaphore)


def _watch_release(kind: Any) -> None:
    """BoundedSemaphore has a release of its own, which may refuse: a lock is told of as given when it did not."""
    release = kind.release

    def watched_release(self: Any, n: int = 1) -> None:
        mark = getattr(self, "_witness", None)
        if mark is None:
            release(self, n)
            return
        permit, lock = mark
        owner = lock.owner
        told = permit is None or permit.give(threading.get_ident(), n)
        release(self, n)
        if told:
            lock.given(owner)

    stand_for(watched_release, release)
    kind.release = watched_release

"""threading.Semaphore of one permit, where it is used as a lock. Owns its methods' replacements.

A BoundedSemaphore of one permit is a lock from its first taking, see ``witness/foreign.py``; this file leaves it alone.
"""

import os
import sys
import threading
from typing import Any

from witness import _witness, flags
from witness.watched.naming import Classes, instance_number
from witness.watched.trust import Permit, Trust

__all__ = ["watch_semaphores"]


def watch_semaphores(watch: _witness.Watch, trust: Trust) -> None:
    """Watch the semaphores of one permit that are made from now on."""
    kind = threading.Semaphore
    made, acquire, release = kind.__init__, kind.acquire, kind.release
    classes = Classes(watch, "foreign:threading.Semaphore", flags.DUPOK | flags.PAIRED, skipped=(threading.__file__,))

    def watched_init(self: Any, value: int = 1) -> None:
        made(self, value)
        number = classes.here() if value == 1 and not isinstance(self, threading.BoundedSemaphore) else None
        if number is not None:
            self._witness_permit = Permit(trust, number), instance_number()

    def take(self: Any, blocking: bool, timeout: float | None, place: Any) -> bool:
        mark = getattr(self, "_witness_permit", None)
        if mark is None:
            return acquire(self, blocking, timeout)
        permit, instance = mark[0], os.getpid() << 32 | mark[1]
        told = permit.take(place)
        if told and blocking:
            watch.before(permit.number, instance)
        got = False
        try:
            got = acquire(self, blocking, timeout)
        finally:
            if got and permit.taken(threading.get_ident(), place, told, free=self._value):
                watch.acquired(permit.number, instance, 0, 0 if blocking else flags.TRY)
            elif told:
                watch.not_acquired(permit.number, instance)
        return got

    def watched_acquire(self: Any, blocking: bool = True, timeout: float | None = None) -> bool:
        caller = sys._getframe(1)
        return take(self, blocking, timeout, (caller.f_code, caller.f_lasti))

    def watched_enter(self: Any, blocking: bool = True, timeout: float | None = None) -> bool:
        return take(self, blocking, timeout, None)

    def watched_release(self: Any, n: int = 1) -> None:
        mark = getattr(self, "_witness_permit", None)
        if mark is not None and mark[0].give(threading.get_ident(), n):
            watch.released(mark[0].number, os.getpid() << 32 | mark[1])
        release(self, n)

    for name, function in (
        ("__init__", watched_init),
        ("acquire", watched_acquire),
        ("release", watched_release),
        ("__enter__", watched_enter),
    ):
        setattr(kind, name, function)

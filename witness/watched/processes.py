"""multiprocessing's Lock, RLock, Condition and semaphores of one permit, of every start method.

Owns the methods of ``multiprocessing.synchronize.SemLock``. A lock is one in all processes that share it: by the name
of its semaphore, which says its class too, so that a process that gets it by pickling knows both. Locks of fork have no
name that lasts; their children inherit what this file keeps with them. The other side need not have this package.
"""

import itertools
import os
import re
import sys
import threading
from types import ModuleType
from typing import Any

from witness import _witness, flags
from witness.watched.naming import Classes, instance_of
from witness.watched.trust import Permit, Trust

__all__ = ["Face", "watch_processes"]

_MARK = re.compile(r"-w([lrs])([0-9a-f]+)$")
_unnamed = itertools.count(1)
_FOR_GOOD = {"Pool._help_stuff_finish"}  # of multiprocessing.pool: stops its workers by a lock that nobody gets back


class Face:
    """What stands between a program and one SemLock of the interpreter: acquire and release as its own.

    Parameters: raw: the interpreter's SemLock; instance: the same number in every process; recursive: it is an RLock;
    permit: of a semaphore, None for locks.
    """

    __slots__ = ("_watch", "instance", "number", "permit", "raw", "recursive")

    def __init__(
        self,
        watch: _witness.Watch,
        raw: Any,
        number: int,
        instance: int,
        *,
        recursive: bool = False,
        permit: Permit | None = None,
    ) -> None:
        self._watch = watch
        self.raw = raw
        self.number = number
        self.instance = instance
        self.recursive = recursive
        self.permit = permit

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        """As the interpreter's."""
        caller = sys._getframe(1)
        if caller.f_code.co_qualname in _FOR_GOOD:
            return bool(self.raw.acquire(block, timeout))
        return self._take(block, timeout, (caller.f_code, caller.f_lasti))

    def enter(self) -> bool:
        """Taken by `with`."""
        return self._take(True, None, None)

    def _take(self, block: bool, timeout: Any, place: Any) -> bool:
        told = self.permit is None or self.permit.take(place)
        waits = block and (timeout is None or (isinstance(timeout, int | float) and timeout > 0))
        if not told or not waits:
            got: bool = self.raw.acquire(block, timeout)
            if got:
                self._entered(place, told, flags.TRY)
            return got
        if timeout is None and self.raw.acquire(False):
            self._entered(place, told, 0)
            return True
        unsure = 0 if timeout is None or self.raw._is_zero() else flags.UNSURE  # nobody tried it yet
        self._watch.before(self.number, self.instance, 0, unsure)
        got = False
        try:
            got = self.raw.acquire(True, timeout)
        finally:
            if got:
                self._entered(place, told, flags.CONTENDED)
            else:
                self._watch.not_acquired(self.number, self.instance)
        return got

    def _entered(self, place: Any, told: bool, marks: int) -> None:
        if self.permit is not None:
            told = self.permit.taken((os.getpid(), threading.get_ident()), place, told, free=not self.raw._is_zero())
        if told:
            self._watch.acquired(self.number, self.instance, 0, marks)
        else:
            self._watch.not_acquired(self.number, self.instance)

    def release(self) -> None:
        """As the interpreter's; whichever thread of whichever process took it does not hold it any more."""
        told = self.permit.give((os.getpid(), threading.get_ident())) if self.permit is not None else True
        if (not self.recursive or self.raw._is_mine()) and not self._watch.released(self.number, self.instance):
            self._watch.given_elsewhere(self.number, self.instance)
        try:
            self.raw.release()
        except (ValueError, AssertionError):
            if told:
                self._watch.misuse("release of a lock that is not held", self.number, self.instance)
            raise


def watch_processes(module: ModuleType, watch: _witness.Watch, trust: Trust) -> None:
    """Watch the locks that are made, or come from other processes, from now on.

    Parameters: module: multiprocessing.synchronize.
    """
    kind = module.SemLock
    plain: dict[str, Any] = {
        name: getattr(kind, name) for name in ("__init__", "_make_methods", "__enter__", "__exit__")
    }
    make_name, making = kind._make_name, threading.local()
    folder = os.path.dirname(str(module.__file__))
    # Who makes Value(...) or ctx.Lock() is meant, not how the standard library does.
    skipped = tuple(os.path.join(folder, name) for name in ("synchronize.py", "context.py", "sharedctypes.py"))
    rules = flags.DUPOK | flags.PAIRED
    classes = {
        letter: Classes(watch, f"foreign:multiprocessing.{word}", rules | more, skipped=skipped)
        for letter, word, more in (("l", "Lock", 0), ("r", "RLock", flags.RECURSABLE), ("s", "Semaphore", 0))
    }

    def watched_init(self: Any, kind: int, value: int, maxvalue: int, *, ctx: Any) -> None:
        letter, older = _letter(module, self, value), self.__dict__.get("_witness_face")
        if older is not None:
            watch.destroyed(older.number, older.instance)
        number = classes[letter].here() if letter else None
        making.mark = f"-w{letter}{number:x}" if number is not None else ""
        making.name = ""
        try:
            plain["__init__"](self, kind, value, maxvalue, ctx=ctx)
        finally:
            making.mark = making.name = ""

    def watched_name() -> str:
        mark = getattr(making, "mark", "")
        name = str(make_name())
        if mark:
            making.name = (
                f"{name}-{os.getpid()}-{next(_unnamed)}{mark}"  # for locks that keep no name: never used again
            )
        return name + mark

    def watched_methods(self: Any) -> None:
        plain["_make_methods"](self)
        name = self._semlock.name or getattr(making, "name", "")
        found = _MARK.search(name)
        if found is not None:
            number = int(found[2], 16)
            permit = Permit(trust, number) if found[1] == "s" else None
            face = Face(watch, self._semlock, number, instance_of(name), recursive=found[1] == "r", permit=permit)
            self._witness_face = face
            self.acquire, self.release = face.acquire, face.release

    def watched_enter(self: Any) -> Any:
        face = self.__dict__.get("_witness_face")
        return plain["__enter__"](self) if face is None else face.enter()

    def watched_exit(self: Any, *args: Any) -> Any:
        face = self.__dict__.get("_witness_face")
        return plain["__exit__"](self, *args) if face is None else face.release()

    kind.__init__, kind._make_name, kind._make_methods = watched_init, staticmethod(watched_name), watched_methods
    kind.__enter__, kind.__exit__ = watched_enter, watched_exit


def _letter(module: ModuleType, lock: Any, value: int) -> str:
    """The kind of lock this is; "" for signals and counts, which have no order."""
    if isinstance(lock, module.Lock):
        return "l"
    if isinstance(lock, module.RLock):
        return "r"
    return "s" if value == 1 and isinstance(lock, module.Semaphore) else ""

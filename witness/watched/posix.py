"""posix_ipc.Semaphore of one permit. Owns the class that stands for it.

The class is the name, and so is the instance: whoever opens the same name has the same lock. Who opens without O_CREAT
does not say how many permits there were; it is believed to be a lock when a watched process made it as one.
"""

import os
import sys
import threading
from types import ModuleType
from typing import Any

from witness import _witness, flags
from witness.watched.naming import Classes, instance_of
from witness.watched.trust import Permit, Trust

__all__ = ["watch_posix", "watched_semaphore"]

_KIND = "foreign:posix_ipc.Semaphore"


def _made_elsewhere(watch: _witness.Watch, name: str) -> bool:
    """Whether a process of this graph has made a semaphore of this name with one permit."""
    at = 0
    while True:
        try:
            row = watch.lock_class(at)
        except IndexError:
            return False
        if row[:2] == (name, _KIND):
            return True
        at += 1


def watched_semaphore(plain: Any, create: int, watch: _witness.Watch, trust: Trust) -> Any:
    """A class derived from this one, whose semaphores of one permit report.

    Parameters: plain: posix_ipc.Semaphore; create: posix_ipc.O_CREAT.
    """
    classes = Classes(watch, _KIND, flags.DUPOK)

    class Semaphore(plain):  # type: ignore[misc]
        """Stands for posix_ipc.Semaphore."""

        def __init__(self, name: Any, flags: int = 0, mode: int = 0o600, initial_value: int = 0) -> None:
            super().__init__(name, flags, mode, initial_value)
            known = self.name[:63]
            declared = initial_value == 1 if flags & create else _made_elsewhere(watch, known)
            number = classes.named(known) if declared and self.value <= 1 else None
            self._permit = None if number is None else Permit(trust, number)
            self._instance = instance_of(self.name)

        def acquire(self, timeout: float | None = None) -> None:
            """As posix_ipc's."""
            caller = sys._getframe(1)
            self._take((timeout,), (caller.f_code, caller.f_lasti), timeout is None or timeout > 0)

        def __enter__(self) -> Any:
            self._take((), None, True)
            return self

        def _take(self, arguments: tuple[Any, ...], place: Any, waits: bool) -> None:
            permit: Permit | None = self._permit
            if permit is None:
                super().acquire(*arguments)
                return
            told = permit.take(place)
            if told and waits:
                watch.before(permit.number, self._instance, 0, flags.UNSURE if self.value > 0 else 0)
            try:
                super().acquire(*arguments)
            except BaseException:
                if told:
                    watch.not_acquired(permit.number, self._instance)
                raise
            if permit.taken(_owner(), place, told, free=self.value):
                watch.acquired(permit.number, self._instance, 0, 0 if waits else 1)
            elif told:
                watch.not_acquired(permit.number, self._instance)

        def release(self) -> None:
            """As posix_ipc's; whoever took it does not hold it any more."""
            permit = self._permit
            if permit is not None:
                permit.give(_owner())
                if not watch.released(permit.number, self._instance):
                    watch.given_elsewhere(permit.number, self._instance)
            super().release()

        def __exit__(self, *_: object) -> None:
            self.release()

    Semaphore.__module__, Semaphore.__qualname__ = plain.__module__, "Semaphore"
    return Semaphore


def _owner() -> tuple[int, int]:
    return os.getpid(), threading.get_ident()


def watch_posix(module: ModuleType, watch: _witness.Watch, trust: Trust) -> None:
    """Watch the semaphores that are opened from now on. Parameters: module: posix_ipc."""
    plain = module.Semaphore
    setattr(module, "Semaphore", watched_semaphore(plain, module.O_CREAT, watch, trust))  # noqa: B010

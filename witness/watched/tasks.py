"""asyncio.Lock, Condition and semaphores of one permit, for each task by itself.

Owns the methods that replace asyncio's, and which list belongs to which task. Tasks of one thread interleave, so that
what a task holds is no business of the thread's: witness/core/task.c keeps it apart. Whoever holds such a lock may
sleep, and so may who waits for one: taking it under a lock of threading is a sleepable lock under one that is not.
"""

import asyncio
import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary

from witness import _witness, flags
from witness.watched.naming import Classes, instance_number
from witness.watched.trust import Permit, Trust

__all__ = ["TaskLists", "watch_tasks"]

_RULES = flags.DUPOK | flags.PAIRED | flags.SLEEPABLE


class TaskLists:
    """What each task holds. A task has a list while somebody knows it; it goes with the task."""

    def __init__(self, watch: _witness.Watch) -> None:
        self.watch = watch
        self.lists: WeakKeyDictionary[asyncio.Task[Any], _witness.TaskHeld] = WeakKeyDictionary()
        watch.on_task = self.known

    def known(self) -> _witness.TaskHeld | None:
        """The list of the task that this thread runs now; None: it runs none, or that holds nothing."""
        task = _running()
        return None if task is None else self.lists.get(task)

    def current(self) -> _witness.TaskHeld | None:
        """The same, made if there is none; None: this thread runs no task."""
        task = _running()
        if task is None:
            return None
        held = self.lists.get(task)
        if held is None:
            held = self.lists[task] = _witness.TaskHeld(self.watch, task.get_name())
        return held

    def given(self, number: int, instance: int) -> bool:
        """The lock is given back, whichever task took it. Returns: whether one of this process held it."""
        held = self.known()
        return (held is not None and held.released(number, instance)) or self.watch.released(number, instance)

    async def take(self, plain: Callable[[Any], Any], lock: Any, number: int, instance: int) -> tuple[bool, bool]:
        """Take it by asyncio's own acquire. Returns: what that returned, and whether the task holds it now."""
        held = self.current()
        if held is None:
            return await plain(lock), False
        marks, unsure = (flags.CONTENDED, 0) if lock.locked() else (0, flags.UNSURE)
        held.before(number, instance, unsure)
        try:
            got = await plain(lock)
        except BaseException:
            held.not_acquired()
            raise
        held.acquired(number, instance, marks)
        return got, True


def _running() -> "asyncio.Task[Any] | None":
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None  # no event loop runs in this thread


def watch_tasks(module: ModuleType, watch: _witness.Watch, trust: Trust) -> None:
    """Watch the locks that are made from now on. Parameters: module: asyncio.locks."""
    lists = TaskLists(watch)
    skipped = (os.path.dirname(str(module.__file__)) + os.sep,)
    _watch_with(module._ContextManagerMixin)
    _watch_locks(module.Lock, lists, Classes(watch, "foreign:asyncio.Lock", _RULES, skipped=skipped))
    _watch_semaphores(
        module.Semaphore, lists, Classes(watch, "foreign:asyncio.Semaphore", _RULES, skipped=skipped), trust
    )


def _watch_with(kind: Any) -> None:
    """`async with` by a function of ours, which is left out of stacks: they begin where the program takes the lock."""

    async def watched_enter(self: Any) -> None:
        await self.acquire()

    kind.__aenter__ = watched_enter


def _watch_locks(kind: Any, lists: TaskLists, classes: Classes) -> None:
    made, acquire, release = kind.__init__, kind.acquire, kind.release

    def watched_init(self: Any, *args: Any, **kwargs: Any) -> None:
        made(self, *args, **kwargs)
        number, older = classes.here(), getattr(self, "_witness_lock", None)
        if older is not None:
            lists.watch.destroyed(older[0], os.getpid() << 32 | older[1])
        if number is not None:
            self._witness_lock = number, instance_number()

    async def watched_acquire(self: Any) -> bool:
        mark = getattr(self, "_witness_lock", None)
        if mark is None:
            done: bool = await acquire(self)
            return done
        got, _ = await lists.take(acquire, self, mark[0], os.getpid() << 32 | mark[1])
        return got

    def watched_release(self: Any) -> None:
        mark = getattr(self, "_witness_lock", None)
        if mark is not None:
            instance = os.getpid() << 32 | mark[1]
            if not self.locked():
                lists.watch.misuse("release of a lock that is not held", mark[0], instance)
            lists.given(mark[0], instance)
        release(self)

    kind.__init__, kind.acquire, kind.release = watched_init, watched_acquire, watched_release


def _watch_semaphores(kind: Any, lists: TaskLists, classes: Classes, trust: Trust) -> None:
    """Of one permit; see ``witness.watched.trust``. Their taker is the task."""
    made, acquire, release = kind.__init__, kind.acquire, kind.release

    def watched_init(self: Any, value: int = 1, *args: Any, **kwargs: Any) -> None:
        made(self, value, *args, **kwargs)
        number = classes.here() if value == 1 else None
        if number is not None:
            self._witness_permit = Permit(trust, number), instance_number()

    async def take(self: Any, place: Any) -> bool:
        mark = getattr(self, "_witness_permit", None)
        if mark is None:
            done: bool = await acquire(self)
            return done
        permit, instance, held = mark[0], os.getpid() << 32 | mark[1], False
        told = permit.take(place)
        if told:
            got, held = await lists.take(acquire, self, permit.number, instance)
        else:
            got = await acquire(self)
        if not permit.taken(_running(), place, told, free=self._value) and held:
            lists.given(permit.number, instance)
        return got

    async def watched_acquire(self: Any) -> bool:
        caller = sys._getframe(1)
        return await take(self, (caller.f_code, caller.f_lasti))

    async def watched_enter(self: Any) -> None:
        await take(self, None)

    def watched_release(self: Any) -> None:
        mark = getattr(self, "_witness_permit", None)
        if mark is not None and mark[0].give(_running()):
            lists.given(mark[0].number, os.getpid() << 32 | mark[1])
        release(self)

    kind.__init__, kind.acquire, kind.release, kind.__aenter__ = (
        watched_init,
        watched_acquire,
        watched_release,
        watched_enter,
    )

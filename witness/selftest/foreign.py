"""The self-test's locks of the interpreter: really taken, through what stands for them in watched programs.

Owns their names, by which halves in different processes share them, and their removal.
"""

import _multiprocessing  # type: ignore[import-not-found]
import asyncio
import fcntl
import os
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import posix_ipc

from witness import _witness, flags
from witness.selftest.scenarios import FOREIGN
from witness.watched.files import FileLocks
from witness.watched.naming import instance_of
from witness.watched.posix import watched_semaphore
from witness.watched.processes import Face
from witness.watched.tasks import TaskLists
from witness.watched.trust import Trust

__all__ = ["FOREIGN", "REFUSALS", "ForeignLocks", "remove"]

REFUSALS = (ValueError, RuntimeError, TimeoutError, posix_ipc.BusyError, BlockingIOError)
"""What these locks raise where others are refused."""

_WAIT = 0.01  # seconds; nobody else holds a lock of the self-test, so whoever waits, waits for itself
_LETTERS = "ABCDF"
_DUPOK = flags.DUPOK | flags.PAIRED

Call = tuple[Callable[[bool], object], Callable[[], object], Callable[[], object]]
"""take(tried), give(), and initialise it again."""


class ForeignLocks:
    """The locks of one half. Parameters: watch: where they report; cell: a name that all halves have in common."""

    def __init__(self, watch: _witness.Watch, cell: str) -> None:
        self.watch = watch
        self.cell = cell
        self.trust = Trust()
        self.files = FileLocks(watch)
        self.task: _Task | None = None
        self.opened: list[int] = []

    def made(self, kind: str, letter: str) -> Call:
        """A lock of this kind and letter; with `'` behind it, another one of the same class."""
        make: dict[str, Callable[[str], Call]] = {
            "multiprocessing": self._multiprocessing,
            "posix_ipc": self._posix,
            "flock": self._flock,
            "asyncio": self._asyncio,
        }
        return make[kind](letter)

    def close(self) -> None:
        """The half is over: what it opened is closed."""
        for descriptor in self.opened:
            os.close(descriptor)
        if self.task is not None:
            self.task.close()

    def _multiprocessing(self, letter: str) -> Call:
        name = _name(self.cell, letter)
        raw: Any
        try:
            raw = _multiprocessing.SemLock(1, 1, 1, name, False)
        except FileExistsError:
            raw = _multiprocessing.SemLock._rebuild(0, 1, 1, name)
        number = self.watch.class_get(letter[0], "foreign:multiprocessing.Lock", 0, _DUPOK)
        face = Face(self.watch, raw, number, instance_of(name))
        return (
            lambda tried: face.acquire(not tried, None if tried else _WAIT),
            face.release,
            lambda: self.watch.destroyed(number, face.instance),
        )

    def _posix(self, letter: str) -> Call:
        kind = watched_semaphore(posix_ipc.Semaphore, posix_ipc.O_CREAT, self.watch, self.trust)
        lock = kind(_name(self.cell, letter), posix_ipc.O_CREAT, initial_value=1)

        def take(tried: bool) -> object:
            # Its place is this one, and it is proven by the first time round.
            return lock.acquire(0 if tried else _WAIT)

        take(False)
        lock.release()
        return take, lock.release, lambda: None

    def _flock(self, letter: str) -> Call:
        path = os.path.join(tempfile.gettempdir(), _name(self.cell, letter)[1:])
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.opened.append(descriptor)
        return (
            lambda tried: self.files.flock(fcntl.flock, descriptor, fcntl.LOCK_EX | (fcntl.LOCK_NB if tried else 0)),
            lambda: self.files.flock(fcntl.flock, descriptor, fcntl.LOCK_UN),
            lambda: None,
        )

    def _asyncio(self, letter: str) -> Call:
        task = self.task = self.task or _Task(self.watch)
        lock = asyncio.Lock()
        rules = _DUPOK | flags.SLEEPABLE
        number, instance = self.watch.class_get(letter[0], "foreign:asyncio.Lock", 0, rules), id(lock) >> 4

        async def take() -> bool:
            async with asyncio.timeout(_WAIT):
                got, _ = await task.lists.take(asyncio.Lock.acquire, lock, number, instance)
                return got

        async def give() -> None:
            if not lock.locked():
                self.watch.misuse("release of a lock that is not held", number, instance)
            task.lists.given(number, instance)
            lock.release()

        return lambda _: task.call(take()), lambda: task.call(give()), lambda: self.watch.destroyed(number, instance)


class _Task:
    """One task of one event loop, which does what it is told."""

    def __init__(self, watch: _witness.Watch) -> None:
        self.loop = asyncio.new_event_loop()
        self.lists = TaskLists(watch)
        self.inbox: asyncio.Queue[tuple[Awaitable[Any], asyncio.Future[Any]]] = asyncio.Queue()
        self.task = self.loop.create_task(self._serve())

    async def _serve(self) -> None:
        while True:
            step, done = await self.inbox.get()
            try:
                done.set_result(await step)
            except REFUSALS as error:
                done.set_exception(error)

    def call(self, step: Awaitable[Any]) -> Any:
        """Have the task do this, and wait for what comes of it."""
        done = self.loop.create_future()
        self.inbox.put_nowait((step, done))
        return self.loop.run_until_complete(done)

    def close(self) -> None:
        """The task and its loop end."""
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            self.loop.run_until_complete(self.task)
        self.loop.close()


def _name(cell: str, letter: str) -> str:
    return f"/{cell}-{letter}"


def remove(cell: str) -> None:
    """What the locks of a cell have left in the system goes."""
    for letter in (one + more for one in _LETTERS for more in ("", "'")):
        with suppress(posix_ipc.ExistentialError):
            posix_ipc.unlink_semaphore(_name(cell, letter))
        with suppress(FileNotFoundError):
            os.unlink(os.path.join(tempfile.gettempdir(), _name(cell, letter)[1:]))

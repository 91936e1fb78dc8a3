"""What a scenario works with: an arena of its own, names, other processes, and a count of what it saw fail.

Owns the names of the objects in /dev/shm that a trial makes and the removal of them all. Must not judge anything:
that is the oracle's.
"""

import os
import pickle
import random
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from faultinj.sweep.pdeath import die_with_parent
from shmalloc import Arena
from shmalloc.errors import ShmallocError
from shmalloc.naming import OBJECT_PREFIX, unlink_object

__all__ = ["BEGINNING", "GEOMETRY", "Child", "ChildKilled", "Context", "own_objects"]

GEOMETRY: dict[str, Any] = {
    "max_size": "8M",
    "max_cpus": 8,
    "max_zones": 32,
    "max_queues": 4,
    "max_types": 8,
}
"""A scenario's arena is small, because a new one is made for each trial."""

BEGINNING = "fsweep"
"""Names of the arenas of trials begin so, then the number of the process that asked for the sweep."""

_SHM = Path("/dev/shm")


def own_objects(prefix: str) -> list[str]:
    """Names of the arenas in /dev/shm that begin so."""
    start = OBJECT_PREFIX.lstrip("/")
    full = start + prefix
    return sorted(name[len(start) :] for name in os.listdir(_SHM) if name.startswith(full))


class ChildKilled(Exception):
    """A process of the scenario was killed by its fault, as it should be; the scenario cannot go on."""


class Child:
    """A forked process of a scenario."""

    def __init__(self, pid: int, answer: int) -> None:
        self.pid = pid
        self._answer = answer

    def forget(self) -> None:
        """Of a child that was killed on purpose and waited for: nobody joins it."""
        os.close(self._answer)

    def join(self) -> Any:
        """Wait for its end. Returns: what its function returned. Raises: what it raised; ChildKilled."""
        raw = bytearray()
        while part := os.read(self._answer, 1 << 16):
            raw += part
        os.close(self._answer)
        _, status = os.waitpid(self.pid, 0)
        if os.WIFSIGNALED(status):
            raise ChildKilled(f"the scenario's process {self.pid} ended by signal {os.WTERMSIG(status)}")
        failed, value = pickle.loads(bytes(raw))  # from our own child
        if failed:
            raise value
        return value


class Context:
    """One run of one scenario.

    name: of its arena. seed: of ``random``. failed: how many allocations of each zone the scenario saw fail; the oracle
    compares it with the zones' own count.
    """

    def __init__(self, name: str, *, seed: int = 0, geometry: dict[str, Any] | None = None) -> None:
        self.name = name
        self.seed = seed
        self.random = random.Random(seed)
        self.failed: Counter[str] = Counter()
        self.failed_types: Counter[str] = Counter()
        self.uncounted: set[str] = set()
        self._geometry = {**GEOMETRY, **(geometry or {})}
        self._arena: Arena | None = None
        self._begun: list[Callable[[Arena], object]] = []
        self.laters: list[Callable[[], object]] = []
        self.promises: list[Callable[[], str | None]] = []

    @property
    def arena(self) -> Arena:
        """The scenario's arena, made or attached to at the first use."""
        if self._arena is None or self._arena.closed:
            self._arena = Arena.open(self.name, **self._geometry)
            for told in self._begun:
                told(self._arena)
        return self._arena

    def shape(self, **geometry: Any) -> None:
        """Parameters of Arena.open besides those that every scenario's arena has; before its first use."""
        self._geometry.update(geometry)

    @property
    def opened(self) -> Arena | None:
        """The arena if this process has it open."""
        return None if self._arena is None or self._arena.closed else self._arena

    def on_open(self, told: Callable[[Arena], object]) -> None:
        """Have a function called with the arena when it has been opened."""
        self._begun.append(told)

    def other_name(self, suffix: str = "b") -> str:
        """A name for another arena of this scenario: whatever has it is removed after the trial."""
        return f"{self.name}-{suffix}"

    @contextmanager
    def allocating(self, zone: str) -> Iterator[None]:
        """Around one call that allocates from this zone: when it fails, the zone must have counted one fail."""
        try:
            yield
        except ShmallocError:
            self.failed[zone] += 1
            raise

    @contextmanager
    def mallocating(self, kind: str) -> Iterator[None]:
        """Around one malloc of this type: when it fails, the type must have counted one fail."""
        try:
            yield
        except ShmallocError:
            self.failed_types[kind] += 1
            raise

    def promise(self, kept: Callable[[], str | None]) -> None:
        """Have a function called when everything was freed and reclaimed: it returns what is wrong, or None."""
        self.promises.append(kept)

    def later(self, step: Callable[[], object]) -> None:
        """Have a step done when faults are off: what a scenario that failed halfway can only then put right."""
        self.laters.append(step)

    def uncount(self, *zones: str) -> None:
        """The fails of these zones and malloc types are not the scenario's to count: it uses them through other
        calls."""
        self.uncounted.update(zones)

    def fork(self, function: Callable[..., Any], *args: Any) -> Child:
        """Run function(*args) in a forked process, which then closes the arena and ends. Returns: its Child, to
        join."""
        answer, told = os.pipe()
        pid = os.fork()
        if pid == 0:
            die_with_parent()
            os.close(answer)
            self._be_child(told, function, args)
        os.close(told)
        return Child(pid, answer)

    def _be_child(self, told: int, function: Callable[..., Any], args: tuple[Any, ...]) -> NoReturn:
        try:
            try:
                result: tuple[bool, Any] = (False, function(*args))
            except Exception as error:  # noqa: BLE001 - it is the parent's to judge
                result = (True, _portable(error))
            with open(told, "wb") as pipe:
                pipe.write(pickle.dumps(result))
            if self._arena is not None:
                self._arena.close()
        finally:
            os._exit(0)

    def kill(self, pid: int) -> None:
        """End a process of the scenario as a crash would, and wait until it is gone."""
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

    def close(self) -> None:
        """End the use of the arena in this process; it stays in /dev/shm."""
        arena, self._arena = self._arena, None
        if arena is not None:
            arena.close()

    def remove(self) -> None:
        """Take away every object that the scenario made."""
        for name in own_objects(self.name):
            if name == self.name or name.startswith(self.name + "-"):
                unlink_object(name, missing_ok=True)


def _portable(error: BaseException) -> BaseException:
    """The error as a pickle can carry it."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception as cause:  # noqa: BLE001 - whatever pickling it raises, the text goes over
        return RuntimeError(f"{type(error).__name__}: {error} (not picklable: {cause})")
    return error

"""A supervisor: notices at once that a process died attached to an arena, has it recovered, and tells of it.

Owns the watching. The reaping is the core's, and the log it reads back is any reaper's.

How it notices: each attached process is watched through a pidfd, which poll(2) finds readable the moment the process is
gone, its lock byte free already. That costs nothing while nobody dies, and finds a death within microseconds; asking
each lock byte every few milliseconds would be neither. What no descriptor tells is looked for every `every_s` seconds:
processes that attached since, arenas made since, a forked child's new slot, and deaths where there is no pidfd (another
pid namespace, an old kernel).

How it attaches: to look, read-only, and the mapping is gone again before it waits. It keeps neither a CPU slot nor a
mapping, so the memory of an arena whose last user left and whose name is gone is free at once, and killing the
supervisor at any time leaves nothing. To reap, as a CPU for the moment that takes, under a name that
``unlink_on_last_close`` does not take for a user; killed there it is a dead reaper like any other, which the next
process puts right. It removes no arena: one whose users all died may hold what a restarted service wants back.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from shmalloc.arena import Arena
from shmalloc.attachments import VISITOR
from shmalloc.errors import ArenaInvalid, ArenaNotFound, InvalidArgument, ReadOnly, ShmallocError
from shmalloc.naming import checked_name
from shmalloc.recovery import RecoveryReport
from shmalloc.registry import arena_names

__all__ = ["Recovered", "Supervisor", "Trouble"]


@dataclass(frozen=True, slots=True)
class Recovered:
    """A recovery that a supervisor saw. noticed_ns: CLOCK_REALTIME when it did; by_us: it did the recovery itself."""

    arena: str
    noticed_ns: int
    by_us: bool
    report: RecoveryReport


@dataclass(frozen=True, slots=True)
class Trouble:
    """What keeps a supervisor from looking after an arena; it tries again. Told once, until the reason changes."""

    arena: str
    reason: str


@dataclass(slots=True)
class _Watched:
    """One arena: whom we watch in it, and which of its recoveries were told."""

    uuid: int
    seen: set[int]
    newest: int
    pids: dict[int, int] = field(default_factory=dict)  # pid: pidfd


class Supervisor:
    """Has the dead of some or all arenas recovered as they die. A context manager that works in a thread of its own.

    Parameters: names: arenas to look after, which need not exist yet; without, all that this user may open; told:
    called with each Recovered, by whomever it was recovered, and each Trouble, in the supervisor's thread, which an
    exception of it ends; every_s: seconds between two looks for processes and arenas that are new.
    Raises: InvalidArgument. Concurrency: stop() from any thread or signal handler; run() and step() from one thread.

    >>> with shmalloc.Supervisor(name, told=print) as supervisor:
    ...     supervisor.running
    True
    """

    def __init__(
        self, *names: str, told: Callable[[Recovered | Trouble], None] | None = None, every_s: float = 0.5
    ) -> None:
        if not every_s > 0:
            raise InvalidArgument(argument="every_s", value=every_s, allowed="more than 0 seconds")
        self._names = tuple(sorted({checked_name(name) for name in names}))
        self._told = told
        self._every_s = every_s
        self._arenas: dict[str, _Watched] = {}
        self._troubles: dict[str, str] = {}
        self._poll = select.poll()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._poll.register(self._wake, select.POLLIN)
        self._pid = os.getpid()
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._began_ns = time.time_ns()

    # ------------------------------------------------------------ life

    @property
    def running(self) -> bool:
        """Whether its thread is at work."""
        return self._thread is not None and self._thread.is_alive()

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self.run, name="shmalloc supervisor", daemon=True)
        self.step()  # whoever is attached when the block begins is watched from its first line on
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def stop(self) -> None:
        """Ask run() to return; it does once it is done with what it is doing. In a forked child it does nothing."""
        if os.getpid() == self._pid:
            self._stopping = True
            if self._wake >= 0:
                os.eventfd_write(self._wake, 1)

    def close(self) -> None:
        """Stop, wait for the thread, and let every descriptor go. Also twice."""
        self.stop()
        if self._thread is not None and self._thread is not threading.current_thread():
            if os.getpid() == self._pid:
                self._thread.join()
            self._thread = None
        for name in list(self._arenas):
            self._forget(name)
        if self._wake >= 0:
            os.close(self._wake)
            self._wake = -1

    # ------------------------------------------------------------ work

    def run(self, seconds: float | None = None) -> None:
        """Supervise until stop(), or for so many seconds."""
        end = None if seconds is None else time.monotonic() + seconds
        while not self._stopping:
            self.step()
            left = self._every_s if end is None else min(self._every_s, end - time.monotonic())
            if left <= 0:
                return
            self._wait(left)

    def step(self) -> None:
        """Look at every arena once, now: recover who died, tell what is to be told, watch who is new."""
        names = self._names or tuple(arena_names())
        for gone in self._arenas.keys() - set(names):
            self._forget(gone)
        for name in names:
            try:
                self._look(name)
                self._troubles.pop(name, None)
            except ArenaNotFound:
                self._forget(name)
            except (ArenaInvalid, InvalidArgument, ReadOnly) as error:
                self._forget(name)
                if self._names:  # nobody asked for what just happens to lie about; `shmalloc ls` shows it
                    self._complain(name, str(error))
            except (ShmallocError, OSError) as error:
                self._complain(name, str(error))

    def _wait(self, seconds: float) -> None:
        """Until somebody dies or stop() is called, at most so long."""
        for fd, _ in self._poll.poll(max(1, seconds * 1000)):
            if fd != self._wake:
                self._poll.unregister(fd)  # it stays readable; the look that follows lets it go

    def _look(self, name: str) -> None:
        noticed_ns = time.time_ns()
        with Arena.attach(name, read_only=True) as arena:
            watched = self._arenas.get(name)
            if watched is None or watched.uuid != arena.uuid:
                self._forget(name)
                watched = self._arenas[name] = self._first_look(arena)
            alive = {cpu.pid for cpu in arena.cpus() if cpu.alive}
            self._watch(watched, alive)
            # Whoever died before its descriptor was open, or gave its number to another, is dead by now.
            dead = any(not cpu.alive for cpu in arena.cpus())
            self._tell(arena, watched, noticed_ns)
        if dead:
            with Arena.attach(name, cpu_name=VISITOR, observe=True) as arena:
                if arena.uuid == watched.uuid:
                    arena.reap()
                    self._tell(arena, watched, noticed_ns)

    def _first_look(self, arena: Arena) -> _Watched:
        """What was recovered before the supervisor began is no news; in an arena made since, everything is."""
        old = {report.found_ns for report in arena.recoveries() if report.found_ns < self._began_ns}
        return _Watched(arena.uuid, old, -1)

    def _watch(self, watched: _Watched, alive: set[int]) -> None:
        for pid in watched.pids.keys() - alive:
            self._let_go(watched.pids.pop(pid))
        for pid in alive - watched.pids.keys() - {self._pid}:
            try:
                fd = os.pidfd_open(pid)
            except OSError:
                continue  # just gone, or of another pid namespace: the period finds its death
            watched.pids[pid] = fd
            self._poll.register(fd, select.POLLIN)

    def _tell(self, arena: Arena, watched: _Watched, noticed_ns: int) -> None:
        newest = arena.statistics().events
        if newest == watched.newest:
            return
        reports = arena.recoveries()
        news = [report for report in reports if report.finished and report.found_ns not in watched.seen]
        watched.newest = newest if all(report.finished for report in reports) else -1
        watched.seen = {report.found_ns for report in reports if report.finished}
        for report in news:
            if self._told is not None:
                self._told(Recovered(arena.name, noticed_ns, report.by_pid == self._pid, report))

    def _complain(self, name: str, reason: str) -> None:
        if self._troubles.get(name) != reason:
            self._troubles[name] = reason
            if self._told is not None:
                self._told(Trouble(name, reason))

    def _forget(self, name: str) -> None:
        watched = self._arenas.pop(name, None)
        for fd in watched.pids.values() if watched is not None else ():
            self._let_go(fd)

    def _let_go(self, fd: int) -> None:
        with suppress(KeyError):  # it was readable, and _wait has taken it out already
            self._poll.unregister(fd)
        os.close(fd)

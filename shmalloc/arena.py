"""Arenas: create, attach, open, close, unlink. Owns the Python life of an attachment: names, fork, exit.

Must not know what an item is. Every attachment of this process is in ``_attached`` until it is closed; the fork handler
and the exit handlers work on that set.
"""

import errno
import os
import stat
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from shmalloc import _native
from shmalloc.attachments import attached, remember
from shmalloc.callbacks import Callback
from shmalloc.companions import arm_companions
from shmalloc.errors import ArenaExists, ArenaNotFound, OutOfMemory
from shmalloc.figures import ArenaFigures
from shmalloc.geometry import checked_geometry
from shmalloc.mbuf import MbufTable
from shmalloc.naming import checked_name, create_object, open_object, same_object, unlink_object
from shmalloc.queue import Queue
from shmalloc.recovery import DumpReport, RecoveryReport, no_room_for_dump
from shmalloc.recovery_log import dead_cpu, recoveries
from shmalloc.stats import CheckReport, Event, Finding
from shmalloc.sysctl import Sysctl
from shmalloc.who import HoldingTable
from shmalloc.zone import Zone, open_zone

__all__ = ["Arena"]

_EVENT_KINDS = ("none", "warning", "recovery", "limit", "note")


class Arena(ArenaFigures, HoldingTable, MbufTable):
    """One process's attachment to an arena of shared memory.

    Made by ``Arena.create``, ``Arena.attach`` or ``Arena.open``; a context manager that closes. Dropping the last
    reference closes too, once no Item is left. A writable attachment is a CPU of the arena: it has a slot until it is
    closed, or until its process ends in whatever way. A forked child shares the mapping, gets a slot of its own at its
    first operation, and cannot use the parent's items.

    Concurrency: any thread; a call that waits for another process lets other threads run.

    >>> with shmalloc.Arena.open(name, max_size="64M") as arena:
    ...     frames = arena.zone("frame", size=4096, max_items=64)
    ...     item = frames.alloc(M_WAITOK)
    ...     memoryview(item)[:5] = b"hello"
    ...     arena.check().ok
    True
    """

    __slots__ = ()

    def __init__(self) -> None:
        raise TypeError("an Arena comes from Arena.create(name), Arena.attach(name) or Arena.open(name)")

    # ------------------------------------------------------------ life

    @classmethod
    def create(
        cls,
        name: str,
        *,
        max_size: int | str = "1G",
        max_cpus: int = 64,
        max_zones: int = 256,
        max_queues: int = 64,
        max_types: int = 128,
        fenced: bool = False,
        trace: bool = False,
        max_sites: int = 1024,
        cpu_name: str | None = None,
        unlink_on_last_close: bool = False,
    ) -> Self:
        """Make an arena and attach to it.

        Parameters: max_size: bytes or text ("64G"), address space that costs nothing until used; max_cpus: processes
        attached at one time; fenced: pay a fence per operation instead of membarrier(2); cpu_name: shown by tools;
        unlink_on_last_close: remove the name when this attachment closes and no other process is attached; trace: every
        zone, malloc's too, records who allocated each item, where and when, for who(); max_sites: places it may tell.
        Raises: ArenaExists. OutOfMemory: /dev/shm is full; nothing is left behind. InvalidArgument.
        """
        checked_name(name)
        most = {"max_cpus": max_cpus, "max_zones": max_zones, "max_queues": max_queues, "max_types": max_types}
        max_bytes, counts = checked_geometry(max_size, {**most, "max_sites": max_sites})
        self = cls.__new__(cls)
        self.unlink_on_last_close = unlink_on_last_close
        label = _cpu_label(cpu_name)
        with create_object(name) as fd:
            self._create(name, fd, max_bytes, counts, fenced, trace, label)
        remember(self)
        return self

    @classmethod
    def attach(
        cls,
        name: str,
        *,
        read_only: bool = False,
        cpu_name: str | None = None,
        unlink_on_last_close: bool = False,
        observe: bool = False,
    ) -> Self:
        """Attach to an arena that exists.

        Parameters: read_only: look only: no CPU slot, no allocation; observe: do not put right on the way in what dead
        processes left, for tools that want to see it first.
        Raises: ArenaNotFound. NotAnArena, ArenaTruncated, ArenaCorrupt, ArenaVersionMismatch, ArenaHalfMade: the object
        cannot be used, and was not touched. CpuSlotsExhausted. CompanionMissing: it is armed with one not found here.
        """
        self = cls.__new__(cls)
        self.unlink_on_last_close = unlink_on_last_close
        with open_object(name, read_only=read_only) as fd:
            self._attach(name, fd, not read_only, _cpu_label(cpu_name), observe)
            if os.fstat(fd).st_nlink == 0:
                # The name was removed between our look and our claim, by gc or unlink. Once claimed, gc keeps away.
                self.unlink_on_last_close = False
                self.close()
                raise ArenaNotFound(arena=name)
        if not read_only:
            try:
                arm_companions(self)
            except BaseException:
                self.close()
                raise
        remember(self)
        return self

    @classmethod
    def open(
        cls,
        name: str,
        *,
        max_size: int | str = "1G",
        max_cpus: int = 64,
        max_zones: int = 256,
        max_queues: int = 64,
        max_types: int = 128,
        fenced: bool = False,
        trace: bool = False,
        cpu_name: str | None = None,
        unlink_on_last_close: bool = False,
    ) -> Self:
        """Attach to an arena, creating it if there is none; of processes that race to create it, one does.

        Parameters: as create; the geometry counts only if the arena is created.
        """
        for _ in range(100):  # somebody may create or unlink it between our two looks
            try:
                return cls.attach(name, cpu_name=cpu_name, unlink_on_last_close=unlink_on_last_close)
            except ArenaNotFound:
                pass
            try:
                return cls.create(
                    name,
                    max_size=max_size,
                    max_cpus=max_cpus,
                    max_zones=max_zones,
                    max_queues=max_queues,
                    max_types=max_types,
                    fenced=fenced,
                    trace=trace,
                    cpu_name=cpu_name,
                    unlink_on_last_close=unlink_on_last_close,
                )
            except ArenaExists:
                pass
        raise ArenaExists(arena=name, detail="it comes and goes: another program creates and unlinks it all the time")

    @classmethod
    def attach_file(cls, path: str | os.PathLike[str], *, name: str | None = None) -> Self:
        """Attach read-only to a dump or copy of an arena: for statistics() and check().

        Parameters: path: a file; name: what to call it in messages, the path if not given.
        Raises: OSError: no regular file, or not to be opened. NotAnArena, ArenaTruncated, ArenaCorrupt,
        ArenaVersionMismatch, ArenaHalfMade: no dump that this version reads.
        """
        self = cls.__new__(cls)
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe without a writer does not block us
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                code = errno.EISDIR if stat.S_ISDIR(os.fstat(fd).st_mode) else errno.EINVAL
                raise OSError(code, "it is a directory" if code == errno.EISDIR else "it is no regular file", path)
            self._attach(name or os.fspath(path), fd, False, b"")
        finally:
            os.close(fd)
        return self

    @staticmethod
    def unlink_name(name: str) -> None:
        """Remove an arena's name. Raises: ArenaNotFound."""
        unlink_object(name)

    def unlink(self) -> None:
        """Remove this arena's name; who is attached stays so, the memory goes with the last of them.

        Raises: ArenaNotFound: it has no name any more, or the name stands for another arena now. ArenaClosed.
        """
        if not same_object(self.name, self._fileno()):
            raise ArenaNotFound(arena=self.name)
        unlink_object(self.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<shmalloc.Arena {self.name!r}{', closed' if self.closed else ''}>"

    def __reduce__(self) -> tuple[object, ...]:
        return attached, (self.name, self.uuid)

    def __copy__(self) -> Self:
        raise TypeError("an Arena cannot be copied; attach again with Arena.attach(name)")

    def __deepcopy__(self, memo: object) -> Self:
        raise TypeError("an Arena cannot be copied; attach again with Arena.attach(name)")

    # ------------------------------------------------------------ what is in it

    def zone(
        self,
        name: str,
        *,
        size: int | None = None,
        align: int = 0,
        max_items: int | None = None,
        ctor: Callback | None = None,
        dtor: Callback | None = None,
        init: Callback | None = None,
        fini: Callback | None = None,
        refcnt: bool = False,
        nobucket: bool = False,
        maxbucket: bool = False,
        offpage: bool = False,
        nofree: bool = False,
        trash: bool = False,
        redzone: bool = False,
        keep: bool = False,
        zero_init: bool = False,
        trace: bool = False,
        reserve: int = 0,
        prealloc: int = 0,
        warning: str | None = None,
        maxaction: Callback | None = None,
    ) -> Zone:
        """Open a zone, creating it if size is given and there is none of this name.

        Parameters: size: bytes of an item, None: the zone must exist; align: power of two up to 4096, 0 chooses;
        ctor, dtor, init, fini, maxaction: module-level functions or "package.module:name" (see shmalloc.callbacks);
        refcnt: a counter per item; trash, redzone: catch writes after free and past the end; trace: who() tells where
        each item was allocated; keep: items of a process
        that is gone stay for adopt() instead of being freed; zero_init: new slabs are zeroed. max_items, reserve,
        prealloc, warning and maxaction are set by whoever creates the zone, and not changed by opening it.
        Raises: ZoneMismatch: it exists with other parameters (.field, .have, .want). ZoneNotFound, NameTooLong,
        TableFull, CallbackUnresolvable, InvalidArgument.   Source: UMA uma_zcreate.
        """
        return open_zone(
            self,
            name,
            size=size,
            align=align,
            max_items=max_items,
            callbacks={"ctor": ctor, "dtor": dtor, "init": init, "fini": fini},
            flags={
                "refcnt": refcnt,
                "nobucket": nobucket,
                "maxbucket": maxbucket,
                "offpage": offpage,
                "nofree": nofree,
                "trash": trash,
                "redzone": redzone,
                "keep": keep,
                "zero_init": zero_init,
                "trace": trace,
            },
            reserve=reserve,
            prealloc=prealloc,
            warning=warning,
            maxaction=maxaction,
        )

    def zones(self) -> list[Zone]:
        """Every zone of the arena, opened. Raises: CallbackUnresolvable: see zone_statistics() for figures alone."""
        opened = [_native.zone_by_id(self, place) for place, _ in _native.zone_ids(self)]
        return [zone for zone in opened if isinstance(zone, Zone)]

    def zone_names(self) -> list[str]:
        """Names of the zones."""
        return [name for _, name in _native.zone_ids(self)]

    def queue(self, name: str, *, depth: int | None = None) -> Queue:
        """Open a queue, creating it if there is none of this name.

        Parameters: depth: items it may hold, 64 if not given and created now.
        Raises: ZoneMismatch: it exists with another depth. NameTooLong, TableFull, InvalidArgument.
        """
        queue = _native.queue_open(self, name, depth)
        assert isinstance(queue, Queue)
        return queue

    # ------------------------------------------------------------ figures

    def events(self, after: int = 0) -> Sequence[Event]:
        """The arena's log, oldest first; after: number of the last event seen."""
        return [
            Event(seq, time_ns, _EVENT_KINDS[kind] if kind < len(_EVENT_KINDS) else "note", cpu, text)
            for seq, time_ns, kind, cpu, text in _native.events(self, after)
        ]

    @property
    def sysctl(self) -> Sysctl:
        """The tunables, as a mapping."""
        return Sysctl(self)

    def reap(self) -> RecoveryReport:
        """Put right what dead processes left: their items, buckets, places in queues and their CPU slots.

        Happens by itself when somebody attaches, and before an allocation fails or sleeps; a supervisor calls it to be
        told at once. Runs the dtors of what the dead held.
        Returns: RecoveryReport, with dead == 0 when there was nothing to do. Raises: Stalled: a live process stays
        inside an operation (stopped by a debugger or SIGSTOP), so the world cannot be stopped; try again later.
        Concurrency: any process, several at once; stops every CPU for the moment of the sweep.
        """
        report = _native.reap(self)
        return RecoveryReport(*report[:11], tuple(dead_cpu(*row) for row in report[11]), report[12])

    def recoveries(self) -> tuple[RecoveryReport, ...]:
        """The recoveries that the arena's log still tells of, oldest first, whoever did them; works on a dump too.

        The log is a ring of 256 lines, and a recovery takes two and one for each zone: the oldest go first.
        """
        return recoveries(self.events())

    def dump(self, path: str | os.PathLike[str]) -> DumpReport:
        """Write a consistent, sparse copy of the arena to a new file, for Arena.attach_file and `shmalloc check FILE`.

        Raises: FileExistsError: the file is there already. OutOfMemory: the file system is full, or the file may not
        be so long; no file is left.
        Concurrency: any process; every CPU stands still while the pages that exist are copied.
        """
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            figures = _native.dump(self, fd)
        except OutOfMemory as full:
            os.unlink(path)
            raise no_room_for_dump(self.name, path) from full
        except BaseException:
            os.unlink(path)
            raise
        finally:
            os.close(fd)
        return DumpReport(os.fspath(path), *figures)

    def check(self, most: int = 100) -> CheckReport:
        """Look at every numbered invariant of core/layout.h.

        Parameters: most: findings of each invariant to report.
        Returns: CheckReport; .ok when nothing was found.
        Concurrency: on a live arena every other CPU stops for it, for micro- to milliseconds (.world_stopped_ns).
        """
        findings, *figures = _native.check(self, most)
        return CheckReport(tuple(Finding(*row) for row in findings), *figures)


def _cpu_label(cpu_name: str | None) -> bytes:
    """What tools show for this CPU, cut to its 31 bytes."""
    return (cpu_name or "").encode("utf-8", "replace")[:31]

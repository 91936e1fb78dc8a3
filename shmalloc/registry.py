"""The arenas of this machine: which there are, who lives in them, and which nobody will come back for.

Owns the listing and the removal of what crashed runs left behind. Reads objects through read-only attachments, which
claim no CPU slot. Whether somebody lives is asked of the kernel, never guessed from process ids: every CPU holds an
open-file-description lock on a byte of the object all its life, and so does a creator until the arena is ready.
Source: layout.h, SM_LOCKBYTE_CPU and SM_LOCKBYTE_FORMAT.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from shmalloc.arena import Arena
from shmalloc.attachments import VISITOR
from shmalloc.errors import ArenaInvalid, ArenaNotFound, ArenaVersionMismatch, ShmallocError
from shmalloc.naming import OBJECT_PREFIX
from shmalloc.recovery import RecoveryReport
from shmalloc.stats import ArenaStatistics

DIRECTORY = Path("/dev/shm")
"""Where the system keeps POSIX shared-memory objects under their names."""
PREFIX = OBJECT_PREFIX.removeprefix("/")
"""What every arena's object name begins with."""

State = Literal["live", "idle", "crashed", "half-made", "corrupt", "other-version", "foreign", "unreadable", "dump"]
Action = Literal["removed", "would-remove", "reaped", "would-reap", "kept", "failed"]

_MAGIC = b"SHMALLOC"
_PAGE = 4096
_FORMATTING = 0  # h_state of a header that its creator has not finished
_STATE_BACK = 16  # h_state stands this far before the end of the header
_FLOCK = struct.Struct("@hhqqi4x")  # struct flock: l_type, l_whence, l_start, l_len, l_pid


@dataclass(frozen=True, slots=True)
class ArenaInfo:
    """One object that bears an arena's name.

    `state`: live (a process is attached), idle (all left in order), crashed (only dead CPUs), half-made (its creator
    did not finish), corrupt, other-version, foreign (no arena at all), unreadable, or dump, for a file; in a dump every
    CPU that was attached counts as dead. `problem` says in words why what is half-made to unreadable cannot be attached
    to; it is empty for the others. `recoveries` are those that the arena's log still tells of, oldest first. Where the
    statistics cannot be read, counts are 0, and `created_ns` is the time of the object's last change.
    """

    name: str
    bytes: int
    allocated: int
    uuid: int
    created_ns: int
    live_cpus: int
    dead_cpus: int
    owner_uid: int
    state: State
    problem: str
    creator_pid: int
    zones: int
    recoveries: tuple[RecoveryReport, ...] = ()


@dataclass(frozen=True, slots=True)
class GcAction:
    """What `gc` did, or in a dry run would do, with one object, and why; recovery: the report, of one it reaped."""

    name: str
    action: Action
    reason: str
    recovery: RecoveryReport | None = None


def list_arenas() -> list[ArenaInfo]:
    """Every object of the system whose name begins as an arena's, sorted by name, the broken ones included.

    Returns: one record an object. An object that may not be opened is listed as unreadable; one that vanishes while
       the list is made is left out.
    Concurrency: any time; nothing is locked and nobody is stopped, so the counts are those of a moment.
    """
    return [info for name in arena_names() if (info := _examine(name)) is not None]


def examine_file(path: str | os.PathLike[str]) -> ArenaInfo:
    """The record of a dump or another copy of an arena; its name is the path.

    Raises: OSError: the file cannot be opened, or is no regular file. NotAnArena, ArenaTruncated, ArenaCorrupt,
       ArenaVersionMismatch, ArenaHalfMade.
    """
    with Arena.attach_file(path) as arena:
        about = os.stat(path)
        return _sound(os.fspath(path), about, "dump", arena.statistics(), arena.recoveries())


def gc(
    dry_run: bool = False, *, names: Collection[str] | None = None, half_made_after_s: float = 60.0
) -> list[GcAction]:
    """Remove the arenas that no live CPU is attached to.

    Removed are idle and crashed arenas at once, and half-made or corrupt ones whose last change is older than
    `half_made_after_s` seconds. Kept are live arenas, objects on which any process holds a lock (a creator holds one
    while it formats), young half-made objects, foreign objects that happen to bear the prefix, and what cannot be
    read. An arena of another layout version is kept too unless it stands in `names`: what its locks mean is not known
    for certain. Never raises because of one object: what could not be removed is reported as failed, and the others
    are still looked at.

    Parameters: dry_run: change nothing, say what would be done; names: look at these arenas only, by default at all.
    Returns: one record for each object looked at, sorted by name.
    Concurrency: any time, several at once too. While it removes an object it holds every lock byte of it, so that no
       process can claim a CPU slot in between.
    """
    wanted = arena_names() if names is None else sorted(set(names))
    return [
        action
        for name in wanted
        if (action := _collect(name, dry_run, half_made_after_s, names is not None)) is not None
    ]


def arena_names() -> list[str]:
    """The names of all objects of the system named as an arena's is, sorted; what they are is not looked at."""
    try:
        found = os.listdir(DIRECTORY)
    except FileNotFoundError:
        return []
    return sorted(name.removeprefix(PREFIX) for name in found if name.startswith(PREFIX) and name != PREFIX)


def _path(name: str) -> Path:
    return DIRECTORY / f"{PREFIX}{name}"


def _open(name: str, flags: int) -> int:
    return os.open(_path(name), flags | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)


# ------------------------------------------------------------------------------------------------ looking


def _examine(name: str) -> ArenaInfo | None:
    """The record of one object; None when there is none of the name any more."""
    try:
        about = os.stat(_path(name), follow_symlinks=False)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(about.st_mode):
        return _broken(name, about, "foreign", "not a shared-memory object")
    try:
        fd = _open(name, os.O_RDONLY)
    except FileNotFoundError:
        return None
    except OSError as error:
        return _broken(name, about, "unreadable", f"cannot be opened: {error.strerror}")
    try:
        about = os.fstat(fd)
        state, problem = _judge_header(fd, about)
        if state is not None:
            return _broken(name, about, state, problem)
    finally:
        os.close(fd)
    return _attached(name, about)


def _judge_header(fd: int, about: os.stat_result) -> tuple[State | None, str]:
    """What the first page alone tells; (None, "") when it claims to be a finished arena."""
    head = os.pread(fd, _PAGE, 0)
    if not head.strip(b"\0"):
        # A creator commits nothing but the first page before it writes the header there.
        if about.st_blocks * 512 <= _PAGE:
            return "half-made", "its creator did not get as far as the header"
        return "foreign", "holds data, but zeros where an arena has its header"
    if head[:8] != _MAGIC:
        return "foreign", "does not begin with an arena's magic"
    if len(head) < 24:
        return "corrupt", f"is cut short after {about.st_size} bytes"
    (header_bytes,) = struct.unpack_from("=I", head, 16)
    at = header_bytes - _STATE_BACK
    if 24 <= at <= len(head) - 4 and struct.unpack_from("=I", head, at)[0] == _FORMATTING:
        return "half-made", "its creator did not finish it"
    return None, ""


def _attached(name: str, about: os.stat_result) -> ArenaInfo | None:
    try:
        with Arena.attach(name, read_only=True) as arena:
            stats, past = arena.statistics(), arena.recoveries()
    except ArenaNotFound:
        return None
    except ArenaVersionMismatch as error:
        return _broken(name, about, "other-version", f"has layout version {error.have}, not {error.want}")
    except ArenaInvalid as error:
        return _broken(name, about, "corrupt", f"{error.reason} ({error.detail})" if error.detail else error.reason)
    except ShmallocError as error:
        return _broken(name, about, "unreadable", str(error))
    state: State = "live" if stats.live_cpus else "crashed" if stats.dead_cpus else "idle"
    return _sound(name, about, state, stats, past)


def _sound(
    name: str, about: os.stat_result, state: State, stats: ArenaStatistics, past: tuple[RecoveryReport, ...]
) -> ArenaInfo:
    return ArenaInfo(
        name=name,
        bytes=stats.object_bytes,
        allocated=about.st_blocks * 512,
        uuid=stats.uuid,
        created_ns=stats.created_ns,
        live_cpus=stats.live_cpus,
        dead_cpus=stats.dead_cpus,
        owner_uid=about.st_uid,
        state=state,
        problem="",
        creator_pid=stats.creator_pid,
        zones=stats.zones,
        recoveries=past,
    )


def _broken(name: str, about: os.stat_result, state: State, problem: str) -> ArenaInfo:
    return ArenaInfo(
        name=name,
        bytes=about.st_size,
        allocated=about.st_blocks * 512,
        uuid=0,
        created_ns=about.st_mtime_ns,
        live_cpus=0,
        dead_cpus=0,
        owner_uid=about.st_uid,
        state=state,
        problem=problem,
        creator_pid=0,
        zones=0,
    )


# ------------------------------------------------------------------------------------------------ removing


def _collect(name: str, dry_run: bool, half_made_after_s: float, named: bool) -> GcAction | None:
    info = _examine(name)
    if info is None:
        return None
    reason, remove = _verdict(info, half_made_after_s, named)
    if info.state == "live" and info.dead_cpus:
        return _reap(info, dry_run)
    if not remove:
        return GcAction(name, "kept", reason)
    try:
        fd = _open(name, os.O_RDONLY if dry_run else os.O_RDWR)
    except FileNotFoundError:
        return None
    except OSError as error:
        return GcAction(name, "failed", f"{reason}, but it cannot be opened: {error.strerror}")
    try:
        if dry_run:
            if _somebody_holds_a_lock(fd):
                return GcAction(name, "kept", "a process holds a lock on it")
            return GcAction(name, "would-remove", reason)
        return _remove(name, fd, reason)
    finally:
        os.close(fd)  # and with it the locks that _remove took


def _verdict(info: ArenaInfo, half_made_after_s: float, named: bool) -> tuple[str, bool]:
    """Why an object goes or stays, and whether it goes, before anybody asked for its locks."""
    if info.state == "live":
        return f"{_cpus(info.live_cpus)} attached", False
    if info.state == "crashed":
        return f"{_cpus(info.dead_cpus)} died in it, none is attached", True
    if info.state == "idle":
        return "no CPU is attached", True
    why = f"{info.state}: {info.problem}"
    if info.state in ("half-made", "corrupt"):
        old_s = time.time() - info.created_ns / 1e9
        if old_s < half_made_after_s:
            return f"{info.state}, but changed {max(old_s, 0):.0f} s ago: it may be in the making", False
        return why, True
    if info.state == "other-version":
        return why if named else f"{why}; gc removes it only by name", named
    return why, False


def _cpus(count: int) -> str:
    return "1 CPU" if count == 1 else f"{count} CPUs"


def _remove(name: str, fd: int, reason: str) -> GcAction | None:
    """Unlink the object behind fd, unless somebody lives in it or the name has gone to another object meanwhile."""
    if not _take_every_lock(fd):
        return GcAction(name, "kept", "a process holds a lock on it")
    try:
        named = os.stat(_path(name), follow_symlinks=False)
    except FileNotFoundError:
        return None
    about = os.fstat(fd)
    if (named.st_dev, named.st_ino) != (about.st_dev, about.st_ino):
        return GcAction(name, "kept", "the name was given to a new object just now")
    try:
        os.unlink(_path(name))
    except FileNotFoundError:
        return None
    except OSError as error:
        return GcAction(name, "failed", f"{reason}, but it cannot be removed: {error.strerror}")
    return GcAction(name, "removed", reason)


def _reap(info: ArenaInfo, dry_run: bool) -> GcAction | None:
    """An arena that lives on though processes died in it: what they held goes back to its zones."""
    found = f"{_cpus(info.live_cpus)} attached, {_cpus(info.dead_cpus)} died in it"
    if dry_run:
        return GcAction(info.name, "would-reap", found)
    try:
        with Arena.attach(info.name, cpu_name=VISITOR, observe=True) as arena:
            report = arena.reap()
    except ArenaNotFound:
        return None
    except ShmallocError as error:
        return GcAction(info.name, "failed", f"{found}, but they cannot be reaped: {error}")
    if not report.dead:
        return GcAction(info.name, "kept", f"{_cpus(info.live_cpus)} attached; the dead were reaped by another")
    doing = ", ".join(f"CPU {cpu.cpu} (pid {cpu.pid}) during {cpu.doing}" for cpu in report.cpus)
    return GcAction(info.name, "reaped", f"{report.freed} items freed, {report.kept} kept; died: {doing}", report)


def _somebody_holds_a_lock(fd: int) -> bool:
    asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    (kind, *_) = _FLOCK.unpack(fcntl.fcntl(fd, fcntl.F_OFD_GETLK, asked))
    return bool(kind != fcntl.F_UNLCK)


def _take_every_lock(fd: int) -> bool:
    """Lock every byte there is, past the end too; False when anybody else holds any. Dropped when fd is closed."""
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True

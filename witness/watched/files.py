"""File locks: fcntl.flock, lockf and fcntl (F_SETLK, F_SETLKW and those of open file descriptions), and os.lockf.

Owns what this process has locked, by descriptor. A file is one lock in all processes, by its device and inode; its
class is its path, without what is made at random. The kernel also gives a lock back when the descriptor is closed, and
nobody tells of that: it is looked up in /proc before an order after it is learned, and when its file is locked again.
"""

import errno
import fcntl
import os
import re
import struct
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from types import ModuleType
from typing import Any

from witness import _witness, flags
from witness.watched.naming import Classes

__all__ = ["FileLocks", "watch_files"]

_FLOCK = "hhqqi"  # struct flock: l_type, l_whence, l_start, l_len, l_pid
_OFD_SETLK = getattr(fcntl, "F_OFD_SETLK", 37)
_COMMANDS = {  # whether it waits, and what asks for the same at once
    fcntl.F_SETLK: (False, fcntl.F_SETLK),
    fcntl.F_SETLKW: (True, fcntl.F_SETLK),
    _OFD_SETLK: (False, _OFD_SETLK),
    getattr(fcntl, "F_OFD_SETLKW", 38): (True, _OFD_SETLK),
}
_REFUSED = (errno.EWOULDBLOCK, errno.EACCES)


@dataclass(frozen=True, slots=True)
class _Held:
    number: int
    instance: int
    file: tuple[int, int]


class FileLocks:
    """The file locks of one process, told to a Watch. The calls take what the system's take, and call it."""

    def __init__(self, watch: _witness.Watch) -> None:
        self.watch = watch
        self.classes = Classes(watch, flags.FILE_KIND, flags.DUPOK | flags.SLEEPABLE | flags.FILE)
        self.held: dict[tuple[int, int], _Held] = {}  # by descriptor and range
        watch.on_alive = self.alive
        os.register_at_fork(after_in_child=self.held.clear)  # a list of the parent's

    def flock(self, plain: Callable[..., Any], fd: Any, operation: int) -> Any:
        """fcntl.flock."""
        return self._call(plain, fd, operation, lambda call, how: call(fd, how), span=0)

    def lockf(self, plain: Callable[..., Any], fd: Any, cmd: int, *rest: Any) -> Any:
        """fcntl.lockf; bytes of a file from other places than its beginning are other locks."""
        span = _span(*(*rest, 0, 0, 0)[:3])
        return self._call(plain, fd, cmd, lambda call, how: call(fd, how, *rest), span=span)

    def control(self, plain: Callable[..., Any], fd: Any, cmd: int, *rest: Any) -> Any:
        """fcntl.fcntl: commands that lock; all others are the system's."""
        waits, at_once = _COMMANDS.get(cmd, (False, None))
        raw = rest[0] if rest else None
        if at_once is None or not isinstance(raw, bytes | bytearray) or len(raw) < struct.calcsize(_FLOCK):
            return plain(fd, cmd, *rest)
        what, whence, start, length, _ = struct.unpack_from(_FLOCK, raw)
        operation = {fcntl.F_RDLCK: fcntl.LOCK_SH, fcntl.F_WRLCK: fcntl.LOCK_EX}.get(what, fcntl.LOCK_UN)
        operation |= 0 if waits else fcntl.LOCK_NB

        def run(call: Callable[..., Any], how: int) -> Any:
            return call(fd, at_once if how & fcntl.LOCK_NB else cmd, *rest)

        return self._call(plain, fd, operation, run, span=_span(length, start, whence))

    def os_lockf(self, plain: Callable[..., Any], fd: int, cmd: int, length: int) -> Any:
        """os.lockf: from where the file's position is."""
        how = {os.F_LOCK: fcntl.LOCK_EX, os.F_TLOCK: fcntl.LOCK_EX | fcntl.LOCK_NB, os.F_ULOCK: fcntl.LOCK_UN}.get(cmd)
        if how is None:
            return plain(fd, cmd, length)
        span = _span(length, os.lseek(fd, 0, os.SEEK_CUR), 0)

        def run(call: Callable[..., Any], now: int) -> Any:
            return call(fd, os.F_TLOCK if now & fcntl.LOCK_NB else cmd, length)

        return self._call(plain, fd, how, run, span=span)

    def alive(self, number: int, instance: int) -> bool:
        """Whether this process has a lock of this class and instance still."""
        return any(
            self._has(key, held)
            for key, held in list(self.held.items())
            if (held.number, held.instance) == (number, instance)
        )

    def _call(
        self,
        plain: Callable[..., Any],
        fd: Any,
        operation: int,
        run: Callable[[Callable[..., Any], int], Any],
        *,
        span: int,
    ) -> Any:
        number, instance, file = self._which(fd, span)
        if number is None or not isinstance(operation, int):
            return run(plain, operation)
        key = (_descriptor(fd), span)
        if operation & fcntl.LOCK_UN:
            self._gone(key)  # before, as every lock: afterwards somebody else may have it
            return run(plain, operation)
        for other, held in list(self.held.items()):
            if other != key and held.file == file and not self._has(other, held):
                self._gone(other)
        self._gone(key)  # what this descriptor has is turned into what is asked for, or was closed unseen
        mode = flags.SHARED_RECURSIVE if operation & fcntl.LOCK_SH else flags.EXCLUSIVE
        marks = flags.TRY if operation & fcntl.LOCK_NB else 0
        try:
            result = run(plain, operation | fcntl.LOCK_NB)
        except OSError as error:
            if marks or error.errno not in _REFUSED:
                raise
            self.watch.before(number, instance, mode)
            try:
                result = run(plain, operation)
            except BaseException:
                self.watch.not_acquired(number, instance)
                raise
            marks = flags.CONTENDED
        if any(held.instance == instance for held in self.held.values()):
            return result  # another descriptor of the same opening: it waits for nobody, and is no second lock
        self.held[key] = _Held(number, instance, file)
        self.watch.acquired(number, instance, mode, marks)
        return result

    def _which(self, fd: Any, span: int) -> tuple[int | None, int, tuple[int, int]]:
        """The class, the instance and the file of a descriptor; no class: the call itself says what is wrong."""
        try:
            descriptor = _descriptor(fd)
            found = os.fstat(descriptor)
            path = os.readlink(f"/proc/self/fd/{descriptor}")
        except (OSError, TypeError, ValueError):
            return None, 0, (0, 0)
        file = (found.st_dev, found.st_ino)
        digest = blake2b(repr((*file, span)).encode(), digest_size=8).digest()
        return self.classes.named(_pattern(path)), int.from_bytes(digest) >> 1, file

    def _gone(self, key: tuple[int, int]) -> None:
        held = self.held.pop(key, None)
        if held is not None:
            self.watch.released(held.number, held.instance)

    def _has(self, key: tuple[int, int], held: _Held) -> bool:
        """Whether the descriptor is that file still, and the kernel says that it locks it."""
        try:
            found = os.fstat(key[0])
            info = os.open(f"/proc/self/fdinfo/{key[0]}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            return (found.st_dev, found.st_ino) == held.file and b"lock:" in os.read(info, 65536)
        finally:
            os.close(info)


def _descriptor(fd: Any) -> int:
    return fd if isinstance(fd, int) else int(fd.fileno())


def _span(length: int, start: int, whence: int) -> int:
    """A number for the bytes that are locked; 0: the whole file."""
    return 0 if (length, start, whence) == (0, 0, 0) else hash((length, start, whence)) | 1


def _pattern(path: str) -> str:
    """The class of a path: its folder and its name, numbers as `#`, the folder left out where it is temporary."""
    folder, name = os.path.split(path.removesuffix(" (deleted)"))
    kept = "" if path.startswith(tempfile.gettempdir() + os.sep) else os.path.basename(folder)
    return re.sub(r"\d+", "#", f"{kept}/{name}") + " file"


def watch_files(module: ModuleType, watch: _witness.Watch) -> None:
    """Watch the file locks that are taken from now on. Parameters: module: fcntl."""
    locks = FileLocks(watch)

    def put(owner: Any, name: str, face: Callable[..., Any]) -> None:
        plain = getattr(owner, name)

        def watched(*args: Any) -> Any:
            return face(plain, *args) if len(args) > 1 else plain(*args)

        watched.__name__ = watched.__qualname__ = name
        watched.__module__, watched.__doc__ = plain.__module__, plain.__doc__
        setattr(owner, name, watched)

    put(module, "flock", locks.flock)
    put(module, "lockf", locks.lockf)
    put(module, "fcntl", locks.control)
    if hasattr(os, "lockf"):
        put(os, "lockf", locks.os_lockf)

"""Where an unmodified Python program can be made to fail: the functions that it gets things from the system by.

Owns the catalogue of these places and their genuine errors. Must not put anything in its place: that is ``wrap``.
What C code asks of the system by itself is no place: nobody on this side sees it.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from typing import NoReturn

from faultinj.declared import Error, Point, enter

__all__ = ["PLACES", "Place", "SystemPoint", "declare_places"]


@dataclass(frozen=True, slots=True)
class Place:
    """One function of the standard library. target: "module:attribute", where it is replaced, "" for a place that is
    more than one function; error: the errno of the fault unless a program says another, or an exception; subject: which
    argument is the file or address that the error names, -1 for none."""

    name: str
    target: str
    error: int | Error
    text: str
    subject: int = -1


PLACES: tuple[Place, ...] = (
    Place("file.open", "", errno.EMFILE, "open() has no descriptor left", 0),
    Place("file.read", "", errno.EIO, "a file made by open() cannot be read"),
    Place("file.write", "", errno.ENOSPC, "what was written to a file made by open() finds a full disk"),
    Place("os.open", "os:open", errno.EMFILE, "no descriptor is left", 0),
    Place("os.read", "os:read", errno.EIO, "a descriptor cannot be read"),
    Place("os.write", "os:write", errno.ENOSPC, "a descriptor finds a full disk"),
    Place("os.fsync", "os:fsync", errno.EIO, "the disk refuses to make it last"),
    Place("os.replace", "os:replace", errno.EACCES, "a file cannot take another's place", 0),
    Place("os.rename", "os:rename", errno.EACCES, "a file cannot be renamed", 0),
    Place("os.unlink", "os:unlink", errno.EACCES, "a file cannot be removed", 0),
    Place("os.remove", "os:remove", errno.EACCES, "a file cannot be removed", 0),
    Place("os.mkdir", "os:mkdir", errno.ENOSPC, "no directory can be made", 0),
    Place("os.stat", "os:stat", errno.EACCES, "a file cannot be looked at", 0),
    Place("os.listdir", "os:listdir", errno.EACCES, "a directory cannot be read", 0),
    Place("os.pipe", "os:pipe", errno.EMFILE, "no descriptor is left for a pipe"),
    Place("os.fork", "os:fork", errno.EAGAIN, "no process can be made"),
    Place("process.spawn", "subprocess:_fork_exec", errno.EAGAIN, "subprocess cannot start a process"),
    Place("socket.create", "socket:socket.__init__", errno.EMFILE, "no descriptor is left for a socket"),
    Place("socket.connect", "socket:socket.connect", errno.ECONNREFUSED, "nobody listens there"),
    Place("socket.bind", "socket:socket.bind", errno.EADDRINUSE, "the address is taken"),
    Place("socket.accept", "socket:socket.accept", errno.ECONNABORTED, "the connection is gone before it is accepted"),
    Place("socket.send", "socket:socket.send", errno.ECONNRESET, "the other end is gone"),
    Place("socket.sendall", "socket:socket.sendall", errno.ECONNRESET, "the other end is gone"),
    Place("socket.recv", "socket:socket.recv", errno.ECONNRESET, "the other end is gone"),
    Place("thread.start", "threading:_start_new_thread", RuntimeError("can't start new thread"), "no thread is left"),
    Place("import", "", ImportError, "a module cannot be found or loaded"),
    Place("memory.alloc", "", MemoryError, "the interpreter gets no memory"),
)


class SystemPoint(Point):
    """A place where the system fails: the error is the one that it would report there, with errno and file name."""

    def __init__(self, place: Place) -> None:
        if isinstance(place.error, int):
            super().__init__(place.name, type(OSError(place.error, "")), place.text)
            self.errno: int | None = place.error
        else:
            super().__init__(place.name, place.error, place.text)
            self.errno = None

    def _report(self, code: int, number: int, subject: str | None) -> NoReturn:
        wanted = self.errno if code == 0 else abs(number)
        if code == 1 or wanted is None:
            super()._report(code, number, subject)
        raise OSError(wanted, os.strerror(wanted), *([] if subject is None else [subject]))

    def _made(self, error: Error) -> BaseException:
        # Two raisings of one exception would share their traceback.
        return type(error)(*error.args) if isinstance(error, BaseException) else super()._made(error)


def declare_places() -> dict[str, Point]:
    """Declare every place in this process. Returns: the points by name."""
    return {place.name: enter(SystemPoint(place)) for place in PLACES}

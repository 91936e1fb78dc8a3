"""Calls that block, reported when a lock is held that may not be held while sleeping.

Owns which calls are known, and the places that may block all the same. Only that they are called is reported: they do
what they always did. A call that cannot wait (a time of 0) is not told of.
"""

import fcntl
import fnmatch
import functools
import queue
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

__all__ = ["CALLS", "Allowed", "parse_allowed", "watch_blocking"]


class Told(Protocol):
    """Whom the calls report to: a ``_witness.Watch``, or who stands before one."""

    def may_sleep(self, what: str, /) -> int:
        """Something that may sleep is called."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """Where blocking is in order: patterns of the file and of the function that calls, as in a shell.

    A pattern of the file may be of the whole path, or of its end from the beginning of a name on.
    """

    file: str
    function: str = "*"

    def covers(self, file: str, function: str) -> bool:
        """Whether this caller is meant."""
        there = fnmatch.fnmatch(file, self.file) or fnmatch.fnmatch(file, f"*/{self.file}")
        return there and fnmatch.fnmatch(function, self.function)


def parse_allowed(text: str) -> tuple[Allowed, ...]:
    """Read `FILE[:FUNCTION]` patterns, one a line."""
    return tuple(Allowed(file, function or "*") for file, _, function in (line.partition(":") for line in text.split()))


def _sleeps(seconds: float) -> bool:
    return seconds > 0


def _selects(_r: Any, _w: Any, _x: Any, timeout: float | None = None) -> bool:
    return timeout is None or timeout > 0


def _gets(_self: Any, block: bool = True, timeout: float | None = None) -> bool:
    return block and (timeout is None or timeout > 0)


def _waits(_self: Any, timeout: float | None = None) -> bool:
    return timeout is None or timeout > 0


def _on_socket(self: socket.socket, *_: Any, **__: Any) -> bool:
    return self.gettimeout() != 0


def _locks(_fd: Any, operation: int, *_: Any) -> bool:
    return not operation & (fcntl.LOCK_NB | fcntl.LOCK_UN)


CALLS: tuple[tuple[Any, str, str, Callable[..., bool]], ...] = (
    (time, "sleep", "time.sleep", _sleeps),
    (select, "select", "select.select", _selects),
    (queue.Queue, "get", "queue.Queue.get", _gets),
    (subprocess.Popen, "wait", "subprocess.Popen.wait", _waits),
    (fcntl, "flock", "fcntl.flock", _locks),
    (fcntl, "lockf", "fcntl.lockf", _locks),
    *(
        (socket.socket, name, f"socket.{name}", _on_socket)
        for name in ("accept", "connect", "recv", "recv_into", "send")
    ),
    *((socket.socket, name, f"socket.{name}", _on_socket) for name in ("sendall", "recvfrom", "sendto")),
)
"""Where the call is, its name there, what reports call it, and whether it may wait with these arguments."""


def watch_blocking(watch: Told, allowed: Iterable[Allowed] = ()) -> None:
    """Report these calls from now on when a lock is held that is not sleepable.

    Parameters: allowed: callers that are left alone.
    """
    places = tuple(allowed)
    for owner, name, what, waits in CALLS:
        setattr(owner, name, _watched(getattr(owner, name), watch, what, waits, places))


def _watched(
    call: Callable[..., Any],
    watch: Told,
    what: str,
    waits: Callable[..., bool],
    allowed: tuple[Allowed, ...],
) -> Callable[..., Any]:
    @functools.wraps(call)
    def watched(*args: Any, **kwargs: Any) -> Any:
        caller = sys._getframe(1).f_code
        if not any(place.covers(caller.co_filename, caller.co_qualname) for place in allowed):
            try:
                may = waits(*args, **kwargs)
            except TypeError:
                may = False  # wrong arguments: the call itself says what is wrong with them
            if may:
                watch.may_sleep(what)
        return call(*args, **kwargs)

    return watched

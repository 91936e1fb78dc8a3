"""One place where the system may fail, and the point that reports it with the genuine error.

Owns the errors: class, errno, strerror; and what of a call's arguments a filter sees. What C code asks of the system by
itself is no place: nobody here sees it.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from faultinj.catalogue import FaultPoint
from faultinj.declared import Error, Point

__all__ = ["Place", "SystemPoint", "named"]

_PLAIN_NUMBER = 3  # what a return(7) carries, where return(EIO) carries an errno


class _Call(threading.local):
    """What is known of the call that reaches a point at the moment."""

    paths: tuple[Any, ...] = ()
    most: int | None = None


_call = _Call()


def named(value: object) -> str:
    """A path, descriptor or address as the subject of a point: text that has a form in UTF-8, whatever it names."""
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if isinstance(value, (list, tuple)) and value:
        if not isinstance(value[0], str):
            return named(value[0])  # the program of several that may be executed
        value = ":".join(map(str, value[:2]))
    if isinstance(value, bytes):
        value = os.fsdecode(value)
    text = value if isinstance(value, str) else str(value)
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


@dataclass(frozen=True, slots=True)
class Place:
    """One thing that a program asks of the system.

    targets: "module:attribute" of the functions that are replaced, none for a place that is more than functions; error:
    the errno of the fault unless a program says another, or an exception; others: errnos that the call documents too;
    paths: the names of its first parameters, which the genuine error carries as filename and filename2; about: which
    argument a filter [zone GLOB] sees where there are no paths; moves: which argument is the data, or the number of
    bytes: return(N) has the call move at most N, but no less than `least`; after: the call is made all the same, and
    then its error reported; spared: whether a call with these arguments cannot fail so; alone: swept only when it is
    named; looks: nothing outside of the process is changed, so that a death before it is none of its own.
    """

    name: str
    targets: tuple[str, ...]
    error: int | Error
    text: str
    others: tuple[int, ...] = ()
    paths: tuple[str, ...] = ()
    about: int | None = None
    moves: int | None = None
    least: int = 1
    after: bool = False
    spared: Callable[[tuple[Any, ...], dict[str, Any]], bool] | None = None
    alone: bool = False
    looks: bool = False


class SystemPoint(Point):
    """A place where the system fails: the error is the one that it would report there.

    counts: which calls reach the point; None: all.
    """

    counts: Callable[[], bool] | None = None

    def __init__(self, place: Place) -> None:
        self.place = place
        if isinstance(place.error, int):
            super().__init__(place.name, type(OSError(place.error, "")), place.text)
            self.errno: int | None = place.error
        else:
            super().__init__(place.name, place.error, place.text)
            self.errno = None

    @property
    def record(self) -> FaultPoint:
        """The point as points() lists it, with the name of the errno."""
        plain = super().record
        if self.errno is not None:
            return FaultPoint(plain.name, f"{plain.error} {errno.errorcode[self.errno]}", plain.text)
        error = self.place.error
        if isinstance(error, (type, BaseException)):
            return plain
        return FaultPoint(plain.name, getattr(error, "__name__", plain.error), plain.text)

    def reach(self, subject: object = None, size: int = 0, paths: tuple[Any, ...] = ()) -> int | None:
        """The call is about to be made. paths: those that the genuine error carries as filename and filename2.

        Returns: None: it goes on; a number: with at most so many bytes.   Raises: what a fault has it fail with.
        """
        if self.counts is not None and not self.counts():
            return None
        before = _call.paths, _call.most
        # As the call itself: its error carries what the object says its path is, not the object.
        _call.paths = tuple(os.fspath(path) if isinstance(path, os.PathLike) else path for path in paths)
        _call.most = None
        try:
            self(None if subject is None else named(subject), size)
            return _call.most
        finally:
            _call.paths, _call.most = before

    def _report(self, code: int, number: int, subject: str | None) -> None:
        if code == _PLAIN_NUMBER and self.place.moves is not None:
            _call.most = max(self.place.least, number)
            return
        wanted = self.errno if code == 0 else abs(number)
        if code == 1 or wanted is None:
            super()._report(code, number, subject)
        first, second = (*_call.paths, None, None)[:2]
        raise OSError(wanted, os.strerror(wanted or 0), *(() if first is None else (first, None, second)))

    def _made(self, error: Error) -> BaseException:
        # Two raisings of one exception would share their traceback.
        return type(error)(*error.args) if isinstance(error, BaseException) else super()._made(error)

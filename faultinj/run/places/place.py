"""One place where the system may fail, and the point that reports it with the genuine error.

Owns the errors: class, errno, strerror. What C code asks of the system by itself is no place: nobody here sees it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from faultinj.declared import Error, Point

__all__ = ["Place", "SystemPoint", "named"]


_paths = threading.local()  # of the call that reaches a point at the moment


def named(file: object) -> str:
    """A path or descriptor as the subject of a point."""
    try:
        return file if isinstance(file, str) else os.fsdecode(file)  # type: ignore[arg-type]
    except (TypeError, UnicodeError):
        return str(file)


@dataclass(frozen=True, slots=True)
class Place:
    """One function of the standard library. target: "module:attribute", where it is replaced, "" for a place that is
    more than one function; error: the errno of the fault unless a program says another, or an exception; paths: the
    names of its first parameters, which the genuine error carries as filename and filename2; spared: whether a call
    with these arguments cannot fail so."""

    name: str
    target: str
    error: int | Error
    text: str
    paths: tuple[str, ...] = ()
    spared: Callable[[tuple[Any, ...], dict[str, Any]], bool] | None = None


class SystemPoint(Point):
    """A place where the system fails: the error is the one that it would report there."""

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
        first, second = getattr(_paths, "given", (None, None))
        raise OSError(wanted, os.strerror(wanted), *(() if first is None else (first, None, second)))

    def reached_with(self, first: Any, second: Any = None) -> None:
        """Reach the point with the paths that the genuine error carries as filename and filename2."""
        # As the call itself: its error carries what the object says its path is, not the object.
        _paths.given = tuple(os.fspath(path) if isinstance(path, os.PathLike) else path for path in (first, second))
        try:
            self(named(first))
        finally:
            _paths.given = (None, None)

    def _made(self, error: Error) -> BaseException:
        # Two raisings of one exception would share their traceback.
        return type(error)(*error.args) if isinstance(error, BaseException) else super()._made(error)

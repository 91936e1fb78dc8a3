"""Points that Python programs declare, and what a program does at them.

Owns the list of this process's points. Must not choose a block: that is ``process``.

>>> import faultinj
>>> connect = faultinj.point("doc.connect", error=ConnectionError, text="the server does not answer")
>>> with faultinj.inject("doc.connect=nth(2):return") as guard:
...     connect()
...     try:
...         connect()
...     except ConnectionError as error:
...         print(error)
fault injected at doc.connect
>>> guard.reached, guard.fired
(2, 1)
"""

import builtins
import functools
import importlib
import os
import re
import threading
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from faultinj import _faultinj
from faultinj.catalogue import FaultPoint, points
from shmalloc import _native
from shmalloc.codes import failure

__all__ = ["FaultInjected", "Point", "all_points", "declared", "enter", "observe", "point", "watch_declarations"]

P = ParamSpec("P")
R = TypeVar("R")
Error = type[BaseException] | BaseException | Callable[[], BaseException]

_NAME = re.compile(r"[A-Za-z_]\w*(?:[.\-/:+]\w+)*")
_MOST_BYTES = 63
_declared: "dict[str, Point]" = {}
_watchers: "list[Callable[[Point], object]]" = []
_observers: "list[Callable[[Point, BaseException], object]]" = []
_lock = threading.Lock()
_busy = threading.local()


class FaultInjected(RuntimeError):
    """What a point without an error of its own raises; ``point``: its name."""

    def __init__(self, text: str, point: str = "") -> None:
        super().__init__(text)
        self.point = point


class Point(_faultinj.Probe):
    """A place of a program where a fault can be injected, as ``faultinj.point`` made it.

    ``point()`` or ``point("subject", size)`` reaches it; ``@point`` makes a function that reaches it whenever it is
    called; ``with point:`` reaches it at the start of the block. Each returns after what was asked for was done
    (nothing, as a rule), or raises: ``return`` the point's own error, ``return(ENOSPC)`` an OSError,
    ``return(SM_LIMIT)`` shmalloc's exception for that code, ``raise(Name)`` that exception;
    ``callback("module:function")`` calls ``function(point, subject, size)``.
    """

    def __init__(self, name: str, error: Error | None, text: str) -> None:
        super().__init__(name)
        self.error = error
        self.text = text

    def __repr__(self) -> str:
        return f"faultinj.point({self.name!r})"

    @property
    def record(self) -> FaultPoint:
        """The point as points() lists it."""
        error = self.error if self.error is not None else FaultInjected
        named = error if isinstance(error, type) else type(error)
        return FaultPoint(self.name, named.__name__ if issubclass(named, BaseException) else "its own", self.text)

    def wrapped(self, function: Callable[P, R]) -> Callable[P, R]:
        """The function, with this point before it; a coroutine function is reached when it is called, not awaited."""

        @functools.wraps(function)
        def reaching(*args: P.args, **kwargs: P.kwargs) -> R:
            self()
            return function(*args, **kwargs)

        return reaching

    def happens(self, action: str, code: int, number: int, text: str, subject: str | None, size: int) -> None:
        """What a program's term asks for at this point; called by the core of the point."""
        if action == "callback":
            self._call_back(text, subject, size)
            return
        try:
            if action == "raise":
                raise self._made(_exception_named(text, self.name))
            self._report(code, number, subject)
        except BaseException as error:
            for observer in _observers:
                observer(self, error)
            raise

    def _report(self, code: int, number: int, subject: str | None) -> None:
        """Raise what a return asks for."""
        if code == 1:
            raise failure(_native.errors()[number][0], {"subject": "fault", "name": self.name})
        if code:
            raise OSError(number, f"{os.strerror(abs(number))} (fault injected at {self.name})")
        raise self._made(self.error if self.error is not None else FaultInjected)

    def _made(self, error: Error) -> BaseException:
        text = f"fault injected at {self.name}"
        if isinstance(error, BaseException):
            return error
        if error is FaultInjected:
            return FaultInjected(text, self.name)
        made = _instance(error, text) if isinstance(error, type) else error()
        if not isinstance(made, BaseException):
            raise TypeError(f"the error of point {self.name!r} made a {type(made).__name__}, which is no exception")
        return made

    def _call_back(self, text: str, subject: str | None, size: int) -> None:
        if getattr(_busy, "inside", False):
            return  # a callback that reaches points is not called from within itself
        module, _, function = text.partition(":")
        called: Any = importlib.import_module(module)
        for part in function.split("."):
            called = getattr(called, part)
        _busy.inside = True
        try:
            called(self, subject, size)
        finally:
            _busy.inside = False


def _instance(error: type[BaseException], text: str) -> BaseException:
    try:
        return error(text)
    except TypeError:  # one that makes its text of fields
        made = error()
        made.add_note(text)
        return made


def _exception_named(text: str, where: str) -> type[BaseException]:
    module, _, name = text.rpartition(".")
    found = getattr(importlib.import_module(module) if module else builtins, name, None)
    if not (isinstance(found, type) and issubclass(found, BaseException)):
        raise TypeError(f"{where}=raise({text}): {text} is no exception class; name a built-in one, or module.Class")
    return found


def point(name: str, *, error: Error | None = None, text: str = "") -> Point:
    """Declare a point, or find the one of this name: the same object for every call with it.

    Costs some 30 ns to reach while nothing is armed in the process.

    Parameters: name: at most 63 bytes, words joined by dots, such as "db.connect"; error: what ``return`` raises there:
    an exception, a class (called with a text) or a function that makes one, FaultInjected by default; text: completes
    "a fault here means that ...". The first declaration counts; a later one may fill in what the first left out.
    Returns: Point: call it, decorate with it, or enter it.
    Raises: ValueError: the name is not of that form, or belongs to the core. CoreError "SM_TABLE_FULL": 256 points are
    in the block in use already.
    """
    with _lock:
        found = _declared.get(name)
        if found is None:
            if _NAME.fullmatch(name) is None or len(name.encode()) > _MOST_BYTES:
                raise ValueError(
                    f"{name!r} cannot be the name of a point: words of letters, digits and _ joined by . - / : or +,"
                    f" at most {_MOST_BYTES} bytes"
                )
            if name in _core_names():
                raise ValueError(f"{name!r} is a point of the core; choose another name, such as app.{name}")
            found = _entered(Point(name, error, text))
        elif error is not None and found.error is None:
            found.error = error
        found.text = found.text or text
        return found


def enter(made: Point) -> Point:
    """Declare a point of a class of its own, once. Returns: the point of this name: the one that came first."""
    with _lock:
        return _declared.get(made.name) or _entered(made)


def _entered(made: Point) -> Point:
    made.bound()
    _declared[made.name] = made
    for watcher in _watchers:
        watcher(made)
    return made


def observe(observer: Callable[[Point, BaseException], object]) -> None:
    """Call this with every error that a declared point is about to raise."""
    _observers.append(observer)


@functools.cache
def _core_names() -> frozenset[str]:
    return frozenset(name for name, _, _ in _native.fault_points()) | {"crash.step"}


def declared() -> tuple[Point, ...]:
    """The points that this process declared, in that order."""
    return tuple(_declared.values())


def all_points() -> tuple[FaultPoint, ...]:
    """List the points that can be made to fail: the core's, in the order of its catalogue, which only ever grows at its
    end, then those that this process declared.

    Source: SM_FAULT_POINTS in shmalloc/core/hooks.h.
    """
    return (*points(), *(made.record for made in _declared.values()))


def watch_declarations(watcher: Callable[[Point], object]) -> None:
    """Call this with every point that is declared from now on."""
    _watchers.append(watcher)

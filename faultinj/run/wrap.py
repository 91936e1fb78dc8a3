"""Puts points before the functions of the standard library, in modules that are there and in those that come later.

Owns what is called in the place of a function. Must not know what a place does when it fails.
"""

from __future__ import annotations

import functools
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import ModuleType
from typing import Any

from faultinj.run import files
from faultinj.run.interception import Interception, Standing
from faultinj.run.places import Place, SystemPoint

__all__ = ["put_in_place"]


def put_in_place(points: Iterable[SystemPoint]) -> Interception:
    """Have the functions of these points' places reach them: now, or when their module is imported.

    Returns: what was replaced; restore() ends it.
    """
    chosen = {point.name: point for point in points}
    interception = Interception()
    waiting: dict[str, list[tuple[str, SystemPoint]]] = {}
    for point in chosen.values():
        for target in point.place.targets:
            module, _, attribute = target.partition(":")
            if module in sys.modules:
                _replace(interception, sys.modules[module], attribute, point)
            else:
                waiting.setdefault(module, []).append((attribute, point))
    files.put_in_place(chosen, interception)
    if waiting or "import" in chosen:
        finder = _Finder(interception, chosen.get("import"), waiting)
        sys.meta_path.insert(0, finder)
        interception.at_end(finder.leave)
    return interception


def _replace(interception: Interception, module: ModuleType, attribute: str, point: SystemPoint) -> None:
    *path, name = attribute.split(".")
    owner: Any = module
    for part in path:
        owner = getattr(owner, part)
    genuine = getattr(owner, name, None)
    if genuine is None or hasattr(genuine, "__reaches__"):  # replaced already, or taken from where it was
        return
    if isinstance(genuine, type):
        interception.replace(owner, name, _reaching_class(genuine, point))
        return
    reaching = _returning_errno(genuine, point) if name.endswith("_ex") else _reaching(genuine, point)
    new = reaching if path else Standing(genuine, reaching, module.__name__)
    new.__dict__["__reaches__"] = point.name
    interception.replace(owner, name, new)
    if module is os:
        interception.also_able(genuine, new)


def _reaching(genuine: Callable[..., Any], point: SystemPoint) -> Callable[..., Any]:
    """The function with its point before it, or behind."""
    place = point.place

    @functools.wraps(genuine)
    def reaching(*args: Any, **kwargs: Any) -> Any:
        if place.spared is not None and place.spared(args, kwargs):
            return genuine(*args, **kwargs)
        if place.after:
            genuine(*args, **kwargs)
            return point.reach()
        paths = _paths(place, args, kwargs)
        about = paths[0] if paths else _at(args, place.about)
        most = point.reach(about, _size(_at(args, place.moves)), paths)
        if most is not None:
            args = _shortened(args, place.moves, most)
        return genuine(*args, **kwargs)

    return reaching


def _at(args: tuple[Any, ...], place: int | None) -> Any:
    return args[place] if place is not None and place < len(args) else None


def _paths(place: Place, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Any, ...]:
    given = [args[i] if i < len(args) else kwargs.get(name) for i, name in enumerate(place.paths)]
    return () if given and (given[0] is None or isinstance(given[0], int)) else tuple(given)


def _size(data: object) -> int:
    if isinstance(data, int):
        return max(0, data)
    try:
        return 0 if data is None else memoryview(data).nbytes  # type: ignore[arg-type]
    except TypeError:
        return 0  # the call itself says what is wrong


def _shortened(args: tuple[Any, ...], place: int | None, most: int) -> tuple[Any, ...]:
    """The arguments of a call that moves at most so many bytes."""
    data = _at(args, place)
    if place is None or data is None:
        return args
    less: Any = min(data, most) if isinstance(data, int) else memoryview(data).cast("B")[:most]
    return (*args[:place], less, *args[place + 1 :])


def _returning_errno(genuine: Callable[..., Any], point: SystemPoint) -> Callable[..., Any]:
    """A function that returns the errno of its failure."""
    reaching = _reaching(genuine, point)

    @functools.wraps(genuine)
    def returning(*args: Any, **kwargs: Any) -> Any:
        try:
            return reaching(*args, **kwargs)
        except OSError as error:
            if error.errno is None:
                raise
            return error.errno

    return returning


def _reaching_class(genuine: type, point: SystemPoint) -> type:
    """The class, whose making reaches the point first; it is a subclass, so that it can be one's base still."""

    def new(cls: type, *args: Any, **kwargs: Any) -> Any:
        point.reach()
        return genuine.__new__(cls, *args, **kwargs)

    space = {
        "__new__": new,
        "__module__": genuine.__module__,
        "__doc__": genuine.__doc__,
        "__slots__": (),
        "__reaches__": point.name,
    }
    return type(genuine.__name__, (genuine,), space)


class _Finder(importlib.abc.MetaPathFinder):
    """Stands before the other finders: the point `import`, and the replacing in modules that arrive."""

    def __init__(
        self,
        interception: Interception,
        point: SystemPoint | None,
        waiting: dict[str, list[tuple[str, SystemPoint]]],
    ) -> None:
        self._interception = interception
        self._point = point
        self._waiting = waiting
        self._busy = False

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Nothing, or what the others find, with the replacing behind the loading."""
        if self._point is not None:
            try:
                self._point.reach(name)
            except ImportError as error:
                error.name = name
                raise
        if name not in self._waiting or self._busy:
            return None
        self._busy = True
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self._busy = False
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, functools.partial(self._arrived, name))
        return spec

    def _arrived(self, name: str, module: ModuleType) -> None:
        for attribute, point in self._waiting.pop(name, ()):
            _replace(self._interception, module, attribute, point)

    def leave(self) -> None:
        """Nothing is looked for nor replaced any more."""
        self._waiting.clear()
        if self in sys.meta_path:
            sys.meta_path.remove(self)


class _Loader(importlib.abc.Loader):
    """A loader with something to do behind it."""

    def __init__(self, genuine: Any, then: Callable[[ModuleType], None]) -> None:
        self._genuine = genuine
        self._then = then

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        """As the genuine loader."""
        made: ModuleType | None = self._genuine.create_module(spec)
        return made

    def exec_module(self, module: ModuleType) -> None:
        """As the genuine loader; then the functions of the module get their points."""
        spec = module.__spec__
        if spec is not None:
            spec.loader = self._genuine
            module.__loader__ = self._genuine
        self._genuine.exec_module(module)
        self._then(module)

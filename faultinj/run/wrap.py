"""Puts points before the functions of the standard library, in modules that are there and in those that come later.

Owns the replacing. Must not know what a place does when it fails.
"""

from __future__ import annotations

import functools
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from faultinj.run.places import PLACES, Place, SystemPoint

__all__ = ["Standing", "put_in_place"]


def put_in_place(points: dict[str, SystemPoint]) -> None:
    """Have the functions of all places reach their points: now, or when their module is imported."""
    waiting: dict[str, list[Place]] = {}
    for place in PLACES:
        module, _, attribute = place.target.partition(":")
        if not attribute:
            continue
        if module in sys.modules:
            _replace(sys.modules[module], attribute, place, points[place.name])
        else:
            waiting.setdefault(module, []).append(place)
    sys.meta_path.insert(0, _Finder(points, waiting))


class Standing:
    """A function in the place of a genuine one of C: like that it does not bind when it is a class's attribute, is
    pickled by name, and is called the same."""

    def __init__(self, genuine: Callable[..., Any], called: Callable[..., Any], module: str) -> None:
        functools.update_wrapper(self, genuine)
        self.__module__ = module
        self._called = called

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._called(*args, **kwargs)

    def __repr__(self) -> str:
        return repr(self.__dict__["__wrapped__"])

    def __reduce__(self) -> str:
        return str(self.__dict__["__name__"])


def _replace(module: ModuleType, attribute: str, place: Place, point: SystemPoint) -> None:
    *path, name = attribute.split(".")
    owner: Any = module
    for part in path:
        owner = getattr(owner, part)
    genuine = getattr(owner, name, None)
    if genuine is None:
        return
    if isinstance(genuine, type):
        setattr(owner, name, _reaching_class(genuine, point))
        return
    reaching = _reaching(genuine, place, point)
    setattr(owner, name, reaching if path else Standing(genuine, reaching, module.__name__))
    if module is os:  # what shutil and others ask before they rely on a parameter
        for supports in (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks, os.supports_effective_ids):
            if genuine in supports:
                supports.add(getattr(os, name))


def _reaching(genuine: Callable[..., Any], place: Place, point: SystemPoint) -> Callable[..., Any]:
    """The function with its point before it."""
    paths, spared = place.paths, place.spared

    @functools.wraps(genuine)
    def reaching(*args: Any, **kwargs: Any) -> Any:
        if spared is not None and spared(args, kwargs):
            return genuine(*args, **kwargs)
        if not paths:
            point()
            return genuine(*args, **kwargs)
        given = [args[i] if i < len(args) else kwargs.get(name) for i, name in enumerate(paths)]
        point.reached_with(*given)
        return genuine(*args, **kwargs)

    return reaching


def _reaching_class(genuine: type, point: SystemPoint) -> type:
    """The class, whose making reaches the point first; it is a subclass, so that it can be one's base still."""

    def new(cls: type, *args: Any, **kwargs: Any) -> Any:
        point()
        return genuine.__new__(cls, *args, **kwargs)

    space = {"__new__": new, "__module__": genuine.__module__, "__doc__": genuine.__doc__, "__slots__": ()}
    return type(genuine.__name__, (genuine,), space)


class _Finder(importlib.abc.MetaPathFinder):
    """Stands before the other finders: the point `import`, and the replacing in modules that arrive."""

    def __init__(self, points: dict[str, SystemPoint], waiting: dict[str, list[Place]]) -> None:
        self._points = points
        self._waiting = waiting
        self._busy = False

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Nothing, or what the others find, with the replacing behind the loading."""
        try:
            self._points["import"](name)
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
            spec.loader = _Loader(spec.loader, self._waiting.pop(name), self._points)
        return spec


class _Loader(importlib.abc.Loader):
    """A loader with something to do behind it."""

    def __init__(self, genuine: Any, places: list[Place], points: dict[str, SystemPoint]) -> None:
        self._genuine = genuine
        self._places = places
        self._points = points

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
        for place in self._places:
            _replace(module, place.target.partition(":")[2], place, self._points[place.name])

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

from faultinj.declared import Point
from faultinj.run.places import PLACES, Place

__all__ = ["put_in_place"]


def put_in_place(points: dict[str, Point]) -> None:
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


def _replace(module: ModuleType, attribute: str, place: Place, point: Point) -> None:
    *path, name = attribute.split(".")
    owner: Any = module
    for part in path:
        owner = getattr(owner, part)
    genuine = getattr(owner, name, None)
    if genuine is not None:
        setattr(owner, name, _reaching(genuine, point, place.subject))


def _reaching(genuine: Callable[..., Any], point: Point, subject: int) -> Callable[..., Any]:
    """The function with its point before it."""

    @functools.wraps(genuine)
    def reaching(*args: Any, **kwargs: Any) -> Any:
        point(_subject(args, subject))
        return genuine(*args, **kwargs)

    return reaching


def _subject(args: tuple[Any, ...], place: int) -> str | None:
    if not 0 <= place < len(args):
        return None
    try:
        return os.fsdecode(args[place])
    except TypeError:
        return str(args[place])


class _Finder(importlib.abc.MetaPathFinder):
    """Stands before the other finders: the point `import`, and the replacing in modules that arrive."""

    def __init__(self, points: dict[str, Point], waiting: dict[str, list[Place]]) -> None:
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

    def __init__(self, genuine: Any, places: list[Place], points: dict[str, Point]) -> None:
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

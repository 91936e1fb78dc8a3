"""Acting when a module is imported, without importing it: who does not use multiprocessing pays nothing for it.

Owns one finder at the front of sys.meta_path. Must not change what is imported, or who finds it.
"""

import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

__all__ = ["on_import"]

_awaited: dict[str, Callable[[ModuleType], object]] = {}
_looking: set[str] = set()


class _Arrival:
    """A finder that finds nothing itself: it asks the others, and sees the module off to its new owner."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of an awaited module, whose loader then tells of it; None for all others."""
        if name not in _awaited or name in _looking:
            return None
        _looking.add(name)
        try:
            spec = find_spec(name)
        finally:
            _looking.discard(name)
        if spec is None or spec.loader is None or not hasattr(spec.loader, "exec_module"):
            return spec
        loader: Any = spec.loader
        run = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            del loader.exec_module  # the loader is as it was, before anybody looks at it
            run(module)
            arrived = _awaited.pop(name, None)
            if arrived is not None:
                arrived(module)

        try:
            loader.exec_module = exec_module
        except AttributeError:  # a loader without attributes of its own: builtin modules, which are there already
            return spec
        return spec


def on_import(name: str, arrived: Callable[[ModuleType], object]) -> None:
    """Call `arrived` with the module: now if it is imported already, else right after it was."""
    module = sys.modules.get(name)
    if module is not None:
        arrived(module)
        return
    if not _awaited:
        sys.meta_path.insert(0, _Arrival())
    _awaited[name] = arrived

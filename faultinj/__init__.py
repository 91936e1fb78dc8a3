"""faultinj: makes what can fail in the allocator fail, one place after the other.

This package stands beside the allocator, not under it: shmalloc never imports it. It reaches the core only through the
hook slots that the core keeps for it (``shmalloc/core/hooks.h``).

The hook-slot contract
----------------------
Every attachment to an arena has one table of hooks, empty at first. A hook is armed by its bit in the table's mask; a
probe whose bit is clear costs one predictable branch. Two hooks belong to fault injection:

``h_fault(ctx, point, zone, bytes, flags)``
    at every fault point. SM_OK lets the point pass; any other code is the error that the point then reports, as if the
    thing itself had failed. It may be called with or without the core's locks held, so it must not call back into the
    arena.
``h_crash(ctx, step)``
    between two steps of an operation, where a test may kill the process; ``step`` is a constant unique in the source.

The points are a catalogue that only grows: :func:`points`. The table is handed over as a PyCapsule named
``shmalloc._native.hooks`` and carries the version of the contract, ``SM_HOOKS_VERSION``; a table of another version is
refused.

What happens at a point is said by a program in the grammar of ``faultinj.grammar``, set by :func:`inject` for the time
of a block of code, by :func:`set` until :func:`clear`, from outside by ``faultinj ctl``, or by the environment (see
``faultinj.environment``). Python programs declare points of their own: :func:`point`.

PYTEST_DONT_REWRITE: pytest loads the package with its plugin.
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from faultinj._faultinj import Block, CoreError
    from faultinj.arming import FaultinjError, NotArmed, arm, disarm
    from faultinj.catalogue import FaultPoint
    from faultinj.declared import FaultInjected, Point, point
    from faultinj.declared import all_points as points
    from faultinj.grammar import GrammarError
    from faultinj.guard import Guard, inject, settings
    from faultinj.guard import clear_program as clear
    from faultinj.guard import set_program as set  # noqa: A004
    from faultinj.plan import PlanError, UnknownPoint
    from faultinj.process import current, use
    from faultinj.sweep.registry import scenario

__all__ = [
    "Block",
    "CoreError",
    "FaultInjected",
    "FaultPoint",
    "FaultinjError",
    "GrammarError",
    "Guard",
    "NotArmed",
    "PlanError",
    "Point",
    "UnknownPoint",
    "arm",
    "clear",
    "current",
    "disarm",
    "inject",
    "point",
    "points",
    "scenario",
    "set",
    "settings",
    "use",
]

# pytest loads the package with its plugin in every run: what a name stands for is imported when it is first asked for.
_HOMES = {
    **dict.fromkeys(("Block", "CoreError"), "faultinj._faultinj"),
    **dict.fromkeys(("FaultinjError", "NotArmed", "arm", "disarm"), "faultinj.arming"),
    "FaultPoint": "faultinj.catalogue",
    **dict.fromkeys(("FaultInjected", "Point", "point", "points"), "faultinj.declared"),
    "GrammarError": "faultinj.grammar",
    **dict.fromkeys(("Guard", "clear", "inject", "set", "settings"), "faultinj.guard"),
    **dict.fromkeys(("PlanError", "UnknownPoint"), "faultinj.plan"),
    **dict.fromkeys(("current", "use"), "faultinj.process"),
    "scenario": "faultinj.sweep.registry",
}
_CALLED_THERE = {"points": "all_points", "clear": "clear_program", "set": "set_program"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_HOMES[name]), _CALLED_THERE.get(name, name))
    return value


if any(name.startswith("FAULTINJ") for name in os.environ):
    importlib.import_module("faultinj.environment").begin()

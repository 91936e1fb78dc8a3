"""witness: a lock-order checker whose graph spans processes.

This package stands beside the allocator, not under it: shmalloc never imports it. What it can learn about an arena it
learns through the hook slots that the core keeps for it (``shmalloc/core/hooks.h``).

The hook-slot contract
----------------------
Every attachment to an arena has one table of hooks, empty at first. A hook is armed by its bit in the table's mask; a
probe whose bit is clear costs one predictable branch. Three things matter to a lock checker:

``h_lock(ctx, class, instance, taken)``
    after one of the allocator's own locks was acquired (``taken`` is 1) and before it is released (0). ``instance``
    tells the locks of one class apart (there is one keg lock for each keg). Called with the lock held, so it must
    neither block nor call back into the arena.
``h_may_sleep(ctx, zone, flags, nosleep)``
    before an allocation that may sleep (M_WAITOK). It returns the flags to go on with: a checker that finds locks held
    may turn M_WAITOK into M_NOWAIT, when ``nosleep`` (sysctl debug.nosleepwithlocks) says so.
``h_userlock(ctx, lock, event, flags, caller, err)``
    what happened to a user's lock (mutex, rwlock, sx, semaphore): about to wait, taken, given back, upgraded ... Called
    outside of the core's operations, so foreign code may run.
``SM_LOCK_CLASSES``
    the catalogue of lock classes, in the order in which they must be taken: :func:`lock_classes`.

The table is handed over as a PyCapsule named ``shmalloc._native.hooks`` and carries the version of the contract,
``SM_HOOKS_VERSION``; a table of another version is refused.

PYTEST_DONT_REWRITE: processes of a test run under witness have imported this before pytest looks at it.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from witness.checker import Checker, NotArmed, WitnessError, arm, disarm
    from witness.classes import LockClass, lock_classes
    from witness.graph import NoGraph, read_graph
    from witness.live import Situation, Unwatched, why

__all__ = [
    "Checker",
    "LockClass",
    "NoGraph",
    "NotArmed",
    "Situation",
    "Unwatched",
    "WitnessError",
    "arm",
    "disarm",
    "lock_classes",
    "read_graph",
    "why",
]

# pytest loads the package with its plugin in every run, and each process of a watched tree before its program: what a
# name stands for is imported when it is first asked for.
_HOMES = {
    **dict.fromkeys(("Checker", "NotArmed", "WitnessError", "arm", "disarm"), "witness.checker"),
    **dict.fromkeys(("LockClass", "lock_classes"), "witness.classes"),
    **dict.fromkeys(("NoGraph", "read_graph"), "witness.graph"),
    **dict.fromkeys(("Situation", "Unwatched", "why"), "witness.live"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_HOMES[name]), name)
    return value

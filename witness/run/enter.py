"""What each interpreter of a watched process tree does before its program: join the tree's graph, replace the locks.

Owns the names of the environment variables. Must never end the program: whatever is wrong is one line on stderr.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shmalloc import Arena
    from witness.checker import Checker

__all__ = ["ARENA", "BLOCKING", "HOOK", "enter", "hook_directory", "joined", "watch_process"]

ARENA = "WITNESS_RUN_ARENA"
"""The arena that carries the graph of the process tree."""
BLOCKING = "WITNESS_RUN_BLOCKING"
"""Set: calls that block under a lock are reported; its lines are the places, FILE[:FUNCTION], that may."""
HOOK = "WITNESS_RUN_HOOK"
"""The directory of the hook on PYTHONPATH, so that it can be told from the program's own directories."""


def hook_directory() -> str:
    """The directory whose sitecustomize enters interpreters."""
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), "hook")


_kept: list[tuple[Arena, Checker]] = []  # lives as long as the process: locks report until its last moment


def enter() -> bool:
    """Join the graph that the environment names. Returns: whether this process is watched now."""
    name = os.environ.get(ARENA, "")
    if not name or _kept:
        return bool(_kept)
    from shmalloc import Arena
    from shmalloc.errors import ShmallocError
    from witness.checker import WitnessError, arm

    try:
        arena = Arena.attach(name)
        checker = arm(arena)
        checker.output = None  # attaching armed it; the report comes at the end of the tree
    except (ShmallocError, WitnessError, OSError) as error:
        sys.stderr.write(f"witness: process {os.getpid()} is not watched: {error}\n")
        return False
    watch_process(arena, checker)
    return True


def watch_process(arena: Arena, checker: Checker) -> None:
    """Have the locks of this process report to an arena that it has armed; its calls too, if the environment says so.

    The one place where kinds of locks are put under witness for a process that nobody wrote for it.
    """
    from witness.foreign import watch_threading

    _kept.append((arena, checker))
    watch_threading(checker.native)
    if BLOCKING in os.environ:
        from witness.blocking import parse_allowed, watch_blocking

        watch_blocking(checker.native, parse_allowed(os.environ[BLOCKING]))


def joined() -> tuple[Arena, Checker] | None:
    """What this process reports to; None: it is not watched."""
    return _kept[0] if _kept else None

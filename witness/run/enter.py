"""What each interpreter of a watched process tree does before its program: join the tree's graph, replace the locks.

Owns the names of the environment variables. Must never end the program: whatever is wrong is one line on stderr.
"""

from __future__ import annotations

import atexit
import os
import sys
from typing import TYPE_CHECKING

from witness.run.block import Place

if TYPE_CHECKING:
    from shmalloc import Arena
    from witness._witness import Watch

__all__ = ["ARENA", "BLOCKING", "HOOK", "enter", "hook_directory", "joined", "watch_kinds", "watch_process"]

ARENA = "WITNESS_RUN_ARENA"
"""The arena that carries the graph of the process tree."""
BLOCKING = "WITNESS_RUN_BLOCKING"
"""Set: calls that block under a lock are reported; its lines are the places, FILE[:FUNCTION], that may."""
HOOK = "WITNESS_RUN_HOOK"
"""The directory of the hook on PYTHONPATH, so that it can be told from the program's own directories."""


def hook_directory() -> str:
    """The directory whose sitecustomize enters interpreters."""
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), "hook")


_kept: list[tuple[Watch, Arena | None]] = []  # lives as long as the process: locks report until its last moment


def enter() -> bool:
    """Join the graph that the environment names. Returns: whether this process is watched now."""
    name = os.environ.get(ARENA, "")
    if not name or _kept:
        return bool(_kept)
    place = Place.here()
    if place is not None:
        return _enter_block(place)
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
    watch_process(checker.native, arena)
    return True


def _enter_block(place: Place) -> bool:
    """Join without the allocator: the report comes at the end of the tree, so nothing but the block is needed."""
    from witness._witness import CoreError, Watch
    from witness.frames import own_code
    from witness.title import title

    try:
        watch = Watch.of_file(place.path, place.offset, place.nbytes, own_code, _untold)
    except (CoreError, OSError) as error:
        sys.stderr.write(f"witness: process {os.getpid()} is not watched: {error}\n")
        return False
    watch.title(title())
    atexit.register(watch.detached)
    watch_process(watch, None)
    return True


def _untold(place: int) -> None:
    """Reports of a process of the tree are read at its end."""


def watch_process(watch: Watch, arena: Arena | None) -> None:
    """Have the locks of this process report while it lives; arena: what keeps the block, None: nothing."""
    _kept.append((watch, arena))
    watch_kinds(watch)


def joined() -> tuple[Watch, Arena | None] | None:
    """What this process reports to, and the arena that it came through, if one; None: it is not watched."""
    return _kept[0] if _kept else None


def watch_kinds(watch: Watch) -> None:
    """Have the locks of this process report; its calls too, if the environment says so. The one place that knows which
    kinds of locks there are."""
    from witness.foreign import watch_threading
    from witness.watched import watch_other_kinds

    watch_threading(watch)
    watch_other_kinds(watch)
    if BLOCKING in os.environ:
        from witness.blocking import parse_allowed, watch_blocking

        watch_blocking(watch, parse_allowed(os.environ[BLOCKING]))

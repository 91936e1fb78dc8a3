"""What each interpreter of a watched process tree does before its program: join the tree's graph, replace the locks.

Owns the names of the environment variables. Must never end the program: whatever is wrong is one line on stderr.
"""

import os
import sys

__all__ = ["ARENA", "BLOCKING", "HOOK", "enter", "hook_directory"]

ARENA = "WITNESS_RUN_ARENA"
"""The arena that carries the graph of the process tree."""
BLOCKING = "WITNESS_RUN_BLOCKING"
"""Set: calls that block under a lock are reported; its lines are the places, FILE[:FUNCTION], that may."""
HOOK = "WITNESS_RUN_HOOK"
"""The directory of the hook on PYTHONPATH, so that it can be told from the program's own directories."""


def hook_directory() -> str:
    """The directory whose sitecustomize enters interpreters."""
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), "hook")


_kept: list[object] = []  # the attachment lives as long as the process: locks report until its last moment


def enter() -> bool:
    """Join the graph that the environment names. Returns: whether this process is watched now."""
    name = os.environ.get(ARENA, "")
    if not name or _kept:
        return bool(_kept)
    from shmalloc import Arena
    from shmalloc.errors import ShmallocError
    from witness.checker import WitnessError, arm
    from witness.foreign import watch_threading
    from witness.watched import watch_kinds

    try:
        arena = Arena.attach(name)
        checker = arm(arena)
        checker.output = None  # attaching armed it; the report comes at the end of the tree
    except (ShmallocError, WitnessError, OSError) as error:
        sys.stderr.write(f"witness: process {os.getpid()} is not watched: {error}\n")
        return False
    _kept.extend((arena, checker))
    watch_threading(checker.native)
    watch_kinds(checker.native)
    if BLOCKING in os.environ:
        from witness.blocking import parse_allowed, watch_blocking

        watch_blocking(checker.native, parse_allowed(os.environ[BLOCKING]))
    return True

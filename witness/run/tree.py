"""A program under witness: its arena, its environment, its end. Owns the arena of the process tree."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psutil

from shmalloc import Arena, _native, registry
from shmalloc.naming import object_name
from witness import _witness
from witness.checker import Checker, arm
from witness.graph import read_graph
from witness.record import Graph
from witness.run.block import BLOCK, Place
from witness.run.enter import ARENA, BLOCKING, HOOK, hook_directory

__all__ = ["environment", "run_watched", "tree_arena"]

_PROCESSES = 256
_MADE_BY = re.compile(r"witness-[a-z]+-(\d+)")


def tree_arena(what: str) -> tuple[Arena, Checker]:
    """Make the arena of a process tree and its graph; the maker unlinks it. What a killed maker left goes first.

    Parameters: what: goes into its name. Raises: OutOfMemory: /dev/shm has no room for the graph.
    """
    _clear_dead()
    arena = Arena.create(f"witness-{what}-{os.getpid()}", max_size="256M", max_cpus=_PROCESSES)
    return arena, arm(arena, output=None, processes=_PROCESSES, nosleepwithlocks=False)


def _clear_dead() -> None:
    """Remove the graphs of trees whose maker was killed. Those that a process is still attached to stay."""
    made_by = {name: int(found[1]) for name in registry.arena_names() if (found := _MADE_BY.fullmatch(name))}
    dead = [name for name, pid in made_by.items() if not psutil.pid_exists(pid)]
    if dead:
        registry.gc(names=dead, half_made_after_s=0)


def environment(arena: str, blocking: Sequence[str] | None) -> dict[str, str]:
    """This process's environment, with what makes a child interpreter join the graph in this arena."""
    env = dict(os.environ)
    hook = hook_directory()
    paths = [path for path in env.get("PYTHONPATH", "").split(os.pathsep) if path and path != env.get(HOOK)]
    env["PYTHONPATH"] = os.pathsep.join([hook, *paths])
    env[ARENA] = arena
    env[HOOK] = hook
    env.pop(BLOCKING, None)
    env.pop(BLOCK, None)
    if blocking is not None:
        env[BLOCKING] = "\n".join(blocking)
    return env


@contextmanager
def _forwarded(child: subprocess.Popen[bytes]) -> Iterator[None]:
    """Signals that end programs go to the child, which the terminal may not have told."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    for number in before:
        signal.signal(number, lambda got, _: child.send_signal(got) if got != signal.SIGINT else None)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_watched(arguments: Sequence[str], *, program: str, blocking: Sequence[str] | None = None) -> tuple[int, Graph]:
    """Run this interpreter with these arguments under witness, wait for its end.

    Parameters: program: what the record calls it; blocking: report calls that block under a lock, but for those from
    these places (FILE[:FUNCTION]); None: do not.
    Returns: its exit status (128 + the signal that ended it), and the graph of its process tree.
    Raises: OutOfMemory: /dev/shm has no room for the graph.
    """
    arena, checker = tree_arena("run")
    with arena:
        try:
            env = environment(arena.name, blocking)
            place = Place(f"/dev/shm{object_name(arena.name)}", *_witness.block_place(_native.hooks_capsule(arena)))
            env[BLOCK] = place.text()
            with (
                subprocess.Popen([sys.executable, *arguments], env=env) as child,
                _forwarded(child),
            ):
                status = child.wait()
            checker.sweep()
            return (128 - status if status < 0 else status), read_graph(arena, program=program)
        finally:
            arena.unlink()

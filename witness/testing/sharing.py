"""The graph of a test run: made by its first process, joined by its workers. Owns the arena and the environment.

Which of the two it is, the environment says: where it names a graph, this process belongs to it. So `witness run -m
pytest --witness` is one graph as well.
"""

from __future__ import annotations

import os

import pytest

from shmalloc import Arena
from shmalloc.errors import ShmallocError
from witness._witness import Watch
from witness.checker import WitnessError
from witness.run.enter import ARENA, BLOCKING, HOOK, enter, joined, watch_process
from witness.run.tree import environment, tree_arena
from witness.testing.settings import Settings

__all__ = ["Sharing", "share"]


class Sharing:
    """This process's part in the graph. `owned`: it made it, so every report in it is of this run."""

    def __init__(self, arena: Arena, watch: Watch, *, owned: bool) -> None:
        self.arena = arena
        self.watch = watch
        self.owned = owned
        self._restored: dict[str, str | None] = {}

    def announce(self, settings: Settings) -> None:
        """Have workers and children of tests join."""
        blocking = settings.allow if settings.blocking else None
        wanted = environment(self.arena.name, blocking)
        for name in (ARENA, BLOCKING, HOOK, "PYTHONPATH"):
            self._restored[name] = os.environ.get(name)
            _set(name, wanted.get(name))

    def end(self) -> None:
        """The run is over: the environment is as before, and the graph has no name any more. Idempotent."""
        if self.owned:
            self.owned = False
            for name, value in self._restored.items():
                _set(name, value)
            self.arena.unlink()


def _set(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


def share(settings: Settings) -> Sharing:
    """Join the graph that the environment names, or make one.

    Raises: pytest.UsageError: a test run that was to be watched cannot be.
    """
    if os.environ.get(ARENA):
        enter()
        known = joined()
        if known is None:
            raise pytest.UsageError(
                f"witness: the graph {os.environ[ARENA]!r} cannot be joined, see above; unset {ARENA} to make a new one"
            )
        if worker := os.environ.get("PYTEST_XDIST_WORKER"):
            known[0].title(worker)
        watch, through = known
        # A process that maps the block by itself needs the arena to read the graph: to look at it is enough.
        return Sharing(through or Arena.attach(os.environ[ARENA], read_only=True), watch, owned=False)
    if joined() is not None:
        raise pytest.UsageError(
            "witness: the locks of this process report to a run that is over; start this one in a process of its own"
        )
    try:
        arena, checker = tree_arena("pytest")
    except (ShmallocError, WitnessError) as error:
        raise pytest.UsageError(f"witness: this run cannot be watched: {error}") from error
    sharing = Sharing(arena, checker.native, owned=True)
    checker.native.title("pytest")
    sharing.announce(settings)
    watch_process(checker.native, arena)
    return sharing

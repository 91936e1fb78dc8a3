"""What `top` sees: one look after the other at whatever arena bears the name now.

Owns one read-only attachment at a time. Must not claim a CPU slot or draw anything. An arena may end, lose its name or
be followed by another one between two looks; each of these is a state of the look, not an error.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Literal, Self

from shmalloc.arena import Arena
from shmalloc.cli.snapshot import Snapshot, between, take
from shmalloc.cli.target import attach
from shmalloc.errors import ArenaNotFound, ShmallocError
from shmalloc.naming import same_object
from shmalloc.recovery import RecoveryReport
from shmalloc.stats import Event

__all__ = ["Look", "Lookout"]

State = Literal["live", "idle", "unnamed", "ended", "unreadable", "dump"]
"""live: processes are attached; idle: none is; unnamed: the name is gone, processes are still attached; ended: the name
is gone and nobody is attached; unreadable: what bears the name now, or what it says, cannot be read; dump: a file."""


@dataclass(frozen=True, slots=True)
class Look:
    """One moment. totals are since the arena was made; last covers the time since the look before, span_s 0 for none.

    note: what a person has to know of the state, empty while all is well.
    """

    state: State
    note: str
    totals: Snapshot
    last: Snapshot
    events: tuple[Event, ...]
    recoveries: tuple[RecoveryReport, ...]


class Lookout:
    """The looks at one name. Use in a with block, or close().

    Raises (from first): ArenaNotFound, ArenaInvalid: there is nothing to look at to begin with.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._is_file = "/" in name
        self._arena: Arena | None = None
        self._seen: Look | None = None
        self._born = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the arena; any number of times."""
        if self._arena is not None:
            self._arena.close()
            self._arena = None

    def first(self) -> Look:
        """The first look, of all time.

        Raises: ArenaNotFound, ArenaInvalid. Leaves with status 2 when a dump cannot be opened.
        """
        self._arena = attach(self._name, read_only=True)
        self._seen = self._read(self._arena, None)
        return self._seen

    def look(self) -> Look:
        """The next look; whatever became of the arena is told by its state and note."""
        seen = self._seen
        if self._arena is None or seen is None:
            return self.first()
        try:
            named = self._is_file or same_object(self._name, self._arena._fileno())
            if not named and self._successor():
                named = True
                self._born = time.strftime("%H:%M:%S")
            self._seen = self._read(self._arena, seen.totals, named=named)
        except ShmallocError as error:
            self._seen = replace(seen, state="unreadable", note=f"{error}. These are the last figures.")
        return self._seen

    def _successor(self) -> bool:
        """Attach to the arena that bears the name now, if there is one; the attachment before it is closed.

        Raises: ArenaInvalid and the like: something bears the name that cannot be attached to.
        """
        try:
            found = Arena.attach(self._name, read_only=True)
        except ArenaNotFound:
            return False
        self.close()
        self._arena = found
        return True

    def _read(self, arena: Arena, before: Snapshot | None, *, named: bool = True) -> Look:
        now = take(arena)
        span = between(before, now) if before is not None and before.arena.uuid == now.arena.uuid else now
        live = now.arena.live_cpus
        state: State
        if self._is_file:
            state, note = "dump", "a dump: its figures do not change"
        elif not named and live:
            state = "unnamed"
            note = f"The name {self._name} is gone; the arena lives on until the last process leaves ({live} attached)."
        elif not named:
            state = "ended"
            note = (
                f"{self._name} has ended: its name is gone and nobody is attached. These are its last figures; "
                "the next arena of that name will be shown."
            )
        elif not live:
            state, note = "idle", "Nobody is attached: nothing will change until a process attaches."
        else:
            state, note = "live", f"A new arena of this name, seen since {self._born}." if self._born else ""
        return Look(state, note, now, span, tuple(arena.events()), arena.recoveries())

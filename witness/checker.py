"""Arming: an arena under witness, in this process and in every process that attaches later.

Owns the choice of what is printed and where. The rules are in ``witness/core``; the graph that they make lives in the
arena's region "witness", and ``witness.graph`` reads it.

>>> with shmalloc.Arena.create(name) as arena:
...     checker = witness.arm(arena)
...     a, b = arena.mutex("a"), arena.mutex("b")
...     with a, b:
...         pass
...     graph = witness.read_graph(arena)
...     names = {c.id: c.name for c in graph.classes}
...     ("a", "b") in [(names[edge.first], names[edge.second]) for edge in graph.edges]
True
"""

import sys
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from shmalloc import Arena, _native
from witness import _witness
from witness.frames import own_code
from witness.texts import report_text
from witness.title import title

__all__ = ["Checker", "NotArmed", "WitnessError", "arm", "attached", "disarm", "opened"]

ENTRY = "witness.checker:attached"
REGION = "witness"


class WitnessError(RuntimeError):
    """The witness cannot do what was asked; .code is the core's word for it."""

    def __init__(self, text: str, code: str = "") -> None:
        super().__init__(text)
        self.code = code


class NotArmed(WitnessError):
    """The arena is not under witness in this process."""


class Printer:
    """Writes each new report of this process to standard error, or hands its text to a function.

    Holds the Watch only while it is called: the arena keeps both.
    """

    def __init__(self, output: Callable[[str], object] | None) -> None:
        self.output = output
        self.watch: _witness.Watch | None = None

    def __call__(self, place: int) -> None:
        """Print the report at this place of the table."""
        if self.watch is None or self.output is None:
            return
        text = report_text(self.watch, self.watch.report(place))
        if text:
            self.output(text)


listeners: list[Callable[[str], object]] = []
"""Given, besides standard error, the text of each report of this process that goes there."""


def _to_stderr(text: str) -> None:
    sys.stderr.write(text)
    for listener in listeners:
        listener(text)


class Checker:
    """One armed attachment: what ``arm`` returns. Refers to the arena's Watch, not to the arena."""

    def __init__(self, watch: _witness.Watch, printer: Printer) -> None:
        self._watch = watch
        self._printer = printer

    @property
    def output(self) -> Callable[[str], object] | None:
        """What is given the text of each new report of this process; None: nothing is printed."""
        return self._printer.output

    @output.setter
    def output(self, value: Callable[[str], object] | None) -> None:
        self._printer.output = value

    @property
    def native(self) -> _witness.Watch:
        """The calls by which locks that are not the arena's report to this graph."""
        return self._watch

    @property
    def watch(self) -> int:
        """1 on, 0 order checks off, -1 off for good; of every process that shares the block."""
        return self._watch.watch

    @watch.setter
    def watch(self, value: int) -> None:
        if value not in (-1, 0, 1):
            raise ValueError(f"watch={value!r} is not allowed: 1 on, 0 order checks off, -1 off for good")
        self._watch.watch = value

    @property
    def timing(self) -> bool:
        """Whether holds are timed (about 50 ns for each), in every process; waits for locks found taken always are."""
        return self._watch.timing

    @timing.setter
    def timing(self, value: bool) -> None:
        self._watch.timing = value

    def class_id(self, name: str, kind: str | None = None, *, subclass: int = 0, flags: int = 0) -> int:
        """The number of a lock class, made if there is none.

        Parameters: kind: None takes the one that has this name and subclass, of whatever kind, and makes a "mutex" if
        there is none; flags: of ``witness.flags``, when it is made.
        Raises: WitnessError: kind is None, and several have the name (.code "SM_MISMATCH").
        """
        if kind is None:
            known = self._watch.classes_named(name, subclass)
            if len(known) > 1:
                kinds = " and ".join(repr(self._watch.lock_class(number)[1]) for number in known)
                raise WitnessError(
                    f"{name!r} is the name of {len(known)} lock classes, of the kinds {kinds}: say which, as in"
                    f" class_id({name!r}, {self._watch.lock_class(known[0])[1]!r})",
                    "SM_MISMATCH",
                )
            if known:
                return known[0]
        return self._watch.class_get(name, kind or "mutex", subclass, flags)

    def declare(self, *names: str | int) -> None:
        """Say that these classes are taken in this order: their names as for ``class_id``, or class ids.

        Raises: WitnessError: the contrary is known already (.code "SM_DEADLOCK"); a name stands for several kinds.
        """
        ids = [self._id(name) for name in names]
        for first, second in pairwise(ids):
            try:
                self._watch.declare(first, second)
            except _witness.CoreError as error:
                raise WitnessError(
                    f"the order {names!r} cannot be declared: {error.code}; the contrary order is known already, see"
                    " witness.read_graph(arena).edges",
                    error.code,
                ) from error

    def bless(self, first: str | int, second: str | int) -> None:
        """Allow that these two classes are taken in both orders: it is recorded, and not complained of."""
        self._watch.bless(self._id(first), self._id(second))

    def reset_statistics(self) -> None:
        """Let the figures of contention (what `witness stat` shows) begin at zero, in every process, while they run.

        Raises: WitnessError: whoever has the slow lock does not answer (.code "SM_STALLED"); nothing changed.
        Concurrency: a wait or hold belongs to the time in which it ends.
        """
        try:
            self._watch.reset()
        except _witness.CoreError as error:
            raise WitnessError(
                f"the figures cannot be reset: {error.code}; a process that holds the witness's lock is stopped, let it"
                " go on or end it, and try again",
                error.code,
            ) from error

    def sweep(self) -> int:
        """Report threads and processes that are gone with locks held; returns how many were gone."""
        return self._watch.sweep()

    def _id(self, name: str | int) -> int:
        return name if isinstance(name, int) else self.class_id(name)


def arm(
    arena: Arena,
    *,
    output: Callable[[str], object] | None = _to_stderr,
    classes: int = 0,
    edges: int = 0,
    stacks: int = 0,
    frames: int = 0,
    reports: int = 0,
    threads: int = 0,
    processes: int = 0,
    nosleepwithlocks: bool | None = None,
) -> Checker:
    """Put an arena under witness: its locks, the allocator's own, and M_WAITOK with locks held.

    Whoever attaches from now on arms itself; processes that are attached already, call this too. The shared tables are
    made by the first call, whose sizes count (0: 1024 classes, 24576 edges, 16384 stacks, 8192 frames, 512 reports, 512
    threads, 256 processes: about 12 MB).

    Parameters: output: is given the text of each new report of this process, None: nothing is printed;
    nosleepwithlocks: sets sysctl debug.nosleepwithlocks; None: to 1 if this call made the tables, else left alone.
    Returns: Checker.   Raises: WitnessError, ReadOnly, OutOfMemory.   Source: FreeBSD witness(4).
    """
    kept = _native.companion_kept(arena, REGION)
    if kept is not None:
        kept_checker: Checker = kept.checker
        return kept_checker
    first = _native.region_bytes(arena, REGION, 1) is None
    checker = _watch(arena, (classes, edges, stacks, frames, reports, threads, processes), output)
    if nosleepwithlocks is not None or first:
        arena.sysctl["debug.nosleepwithlocks"] = int(nosleepwithlocks is not False)
    return checker


def attached(arena: Arena) -> None:
    """The entry point named in an armed arena: arms the process that has just attached."""
    if _native.companion_kept(arena, REGION) is None:
        _watch(arena, None, _to_stderr)


def opened(arena: Arena) -> Checker:
    """The Checker of an arena that was put under witness before, without putting it there for others.

    Raises: WitnessError: it never was (.code "SM_NOT_FOUND").
    """
    attached(arena)
    kept: Any = _native.companion_kept(arena, REGION)
    checker: Checker = kept.checker
    return checker


def disarm(arena: Arena, *, everywhere: bool = True) -> None:
    """Stop watching in this process; everywhere: whoever attaches from now on is not armed either. The tables stay.

    Raises: NotArmed.
    """
    kept = _native.companion_kept(arena, REGION)
    if kept is None:
        raise NotArmed(f"the arena {arena.name!r} is not under witness in this process; see witness.arm(arena)")
    _witness.disarm(_native.hooks_capsule(arena), everywhere)
    _native.companion_keep(arena, REGION, None)
    kept.detached()


class _Kept:
    """What the arena keeps: the Watch, and who talks for it."""

    def __init__(self, watch: _witness.Watch, printer: Printer) -> None:
        self.watch = watch
        self.printer = printer
        self.checker = Checker(watch, printer)

    def detached(self) -> None:
        """The arena is about to go."""
        self.watch.detached()
        self.printer.watch = None


def _watch(arena: Arena, geometry: tuple[int, ...] | None, output: Callable[[str], object] | None) -> Checker:
    printer = Printer(output)
    try:
        watch = _witness.Watch.of_arena(_native.hooks_capsule(arena), ENTRY.encode(), geometry, own_code, printer)
    except _witness.CoreError as error:
        raise WitnessError(
            f"the arena {arena.name!r} cannot be watched: {error.code} (its region {REGION!r}); make the arena anew, or"
            " give smaller tables",
            error.code,
        ) from error
    printer.watch = watch
    if arena.cpu_id is not None:
        watch.seat(arena.cpu_id)
    watch.title(title())
    kept = _Kept(watch, printer)
    _native.companion_keep(arena, REGION, kept)
    return kept.checker

"""The plain record of a lock-order graph: what the checker saw, without anything live. Owns its JSON, both ways.

Must not analyse, draw or print: that is `witness/analysis` and `witness/report`. Whoever watches locks writes this
record; whoever explains them reads it. Records are frozen, refer to each other by id, and hold no object of a running
program. After the graph, the held list and the reports of FreeBSD's subr_witness.c, and Linux's lock_stat.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

import msgspec

__all__ = [
    "VERSION",
    "ContentionPoint",
    "Edge",
    "Frame",
    "Graph",
    "GraphUnreadable",
    "HeldLock",
    "LockClassRecord",
    "Misuse",
    "Mode",
    "Process",
    "Reversal",
    "ReversalKind",
    "Side",
    "Sleep",
    "SleepAction",
    "Span",
    "Stack",
    "Wait",
    "from_json",
    "read_graph",
    "to_json",
    "write_graph",
]

VERSION = 1

Mode = Literal["exclusive", "shared", "shared_recursive"]
ReversalKind = Literal["reversal", "duplicate", "sleepable after non-sleepable", "recursion"]
SleepAction = Literal["reported", "forced M_NOWAIT"]


class GraphUnreadable(ValueError):
    """A file is no graph record, or one that this version cannot read. Carries `source` and `reason`."""

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(f"{source}: {reason}")
        self.source = source
        self.reason = reason


class Frame(msgspec.Struct, frozen=True):
    """One place in a program. `line` counts from 1; 0 where the line is not known."""

    file: str
    line: int
    function: str


Stack = tuple[Frame, ...]
"""Frames, the innermost first."""


class Span(msgspec.Struct, frozen=True):
    """Durations of one kind, in nanoseconds: the shortest, the longest, their sum, and how many there were.

    All 0 where none was measured.
    """

    min_ns: int = 0
    max_ns: int = 0
    total_ns: int = 0
    times: int = 0

    @property
    def avg_ns(self) -> float:
        """The average, 0 where none was measured."""
        return self.total_ns / self.times if self.times else 0.0


class ContentionPoint(msgspec.Struct, frozen=True):
    """A place where a thread had to wait for a lock of the class, or where the one it waited for took it; how often."""

    site: Frame
    count: int


class LockClassRecord(msgspec.Struct, frozen=True):
    """One lock type. `kind` is mutex, rwlock, sx, semaphore, condition, spin, core, or foreign:... for others' locks.

    `site` is where locks of the class are made. `sleepable`: a holder may sleep. `recursive`: a holder may take it
    again.
    `dup_ok`: two different locks of the class may be held at once. `signal`: one was given back by another thread than
    took it, so they are no mutexes and have no order. `contended` counts how often one was found taken; `wait` is what
    those waited that then got it, `hold` what holders held while that was timed. `points` are places that had to wait,
    `holders` those where a lock was taken that others then waited for, the most frequent first; the first four of each
    are counted.
    """

    id: int
    name: str
    kind: str
    site: Frame | None = None
    sleepable: bool = False
    recursive: bool = False
    dup_ok: bool = False
    signal: bool = False
    acquires: int = 0
    contended: int = 0
    wait: Span = Span()
    hold: Span = Span()
    points: tuple[ContentionPoint, ...] = ()
    holders: tuple[ContentionPoint, ...] = ()


class Side(msgspec.Struct, frozen=True):
    """Who was where: one thread of one process taking, holding or wanting a lock.

    `thread` is its name, `tid` the kernel's number of it (0 when unknown), `cpu` the slot in the arena, if it has one.
    `lock` is the name of the lock itself (empty: that of its class), `instance` its address or number (0: not known).
    """

    pid: int
    process: str
    thread: str
    cpu: int | None = None
    stack: Stack = ()
    mode: Mode = "exclusive"
    tid: int = 0
    lock: str = ""
    instance: int = 0


class Edge(msgspec.Struct, frozen=True):
    """A lock of class `second` was taken while one of class `first` was held.

    `established` is the first time: where the held one was taken, where the second was taken. `gates` are classes that
    were held around it every time. `threads` are up to four distinct "pid/tid" that did it. `strong`: an end was taken
    exclusively or by a reader that must not come twice, so that a closed path through it can block.
    """

    id: int
    first: int
    second: int
    count: int
    established: tuple[Side, Side]
    gates: tuple[int, ...] = ()
    threads: tuple[str, ...] = ()
    strong: bool = True


class Reversal(msgspec.Struct, frozen=True):
    """An order that was refused: `second` taken under `first` although the graph leads from `second` to `first`.

    `attempted` is the offending pair: where `first`, the held one, was taken, and where `second` was asked for.
    `established` is the pair that made the older order, from `second` to `first`; None where there is none, as for a
    duplicate. `cycle` is the closed path as the checker saw it, the first class not repeated at the end. `blessed`: the
    program declared the pair to be right. `gates`, `threads`, `strong` and `count`: as for an edge, of this order.
    """

    id: int
    first: int
    second: int
    cycle: tuple[int, ...]
    attempted: tuple[Side, Side]
    established: tuple[Side, Side] | None = None
    kind: ReversalKind = "reversal"
    time_ns: int = 0
    blessed: bool = False
    gates: tuple[int, ...] = ()
    threads: tuple[str, ...] = ()
    strong: bool = True
    count: int = 1


class HeldLock(msgspec.Struct, frozen=True):
    """A lock in somebody's hands: `site` is where it was taken, `recursion` how many times over (0 is once).

    `stack` is how it came there, its innermost frame the site; empty where only the site is known.
    """

    class_id: int
    name: str
    mode: Mode = "exclusive"
    site: Frame | None = None
    recursion: int = 0
    instance: int = 0
    stack: Stack = ()


class Sleep(msgspec.Struct, frozen=True):
    """Something that may sleep was called with locks held that forbid it.

    `what` names it (a zone's M_WAITOK allocation, or a function), `action` is what the checker did, `count` how often.
    """

    id: int
    what: str
    zone: str | None
    side: Side
    held: tuple[HeldLock, ...]
    action: SleepAction = "reported"
    time_ns: int = 0
    count: int = 1


class Misuse(msgspec.Struct, frozen=True):
    """A lock was used wrongly: released without being held, upgraded when not shared, held at exit."""

    id: int
    what: str
    class_id: int
    side: Side
    detail: str = ""
    time_ns: int = 0


class Wait(msgspec.Struct, frozen=True):
    """The live wait-for graph, one waiter: `side` waits for the lock `instance` of `class_id`, which `holders` have."""

    side: Side
    class_id: int
    instance: str
    holders: tuple[Side, ...]
    since_ns: int = 0


class Process(msgspec.Struct, frozen=True):
    """A process that was watched. `started_ns` is nanoseconds since the epoch."""

    pid: int
    name: str
    started_ns: int = 0


class Graph(msgspec.Struct, frozen=True):
    """Everything that one run saw. `waits` is what blocked at the moment of the record; empty after the end of the run.

    `off_reason` says why the checker stopped before the end, None when it did not.
    """

    version: int
    program: str
    processes: tuple[Process, ...] = ()
    classes: tuple[LockClassRecord, ...] = ()
    edges: tuple[Edge, ...] = ()
    reversals: tuple[Reversal, ...] = ()
    sleeps: tuple[Sleep, ...] = ()
    misuses: tuple[Misuse, ...] = ()
    off_reason: str | None = None
    waits: tuple[Wait, ...] = ()


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Graph)


def to_json(graph: Graph) -> bytes:
    """The record as one line of UTF-8 JSON."""
    return _encoder.encode(graph)


def from_json(data: bytes, *, source: str = "graph record") -> Graph:
    """Read a record, and check that every id in it leads somewhere.

    Parameters: data: UTF-8 JSON; source: what an error calls it.
    Raises: GraphUnreadable: no JSON, no graph record, another version, an id twice or one that names nothing.
    """
    try:
        graph = _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise GraphUnreadable(
            source, f"this is no graph record ({error}); one is written by `witness run --record FILE`"
        ) from error
    if graph.version != VERSION:
        raise GraphUnreadable(
            source,
            f"the record has version {graph.version} and this witness reads {VERSION}: "
            "record the run again with this version, or read it with the one that wrote it",
        )
    for fault in _faults(graph):
        raise GraphUnreadable(source, f"the record contradicts itself: {fault}; it is damaged, record the run again")
    return graph


def read_graph(path: Path) -> Graph:
    """Read a record from a file.

    Raises: GraphUnreadable: see `from_json`; also when the file cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise GraphUnreadable(str(path), f"the file cannot be read: {error.strerror}") from error
    return from_json(data, source=str(path))


def write_graph(path: Path, graph: Graph) -> None:
    """Write a record to a file, as one line of JSON."""
    path.write_bytes(to_json(graph) + b"\n")


def _faults(graph: Graph) -> Iterator[str]:
    known = {record.id for record in graph.classes}
    for noun, ids in (
        ("class", [record.id for record in graph.classes]),
        ("edge", [edge.id for edge in graph.edges]),
        ("reversal", [reversal.id for reversal in graph.reversals]),
    ):
        if len(set(ids)) != len(ids):
            yield f"two records have one {noun} id"
    for what, named in _mentions(graph):
        yield from (f"{what} names class {one}, which is not in it" for one in named if one not in known)


def _mentions(graph: Graph) -> Iterator[tuple[str, Iterable[int]]]:
    for edge in graph.edges:
        yield f"edge {edge.id}", (edge.first, edge.second, *edge.gates)
    for reversal in graph.reversals:
        yield f"reversal {reversal.id}", (reversal.first, reversal.second, *reversal.cycle, *reversal.gates)
    for sleep in graph.sleeps:
        yield f"sleep {sleep.id}", (held.class_id for held in sleep.held)
    for misuse in graph.misuses:
        yield f"misuse {misuse.id}", (misuse.class_id,)
    for wait in graph.waits:
        yield f"the wait of pid {wait.side.pid}", (wait.class_id,)

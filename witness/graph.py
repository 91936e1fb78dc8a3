"""From the shared block to the plain record: ``read_graph(arena)``. Owns the translation; must not judge or draw.

Works on a live arena, a read-only attachment, and a dump (``Arena.attach_file``): the block is copied, then read.
"""

import os
import sys
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from shmalloc import Arena, _native
from witness import _witness, flags
from witness.record import (
    VERSION,
    ContentionPoint,
    Edge,
    Frame,
    Graph,
    HeldLock,
    LockClassRecord,
    Misuse,
    Mode,
    Process,
    Reversal,
    ReversalKind,
    Side,
    Sleep,
    Span,
    Stack,
    Wait,
)

__all__ = ["NoGraph", "graph_of_block", "read_graph"]

_MODES: tuple[Mode, ...] = ("exclusive", "shared", "shared_recursive")
_KINDS: tuple[ReversalKind, ...] = ("reversal", "duplicate", "sleepable after non-sleepable", "recursion")
_OFF = (None, "the table of lock classes is full", "the table of orders is full", "it was switched off")
_BLESSED, _FORCED = 1, 2
_SLEEP, _MISUSE = 4, 5


class NoGraph(LookupError):
    """The arena was never under witness, or its block is damaged."""


def read_graph(arena: Arena, *, program: str | None = None) -> Graph:
    """The lock-order graph that an arena carries, as a plain record.

    Parameters: program: what the record calls the program; this process's argv[0] if not given.
    Raises: NoGraph.   Concurrency: any process, also read-only; nothing is stopped, so figures move meanwhile.
    """
    raw = _native.region_bytes(arena, "witness")
    if raw is None:
        raise NoGraph(f"the arena {arena.name!r} was never under witness; put it there with witness.arm(arena)")
    slots: dict[int, int | None] = {}
    for cpu in arena.cpus():
        slots[cpu.pid] = None if cpu.pid in slots else cpu.id  # which of several it was is not recorded
    return graph_of_block(raw, program=program, source=f"the arena {arena.name!r}", cpus=slots)


def graph_of_block(
    block: Any,
    *,
    program: str | None = None,
    source: str = "the block",
    cpus: Mapping[int, int | None] = MappingProxyType({}),
) -> Graph:
    """The same from the bytes of a block; cpus: slots in the arena by pid, of processes that live. Raises: NoGraph."""
    try:
        tables = _witness.read_block(block)
    except _witness.CoreError as error:
        raise NoGraph(f"{source} carries no lock-order graph that this version reads: {error.code}") from error
    if program is None:
        program = os.path.basename(sys.argv[0]) if sys.argv else ""
    return _Reader(tables, cpus).graph(program)


class _Reader:
    def __init__(self, tables: dict[str, Any], cpus: Mapping[int, int | None]) -> None:
        self.tables = tables
        self.names = {pid: name for pid, name, _, _ in tables["processes"]}
        self.cpus = {pid: cpu - 1 for pid, _, _, cpu in tables["processes"] if cpu} | dict(cpus)
        self.count = len(tables["classes"])
        self.signals = {place for place, row in enumerate(tables["classes"]) if row[3] & flags.SIGNAL}

    def graph(self, program: str) -> Graph:
        told = [(place, row) for place, row in enumerate(self.tables["reports"], 1) if self.known((*row[5], *row[10]))]
        reports = [(place, row) for place, row in told if self.counts(row)]
        # A reversal that only a class of signals closed is none; its order is one like others.
        freed = {row[5] for _, row in told} - {row[5] for _, row in reports}
        live = [
            (place, row)
            for place, row in enumerate(self.tables["edges"], 1)
            if row[3] & 1
            and (row[:2] in freed or not row[3] & flags.REVERSED)
            and self.known(row[:2])
            and self.signals.isdisjoint(row[:2])
        ]
        off = self.tables["off_reason"]
        return Graph(
            version=VERSION,
            program=program,
            processes=tuple(Process(pid=p, name=name, started_ns=at) for p, name, at, _ in self.tables["processes"]),
            classes=tuple(self.lock_class(place, row) for place, row in enumerate(self.tables["classes"])),
            edges=tuple(self.edge(place, row) for place, row in live),
            reversals=tuple(self.reversal(place, row) for place, row in reports if row[0] < len(_KINDS)),
            sleeps=tuple(self.sleep(place, row) for place, row in reports if row[0] == _SLEEP),
            misuses=tuple(self.misuse(place, row) for place, row in reports if row[0] == _MISUSE),
            off_reason=_OFF[off] if off < len(_OFF) else f"reason {off}",
            waits=tuple(self.waits()),
        )

    def known(self, ids: Iterable[int]) -> bool:
        return all(number < self.count for number in ids)

    def counts(self, row: Any) -> bool:
        """Whether a report is about locks, not about signals that were taken for locks when it was written."""
        if row[0] == _SLEEP:
            return any(held[0] not in self.signals for held in row[14])
        return self.signals.isdisjoint((*row[5], *row[10]))

    def side(self, who: int, thread: str, stack: Any, mode: int, instance: int = 0) -> Side:
        pid = who >> 32
        number = who & 0xFFFFFFFF
        return Side(
            pid=pid,
            process=self.names.get(pid, ""),
            thread=_thread(number) if number & flags.TASK else thread,
            cpu=self.cpus.get(pid),
            stack=_stack(stack),
            mode=_MODES[mode % 3],
            tid=0 if number & flags.TASK else number,
            instance=instance,
        )

    def lock_class(self, place: int, row: Any) -> LockClassRecord:
        name, kind, subclass, rules, site, acquires, contended, wait, hold, (waiters, holders) = row
        frames = _stack(site)
        return LockClassRecord(
            id=place,
            name=f"{name}/{subclass}" if subclass else name,
            kind=kind,
            site=frames[0] if frames else None,
            sleepable=bool(rules & flags.SLEEPABLE),
            recursive=bool(rules & flags.RECURSABLE),
            dup_ok=bool(rules & flags.DUPOK),
            signal=bool(rules & flags.SIGNAL),
            acquires=acquires,
            contended=contended,
            wait=_span(wait),
            hold=_span(hold),
            points=_points(waiters),
            holders=_points(holders),
        )

    def edge(self, place: int, row: Any) -> Edge:
        first, second, count, _, gates, threads, stacks, modes, who, thread, _ = row
        return Edge(
            id=place,
            first=first,
            second=second,
            count=count,
            established=(self.side(who, thread, stacks[0], modes[0]), self.side(who, thread, stacks[1], modes[1])),
            gates=tuple(gate for gate in gates if gate < self.count),
            threads=tuple(f"{t >> 32}/{_thread(t & 0xFFFFFFFF)}" for t in threads),
            strong=modes[0] == flags.EXCLUSIVE or modes[1] != flags.SHARED_RECURSIVE,
        )

    def reversal(self, place: int, row: Any) -> Reversal:
        kind, marks, at, who, thread, (first, second), modes, stacks, edge, *_ = row
        established = None
        if 0 < edge <= len(self.tables["edges"]):
            established = self.edge(edge, self.tables["edges"][edge - 1]).established
        own = next(
            (e for e in self.tables["edges"] if e[0] == first and e[1] == second and e[3] & flags.REVERSED), None
        )
        seen = self.edge(0, own) if own is not None else None
        return Reversal(
            id=place,
            first=first,
            second=second,
            cycle=row[10],
            attempted=(
                self.side(who, thread, stacks[0], modes[0], row[15][0]),
                self.side(who, thread, stacks[1], modes[1], row[15][1]),
            ),
            established=established,
            kind=_KINDS[kind],
            time_ns=at,
            blessed=bool(marks & _BLESSED),
            gates=seen.gates if seen else (),
            threads=seen.threads if seen else (f"{who >> 32}/{who & 0xFFFFFFFF}",),
            strong=seen.strong if seen else True,
            count=max(seen.count if seen else 0, row[9]),
        )

    def sleep(self, place: int, row: Any) -> Sleep:
        return Sleep(
            id=place,
            what=row[11],
            zone=row[12] or None,
            side=self.side(row[3], row[4], row[7][1], 0),
            held=tuple(
                HeldLock(
                    class_id=number,
                    name=self.tables["classes"][number][0],
                    mode=_MODES[mode % 3],
                    site=_stack(frames)[0] if frames else None,
                    recursion=max(depth - 1, 0),
                    instance=instance,
                    stack=_stack(frames),
                )
                for number, mode, frames, depth, instance in row[14]
                if number < self.count and number not in self.signals
            ),
            action="forced M_NOWAIT" if row[1] & _FORCED else "reported",
            time_ns=row[2],
            count=row[9],
        )

    def misuse(self, place: int, row: Any) -> Misuse:
        return Misuse(
            id=place,
            what=row[11],
            class_id=row[5][0],
            side=self.side(row[3], row[4], row[7][1], row[6][0], row[15][0]),
            detail=row[13],
            time_ns=row[2],
        )

    def waits(self) -> Iterable[Wait]:
        """Who waits now, and the threads that hold what it waits for."""
        for who, thread, waiting, _ in self.tables["threads"]:
            if waiting is None or waiting[0] >= self.count:
                continue
            number, instance, mode, stack, since = waiting
            holders = tuple(
                self.side(other, name, where, held_mode, held_instance)
                for other, name, _, held in self.tables["threads"]
                for held_id, held_instance, held_mode, _, where, _ in held
                if held_id == number and held_instance == instance
            )
            yield Wait(
                side=self.side(who, thread, stack, mode, instance),
                class_id=number,
                instance=f"{instance:#x}",
                holders=holders,
                since_ns=since,
            )


def _span(row: tuple[int, int, int, int]) -> Span:
    times, least, most, total = row
    return Span(least, most, total, times) if times else Span()


def _points(rows: Iterable[tuple[tuple[str, int, str], int]]) -> tuple[ContentionPoint, ...]:
    points = (ContentionPoint(Frame(*frame), count) for frame, count in rows)
    return tuple(sorted(points, key=lambda point: -point.count))


def _stack(rows: Iterable[tuple[str, int, str]]) -> Stack:
    return tuple(Frame(file=file, line=line, function=function) for file, line, function in rows)


def _thread(number: int) -> str:
    """A thread by its number, a task of an event loop by its number among its process's."""
    return f"task {number & ~flags.TASK}" if number & flags.TASK else str(number)

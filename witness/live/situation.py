"""Who waits for whom now: two looks at the blocks, and what is certain after them.

Owns the rule by which a deadlock is certain. Each wait of a thread has a number and a beginning. A wait that has the
same of both in both looks lasted from the one to the other; so at the moment between the two looks all waits that both
show went on at once, and a thread that waits changes nothing of what it holds. A ring of such waits is a deadlock at
that moment, and remains one until a wait times out, a process is killed, or a thread outside of the ring gives one of
its locks back. Whatever differs between the looks is moving, and is never part of a ring; neither is a thread that the
kernel says is gone.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import msgspec

from shmalloc import Arena, _native
from witness import _witness
from witness.analysis.waiting import deadlocks
from witness.flags import FILE_KIND
from witness.live.blocks import opened
from witness.live.life import Life, life_of
from witness.record import VERSION, Frame, Graph, LockClassRecord, Mode, Side, Stack, Wait

__all__ = ["Holding", "Lock", "Situation", "ThreadNow", "Waiting", "why"]

_BETWEEN_LOOKS_S = 0.1  # long enough that what merely passes by is told from what stands
_MODES: tuple[Mode, ...] = ("exclusive", "shared", "shared_recursive")


class Lock(msgspec.Struct, frozen=True):
    """One lock: its class's name and kind, the arena whose block tells of it, and its number among its class."""

    name: str
    kind: str
    arena: str
    instance: int


class Holding(msgspec.Struct, frozen=True):
    """A lock in a thread's hands. `stack` is where it was taken; `held_ns` is None when holds are not timed."""

    lock: Lock
    mode: Mode
    stack: Stack
    depth: int = 1
    held_ns: int | None = None


class Waiting(msgspec.Struct, frozen=True):
    """A wait that goes on. `stands`: it is the same in both looks; otherwise it has begun between them."""

    lock: Lock
    mode: Mode
    stack: Stack
    waited_ns: int
    stands: bool


class ThreadNow(msgspec.Struct, frozen=True):
    """A thread that holds or waits. `life` says whether it still does: see ``witness.live.life``."""

    pid: int
    tid: int
    process: str
    thread: str
    life: Life
    waits: Waiting | None
    holds: tuple[Holding, ...]

    def held(self, lock: Lock) -> Holding | None:
        """How this thread holds the lock; None: it does not."""
        return next((holding for holding in self.holds if holding.lock == lock), None)


class Situation(msgspec.Struct, frozen=True):
    """What is waited for now. `deadlocks` are rings: each thread waits for a lock that the next one holds."""

    arenas: tuple[str, ...]
    threads: tuple[ThreadNow, ...]
    deadlocks: tuple[tuple[ThreadNow, ...], ...]

    @property
    def waiting(self) -> tuple[ThreadNow, ...]:
        """The threads that live and wait, whoever waits longest first."""
        found = ((one.waits.waited_ns, one) for one in self.threads if one.waits is not None and one.life not in GONE)
        return tuple(one for _, one in sorted(found, key=lambda pair: (-pair[0], pair[1].pid, pair[1].tid)))

    def holders(self, lock: Lock) -> tuple[tuple[ThreadNow, Holding], ...]:
        """Who has the lock, and how; those that are gone too."""
        return tuple((one, held) for one in self.threads if (held := one.held(lock)) is not None)


GONE: tuple[Life, ...] = ("ended", "died")

_Look = dict[str, dict[str, Any]]
_Key = tuple[int, int]


def why(target: str | int | None = None) -> Situation:
    """Find out who waits for whom, across processes and across the blocks that they share.

    Parameters: target: an arena's name, a pid, or None: every block of this user.
    Returns: Situation; its deadlocks are certain, see above.
    Raises: witness.live.Unwatched: there is no such arena or process, or its locks are not watched.
    Concurrency: stops nobody, writes nothing; takes about 0.1 s.
    """
    with opened(target) as arenas:
        before = _look(arenas)
        time.sleep(_BETWEEN_LOOKS_S)
        return _situation(before, _look(arenas))


def _look(arenas: dict[str, Arena]) -> _Look:
    found = {}
    for name, arena in arenas.items():
        try:
            found[name] = _witness.read_waiting(_native.hooks_capsule(arena))
        except _witness.CoreError:
            continue  # damaged, or of another version: the other blocks can still be told of
    return found


def _situation(before: _Look, after: _Look) -> Situation:
    now = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    threads: dict[_Key, ThreadNow] = {}
    for arena, block in after.items():
        names = {pid: name for pid, name, _ in block["processes"]}
        earlier = {row[0]: row for row in before.get(arena, {"threads": ()})["threads"]}
        for row in block["threads"]:
            owner, thread, here, *_ = row
            pid, tid = owner >> 32, owner & 0xFFFFFFFF
            waits, holds = _waiting(arena, block, row, earlier.get(owner), now), _holds(arena, block, row, now)
            if waits is None and not holds:
                continue
            life = life_of(pid, tid, arena=arena) if here else "elsewhere"
            known = threads.get((pid, tid))
            threads[pid, tid] = ThreadNow(
                pid=pid,
                tid=tid,
                process=names.get(pid, ""),
                thread=thread,
                life=life,
                waits=waits or (known.waits if known else None),
                holds=(known.holds if known else ()) + holds,
            )
    ordered = tuple(threads[key] for key in sorted(threads))
    return Situation(tuple(sorted(after)), ordered, tuple(_rings(ordered, _held_before(before))))


def _lock(arena: str, block: dict[str, Any], number: int, instance: int) -> Lock:
    row = block["classes"][number]
    return Lock(name=f"{row[0]}/{row[2]}" if row[2] else row[0], kind=row[1], arena=arena, instance=instance)


def _waiting(arena: str, block: dict[str, Any], row: Any, earlier: Any, now: int) -> Waiting | None:
    if row[3] is None:
        return None
    number, instance, mode, stack, since, _ = row[3]
    return Waiting(
        lock=_lock(arena, block, number, instance),
        mode=_MODES[mode % 3],
        stack=_stack(stack),
        waited_ns=max(now - since, 0),
        stands=earlier is not None and earlier[3] == row[3],
    )


def _holds(arena: str, block: dict[str, Any], row: Any, now: int) -> tuple[Holding, ...]:
    return tuple(
        Holding(
            lock=_lock(arena, block, number, instance),
            mode=_MODES[mode % 3],
            stack=_stack(stack),
            depth=depth,
            held_ns=max(now - since, 0) if since else None,
        )
        for number, instance, mode, depth, stack, since in row[4]
    )


def _held_before(before: _Look) -> set[tuple[_Key, Lock]]:
    return {
        ((row[0] >> 32, row[0] & 0xFFFFFFFF), holding.lock)
        for arena, block in before.items()
        for row in block["threads"]
        for holding in _holds(arena, block, row, 0)
    }


def _rings(threads: tuple[ThreadNow, ...], held_before: set[tuple[_Key, Lock]]) -> Iterator[tuple[ThreadNow, ...]]:
    """The rings among waits that stand, of threads that live, over locks that were held in both looks. A file that was
    closed is not locked any more, and nobody is told of that: what is certain leads over no file."""
    alive = {(one.pid, one.tid): one for one in threads if one.life not in GONE}
    locks = {one.waits.lock for one in alive.values() if one.waits is not None}
    numbers = {lock: number for number, lock in enumerate(sorted(locks, key=msgspec.json.encode))}
    classes = tuple(LockClassRecord(id=number, name=lock.name, kind=lock.kind) for lock, number in numbers.items())
    waits = []
    for one in alive.values():
        if one.waits is None or not one.waits.stands:
            continue
        lock = one.waits.lock
        holders = tuple(
            _side(other, held.stack, held.mode)
            for key, other in alive.items()
            if lock.kind != FILE_KIND and (held := other.held(lock)) is not None and (key, lock) in held_before
        )
        waits.append(Wait(_side(one, one.waits.stack, one.waits.mode), numbers[lock], f"{lock.instance:#x}", holders))
    graph = Graph(version=VERSION, program="", classes=classes, waits=tuple(waits))
    for ring in deadlocks(graph):
        yield tuple(alive[wait.side.pid, wait.side.tid] for wait in ring.waits)


def _side(one: ThreadNow, stack: Stack, mode: Mode) -> Side:
    return Side(pid=one.pid, process=one.process, thread=one.thread, stack=stack, mode=mode, tid=one.tid)


def _stack(rows: Any) -> Stack:
    return tuple(Frame(file=file, line=line, function=function) for file, line, function in rows)

"""Deadlocks that are there: cycles of the live wait-for graph. Owns the question whether anybody can still go on.

A thread that waits for a lock goes on when all of its holders go on; one that waits for a semaphore's permit needs only
one of them. Whoever waits for nothing goes on, and so does whoever waits for a lock that nobody is known to hold.
"""

from __future__ import annotations

from dataclasses import dataclass

import networkx as nx

from witness.record import Graph, Side, Wait

__all__ = ["Deadlock", "deadlocks"]

_Thread = tuple[int, int | str]


@dataclass(frozen=True, slots=True)
class Deadlock:
    """Threads that wait in a ring: each of `waits` is for a lock that the waiter of the next one holds."""

    waits: tuple[Wait, ...]

    @property
    def classes(self) -> tuple[int, ...]:
        """The classes of the locks waited for, in the order of the ring."""
        return tuple(wait.class_id for wait in self.waits)


def deadlocks(graph: Graph) -> tuple[Deadlock, ...]:
    """Find one ring for each group of threads none of which can go on by itself; empty when all can."""
    any_will_do = {record.id for record in graph.classes if "semaphore" in record.kind.lower()}
    waiting = {_thread(wait.side): wait for wait in graph.waits}
    stuck = dict(waiting)
    while going := [
        thread
        for thread, wait in stuck.items()
        if not wait.holders
        or (any if wait.class_id in any_will_do else all)(_thread(holder) not in stuck for holder in wait.holders)
    ]:
        for thread in going:
            del stuck[thread]
    held_by: nx.DiGraph[_Thread] = nx.DiGraph()
    held_by.add_edges_from(
        (thread, _thread(holder))
        for thread, wait in sorted(stuck.items(), key=lambda item: str(item[0]))
        for holder in wait.holders
        if _thread(holder) in stuck
    )
    rings = []
    for group in nx.strongly_connected_components(held_by):
        inside = held_by.subgraph(group)
        if inside.number_of_edges():
            ring = [thread for thread, _ in nx.find_cycle(inside)]
            first = ring.index(min(ring, key=str))
            ring = ring[first:] + ring[:first]
            rings.append(Deadlock(tuple(waiting[thread] for thread in ring)))
    return tuple(sorted(rings, key=lambda ring: (ring.waits[0].side.pid, ring.classes)))


def _thread(side: Side) -> _Thread:
    return (side.pid, side.tid or side.thread)

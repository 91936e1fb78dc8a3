"""How far a closed path of lock orders is to be feared. Owns the reasons to think less of one; finds no cycles itself.

A cycle blocks nobody if a common lock was held around every order of it (they never meet), if one thread made all of
them (it cannot meet itself), or if all of its locks are taken by readers that let each other in.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import islice

from witness.analysis.ordergraph import OrderGraph

__all__ = ["Judgement", "judge", "worst_cycle"]

_LOOKED_AT = 64  # cycles of one link that are judged one by one before the link is held dangerous unseen


@dataclass(frozen=True, slots=True)
class Judgement:
    """`feared`: the cycle may block. `why` says in words why it is not feared; empty when it is."""

    feared: bool
    why: str = ""


def judge(order: OrderGraph, cycle: tuple[int, ...]) -> Judgement:
    """Judge one closed path; one whose links are not all recorded is feared."""
    links = order.around(cycle)
    if len(links) < len(cycle) or not links:
        return Judgement(True)
    if gates := frozenset.intersection(*(link.gates for link in links)) - set(cycle):
        gate = min(gates, key=order.place)
        return Judgement(False, f'gate-locked: "{order.classes[gate].name}" was held around every order of the cycle')
    threads = frozenset[str]().union(*(link.threads for link in links))
    if len(threads) == 1 and all(link.threads for link in links):
        return Judgement(False, f"one thread only: {min(threads)} made every order of the cycle")
    if not any(link.strong for link in links):
        return Judgement(False, "readers only: every lock of the cycle was taken by readers that let each other in")
    return Judgement(True)


def worst_cycle(order: OrderGraph, first: int, second: int) -> tuple[tuple[int, ...], Judgement]:
    """The shortest closed path through first -> second that is feared; if none is, the shortest, with the reason.

    Returns: an empty path when there is none. Where the shortest walk that is feared comes through a class twice,
    which is no cycle, up to 64 cycles are looked at; when there are more, the link is feared, with its shortest path.
    """
    shortest = order.shortest_cycle(first, second)
    if not shortest:
        return (), Judgement(True)
    why = judge(order, shortest)
    if why.feared or order.excused(first, second):
        return shortest, why
    feared = _feared_walk(order, first, second)
    if not feared:
        return shortest, why
    if len(set(feared)) == len(feared):
        return feared, judge(order, feared)
    seen = 0
    for seen, cycle in enumerate(islice(order.cycles_through(first, second), _LOOKED_AT), 1):  # noqa: B007
        found = judge(order, cycle)
        if found.feared:
            return cycle, found
    return shortest, Judgement(True) if seen == _LOOKED_AT else why


def _feared_walk(order: OrderGraph, first: int, second: int) -> tuple[int, ...]:
    """The shortest closed walk through first -> second that no excuse of this link covers as a whole; empty: none.

    Searched breadth first, over classes and over which excuses are gone by the way there. A walk may come through a
    class twice, so where there is none, there is no such cycle either.
    """
    link = order.links[first, second]
    gates = [gate for gate in sorted(link.gates, key=order.place) if gate not in (first, second)]
    thread = min(link.threads) if len(link.threads) == 1 else None
    excuses = len(gates) + (thread is not None) + (not link.strong)
    gate_bit = {gate: 1 << at for at, gate in enumerate(gates)}
    thread_bit = 1 << len(gates) if thread is not None else 0
    weak_bit = 1 << (excuses - 1) if not link.strong else 0
    every = (1 << excuses) - 1
    start = (second, 0)
    before: dict[tuple[int, int], tuple[int, int] | None] = {start: None}
    todo = deque([start])
    while todo:
        here = at, gone = todo.popleft()
        for after in order.digraph[at]:
            way = order.links[at, after]
            lost = gone | gate_bit.get(after, 0) | (weak_bit if way.strong else 0)
            if thread is not None and way.threads != link.threads:
                lost |= thread_bit
            for gate, bit in gate_bit.items():
                if gate not in way.gates:
                    lost |= bit
            reached = (after, lost)
            if reached in before:
                continue
            before[reached] = here
            if after == first:
                if lost == every:
                    return _walked(before, reached)
                continue
            todo.append(reached)
    return ()


def _walked(before: dict[tuple[int, int], tuple[int, int] | None], end: tuple[int, int]) -> tuple[int, ...]:
    """The classes on the way to `end`, which is the first of the cycle."""
    back: list[int] = []
    at: tuple[int, int] | None = end
    while at is not None:
        back.append(at[0])
        at = before[at]
    return (back[0], *reversed(back[1:]))

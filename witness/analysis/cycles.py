"""How far a closed path of lock orders is to be feared. Owns the reasons to think less of one; finds no cycles itself.

A cycle blocks nobody if a common lock was held around every order of it (they never meet), if one thread made all of
them (it cannot meet itself), or if all of its locks are taken by readers that let each other in.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

from witness.analysis.ordergraph import OrderGraph

__all__ = ["Judgement", "judge", "worst_cycle"]

_LOOKED_AT = 64  # cycles of one link that are judged before the link is held dangerous unseen


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

    Returns: an empty path when there is none. When there are too many to look at, the link is feared,
    with its shortest path.
    """
    shortest: tuple[int, ...] = ()
    why = Judgement(True)
    seen = 0
    for seen, cycle in enumerate(islice(order.cycles_through(first, second), _LOOKED_AT), 1):  # noqa: B007
        found = judge(order, cycle)
        if found.feared:
            return cycle, found
        if not shortest:
            shortest, why = cycle, found
    return shortest, Judgement(True) if seen == _LOOKED_AT else why

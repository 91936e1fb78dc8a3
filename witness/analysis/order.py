"""A canonical order: one line of classes that agrees with every order seen but the fewest that have to go.

Owns the choice of what has to be broken. A link that contradicts the rest goes; where several could go it is the one
that the checker refused, then the one that was seen least. After Pearce and Kelly's online topological order.
"""

from __future__ import annotations

from dataclasses import dataclass

import networkx as nx

from witness.analysis.ordergraph import Link, OrderGraph

__all__ = ["CanonicalOrder", "canonical_order"]


@dataclass(frozen=True, slots=True)
class CanonicalOrder:
    """`classes`, the outermost first; `broken`, the links that contradict it, each closing a cycle with the rest."""

    classes: tuple[int, ...]
    broken: tuple[Link, ...]


def canonical_order(order: OrderGraph) -> CanonicalOrder:
    """Find the order to write down.

    Returns: every class once. Without `broken` the links have no cycle, and none of `broken` can be put back. Where
    links leave a choice, classes stand by name.
    """
    broken: list[Link] = []
    for knot in order.knots():
        broken += _against(order, knot)
    kept = order.digraph.copy()
    kept.remove_edges_from([(link.first, link.second) for link in broken])
    classes = tuple(nx.lexicographical_topological_sort(kept, key=order.place))
    broken.sort(key=lambda link: (order.place(link.first), order.place(link.second)))
    return CanonicalOrder(classes, tuple(broken))


def _against(order: OrderGraph, knot: tuple[int, ...]) -> list[Link]:
    """The links of one knot that close a cycle when links are admitted in the order of the trust in them."""
    inside = set(knot)
    links = [order.links[pair] for one in knot for pair in order.digraph.out_edges(one) if pair[1] in inside]
    links.sort(key=lambda link: (link.attempted, -link.count, order.place(link.first), order.place(link.second)))
    weight = dict.fromkeys(knot, 0)
    for link in links:
        if not link.attempted:
            weight[link.first] += link.count
            weight[link.second] -= link.count
    # A first guess, so that most links agree with it and cost nothing to admit.
    admitted = _Admitted(sorted(knot, key=lambda one: (-weight[one], order.place(one))))
    return [link for link in links if not admitted.admit(link.first, link.second)]


class _Admitted:
    """An acyclic graph with a topological order that is mended as links come in."""

    def __init__(self, start: list[int]) -> None:
        self._rank = {one: place for place, one in enumerate(start)}
        self._after: dict[int, list[int]] = {one: [] for one in start}
        self._before: dict[int, list[int]] = {one: [] for one in start}

    def admit(self, first: int, second: int) -> bool:
        """Take in a link; False, and nothing changed, when it closes a cycle."""
        low, high = self._rank[second], self._rank[first]
        if low < high:
            ahead = self._reached(second, self._after, low, high)
            if first in ahead:
                return False
            behind = self._reached(first, self._before, low, high)
            moved = [*sorted(behind, key=self._rank.__getitem__), *sorted(ahead, key=self._rank.__getitem__)]
            free = sorted(self._rank[one] for one in moved)
            self._rank.update(zip(moved, free, strict=True))
        self._after[first].append(second)
        self._before[second].append(first)
        return True

    def _reached(self, start: int, ways: dict[int, list[int]], low: int, high: int) -> set[int]:
        seen, todo = {start}, [start]
        while todo:
            for one in ways[todo.pop()]:
                if one not in seen and low <= self._rank[one] <= high:
                    seen.add(one)
                    todo.append(one)
        return seen

"""The order graph as a networkx graph: one node a lock class, one link an order that was seen or attempted.

Owns the way from record to graph, and questions that the graph alone answers: shortest cycles and knots. Must not judge
them: that is `cycles.py`. Nodes and links are added in the order of their names, so every answer is the same each time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import networkx as nx

from witness.record import Graph, LockClassRecord, Side

if TYPE_CHECKING:
    Digraph = nx.DiGraph[int]

__all__ = ["Link", "OrderGraph", "order_graph", "stable_name"]

_ORDERS = ("reversal", "sleepable after non-sleepable")


@dataclass(frozen=True, slots=True)
class Link:
    """`second` was taken, or asked for, while `first` was held. `attempted`: the checker refused this order."""

    first: int
    second: int
    count: int
    sides: tuple[Side, Side]
    gates: frozenset[int]
    threads: frozenset[str]
    strong: bool
    attempted: bool


@dataclass(frozen=True)
class OrderGraph:
    """The lock classes by id, the links by their ends, and the same as a networkx graph of class ids."""

    classes: dict[int, LockClassRecord]
    links: dict[tuple[int, int], Link]
    digraph: Digraph = field(repr=False)

    def place(self, class_id: int) -> tuple[str, int]:
        """The key by which classes stand in line where nothing else decides: the name, then the id."""
        return (self.classes[class_id].name, class_id)

    def names(self, class_ids: tuple[int, ...]) -> tuple[str, ...]:
        """The names of classes."""
        return tuple(self.classes[one].name for one in class_ids)

    def shortest_cycle(self, first: int, second: int) -> tuple[int, ...]:
        """The shortest closed path that begins first -> second; empty when nothing leads back from second to first.

        Returns: class ids, the first one not repeated at the end. The link first -> second itself need not exist.
        """
        return next(self.cycles_through(first, second), ())

    def cycles_through(self, first: int, second: int) -> Iterator[tuple[int, ...]]:
        """Closed paths that begin first -> second, the shortest first, none twice."""
        if first == second or first not in self.digraph or second not in self.digraph:
            return
        if not nx.has_path(self.digraph, second, first):
            return
        for path in nx.shortest_simple_paths(self.digraph, second, first):
            yield (first, *path[:-1])

    def around(self, cycle: tuple[int, ...]) -> tuple[Link, ...]:
        """The links of a closed path, in its direction; one that was never recorded is left out."""
        ends = zip(cycle, (*cycle[1:], *cycle[:1]), strict=True)
        return tuple(self.links[pair] for pair in ends if pair in self.links)

    def excused(self, first: int, second: int) -> bool:
        """Whether all links of this one's knot share what makes cycles harmless: a gate, the one thread, readers."""
        return first in self._excused and second in self._excused

    @cached_property
    def _excused(self) -> frozenset[int]:
        """The classes of the knots whose links all share something; cycles never leave a knot."""
        out: set[int] = set()
        for knot in self.knots():
            inside = set(knot)
            links = [self.links[pair] for one in knot for pair in self.digraph.out_edges(one) if pair[1] in inside]
            threads = {link.threads for link in links}
            gates = frozenset.intersection(*(link.gates for link in links)) - inside
            if gates or not any(link.strong for link in links) or (len(threads) == 1 and len(min(threads)) == 1):
                out |= inside
        return frozenset(out)

    def adopted(self) -> OrderGraph:
        """The same without the orders that the checker refused."""
        return _of_links(self.classes, {pair: link for pair, link in self.links.items() if not link.attempted})

    def knots(self) -> tuple[tuple[int, ...], ...]:
        """The strongly connected components of more than one class, each and all in the order of names.

        Inside a knot every class can be reached from every other: each deadlock over orders is inside one.
        """
        components = (sorted(c, key=self.place) for c in nx.strongly_connected_components(self.digraph) if len(c) > 1)
        return tuple(sorted(map(tuple, components), key=lambda c: self.place(c[0])))


def order_graph(graph: Graph) -> OrderGraph:
    """Make the order graph of a record: its edges and the orders that were refused, without what was declared right."""
    classes = {record.id: record for record in graph.classes}
    blessed = {(r.first, r.second) for r in graph.reversals if r.blessed}
    refused = [r for r in graph.reversals if r.kind in _ORDERS and r.first != r.second and not r.blessed]
    # A pair may break the rule for sleepable locks without contradicting any order: it is then an order like others.
    against = {(r.first, r.second) for r in refused if r.kind == "reversal"}
    links: dict[tuple[int, int], Link] = {}
    for edge in graph.edges:
        pair = (edge.first, edge.second)
        if edge.first == edge.second or pair in blessed:
            continue
        gates, threads = frozenset(edge.gates), frozenset(edge.threads)
        links[pair] = Link(*pair, edge.count, edge.established, gates, threads, edge.strong, pair in against)
    for r in refused:
        pair = (r.first, r.second)
        if pair not in links:
            threads = frozenset(r.threads or (f"{s.pid}/{s.tid or s.thread}" for s in r.attempted[1:]))
            links[pair] = Link(*pair, r.count, r.attempted, frozenset(r.gates), threads, r.strong, pair in against)

    return _of_links(classes, links)


def _of_links(classes: dict[int, LockClassRecord], links: dict[tuple[int, int], Link]) -> OrderGraph:
    place = {one: (record.name, one) for one, record in classes.items()}
    digraph: Digraph = nx.DiGraph()
    for _, one in sorted(place.values()):
        digraph.add_node(one)
    digraph.add_edges_from(sorted(links, key=lambda pair: (place[pair[0]], place[pair[1]])))
    return OrderGraph(classes, links, digraph)


def stable_name(record: LockClassRecord) -> str:
    """A class name that survives edits of the file: the line in `file.py:12 RLock` gives way to the function."""
    if record.site is not None and (found := re.fullmatch(rf"(.*):{record.site.line}( .*)?", record.name)):
        return f"{found[1]}:{record.site.function}{found[2] or ''}"
    return record.name

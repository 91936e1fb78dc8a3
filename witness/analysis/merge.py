"""Several records made one, as if one run had seen it all. Owns the identity of classes between records: kind and name.

So an order of one run and the reverse of another show up as what they are.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from witness.record import VERSION, ContentionPoint, Edge, Frame, Graph, LockClassRecord, Reversal, Span

__all__ = ["merge"]

_MOST_THREADS = 4  # as many as the record of an edge keeps


def merge(graphs: Sequence[Graph]) -> Graph:
    """Join records; one alone comes back as it is.

    Raises: ValueError: there is none.
    """
    if not graphs:
        raise ValueError("there is no graph record to merge: name at least one")
    if len(graphs) == 1:
        return graphs[0]
    classes: dict[tuple[str, str], LockClassRecord] = {}
    edges: dict[tuple[int, int], Edge] = {}
    reversals: dict[tuple[int, int, str], Reversal] = {}
    joined = Graph(version=VERSION, program=" + ".join(dict.fromkeys(graph.program for graph in graphs)))
    for graph in graphs:
        ids = {record.id: _join_class(classes, record) for record in graph.classes}

        def to(old: tuple[int, ...], ids: dict[int, int] = ids) -> tuple[int, ...]:
            return tuple(ids[one] for one in old)

        for edge in graph.edges:
            first, second = to((edge.first, edge.second))
            moved = replace(edge, id=len(edges) + 1, first=first, second=second, gates=to(edge.gates))
            known = edges.get((first, second))
            edges[first, second] = _join_edge(known, moved) if known else moved
        for r in graph.reversals:
            first, second = to((r.first, r.second))
            known_r = reversals.get((first, second, r.kind))
            reversals[first, second, r.kind] = (
                replace(known_r, count=known_r.count + r.count, blessed=known_r.blessed and r.blessed)
                if known_r
                else replace(r, id=len(reversals) + 1, first=first, second=second, cycle=to(r.cycle), gates=to(r.gates))
            )
        sleeps = tuple(
            replace(s, id=n, held=tuple(replace(h, class_id=ids[h.class_id]) for h in s.held))
            for n, s in enumerate(graph.sleeps, len(joined.sleeps) + 1)
        )
        misuses = tuple(
            replace(m, id=n, class_id=ids[m.class_id]) for n, m in enumerate(graph.misuses, len(joined.misuses) + 1)
        )
        joined = replace(
            joined,
            processes=joined.processes + graph.processes,
            sleeps=joined.sleeps + sleeps,
            misuses=joined.misuses + misuses,
            waits=joined.waits + tuple(replace(w, class_id=ids[w.class_id]) for w in graph.waits),
            off_reason=joined.off_reason or graph.off_reason,
        )
    return replace(
        joined, classes=tuple(classes.values()), edges=tuple(edges.values()), reversals=tuple(reversals.values())
    )


def _join_class(classes: dict[tuple[str, str], LockClassRecord], new: LockClassRecord) -> int:
    key = (new.kind, new.name)
    old = classes.get(key)
    if old is None:
        classes[key] = replace(new, id=len(classes) + 1)
    else:
        classes[key] = replace(
            old,
            acquires=old.acquires + new.acquires,
            contended=old.contended + new.contended,
            wait=_join_span(old.wait, new.wait),
            hold=_join_span(old.hold, new.hold),
            points=_join_points(old.points + new.points),
            holders=_join_points(old.holders + new.holders),
        )
    return classes[key].id


def _join_points(all_points: tuple[ContentionPoint, ...]) -> tuple[ContentionPoint, ...]:
    points: dict[Frame, int] = {}
    for point in all_points:
        points[point.site] = points.get(point.site, 0) + point.count
    return tuple(ContentionPoint(*item) for item in sorted(points.items(), key=lambda item: -item[1]))


def _join_span(one: Span, other: Span) -> Span:
    if not one.max_ns or not other.max_ns:
        return one if one.max_ns else other
    return Span(
        min(one.min_ns, other.min_ns),
        max(one.max_ns, other.max_ns),
        one.total_ns + other.total_ns,
        one.times + other.times,
    )


def _join_edge(old: Edge, new: Edge) -> Edge:
    return replace(
        old,
        count=old.count + new.count,
        gates=tuple(gate for gate in old.gates if gate in new.gates),
        threads=tuple(dict.fromkeys(old.threads + new.threads))[:_MOST_THREADS],
        strong=old.strong or new.strong,
    )

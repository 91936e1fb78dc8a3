"""Contention of each lock class in the columns of Linux's lock_stat. Owns columns and sorting; measures nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from shmalloc.report.table import Column, Table
from witness.record import ContentionPoint, Graph, LockClassRecord, Span
from witness.report.words import at

__all__ = ["SORTS", "as_plain_stat", "lock_rows", "lock_table", "point_table"]

_MOST_POINTS = 4  # as many places as lock_stat keeps for a class


SORTS: dict[str, Callable[[LockClassRecord], tuple[float | str, ...]]] = {
    "contentions": lambda record: (-record.contended, -record.wait.total_ns),
    "acquisitions": lambda record: (-record.acquires,),
    "wait-avg": lambda record: (-record.wait.avg_ns,),
    "wait-total": lambda record: (-record.wait.total_ns,),
    "wait-max": lambda record: (-record.wait.max_ns,),
    "hold-avg": lambda record: (-record.hold.avg_ns,),
    "hold-total": lambda record: (-record.hold.total_ns,),
    "hold-max": lambda record: (-record.hold.max_ns,),
    "name": lambda record: (record.name,),
}
"""What the classes may be sorted by, each with its key; the largest first, names from A."""


def lock_rows(graph: Graph, sort: str) -> list[LockClassRecord]:
    """The classes, sorted by one of `SORTS`, equals by name."""
    return sorted(graph.classes, key=lambda record: (*SORTS[sort](record), record.name, record.id))


def lock_table(records: Iterable[LockClassRecord], *, empty: str = "no lock class was seen") -> Table:
    """One row a class; times in microseconds, as lock_stat has them. Its bounces cannot be seen from here."""
    waits = ("contentions", "wait-min", "wait-max", "wait-total", "wait-avg")
    holds = ("acquisitions", "hold-min", "hold-max", "hold-total", "hold-avg")
    rows = tuple(
        (record.name, str(record.contended), *_times(record.wait), str(record.acquires), *_times(record.hold))
        for record in records
    )
    columns = (Column("class name", number=False, give="cut"), *(Column(head) for head in (*waits, *holds)))
    return Table("lock statistics (times in µs)", columns, rows, empty=empty)


def _times(span: Span) -> tuple[str, ...]:
    """Of what was not measured nothing is said."""
    if not span.max_ns:
        return ("-",) * 4
    values = (span.min_ns, span.max_ns, span.total_ns, span.avg_ns)
    return tuple(f"{value / 1000:.2f}" for value in values)


def point_table(records: Iterable[LockClassRecord]) -> Table:
    """The contention points: of each class where threads waited, and where the lock was taken that they waited for."""
    rows = tuple(
        (record.name, role, str(point.count), at(point.site), point.site.function)
        for record in records
        for role, points in (("waits", record.points), ("holds", record.holders))
        for point in points[:_MOST_POINTS]
    )
    columns = (
        Column("class name", number=False, give="cut"),
        Column("who", number=False),
        Column("times"),
        Column("at", number=False),
        Column("function", number=False),
    )
    return Table("contention points", columns, rows, empty="no contention point was recorded")


def as_plain_stat(record: LockClassRecord) -> dict[str, object]:
    """One class as values that JSON has; times in nanoseconds, `measured` is how many there were."""

    def times(span: Span) -> dict[str, object]:
        return {
            "measured": span.times,
            "min_ns": span.min_ns,
            "max_ns": span.max_ns,
            "total_ns": span.total_ns,
            "avg_ns": span.avg_ns,
        }

    def places(points: Iterable[ContentionPoint]) -> list[dict[str, object]]:
        return [
            {"file": p.site.file, "line": p.site.line, "function": p.site.function, "count": p.count} for p in points
        ]

    return {
        "name": record.name,
        "kind": record.kind,
        "contentions": record.contended,
        "wait": times(record.wait),
        "acquisitions": record.acquires,
        "hold": times(record.hold),
        "contention_points": places(record.points),
        "holding_points": places(record.holders),
    }

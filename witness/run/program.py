"""What of a run's graph is the program's. Owns nothing.

The graph lies in an arena of the checker's own. Nobody asked about that arena's locks, or about the checker's process.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import structs

from witness.record import Graph

__all__ = ["of_program"]


def of_program(graph: Graph, *, checker: int) -> Graph:
    """The graph without the core's lock classes, unless the program has to do with them.

    Parameters: checker: the pid of the process that watched.
    """
    own = {record.id for record in graph.classes if record.kind == "core"}
    own -= set(_concerned(graph, own))
    return structs.replace(
        graph,
        processes=tuple(process for process in graph.processes if process.pid != checker),
        classes=tuple(record for record in graph.classes if record.id not in own),
        edges=tuple(edge for edge in graph.edges if not own & {edge.first, edge.second, *edge.gates}),
    )


def _concerned(graph: Graph, own: set[int]) -> Iterator[int]:
    """Core classes that an order with the program's, or a report, names."""
    for edge in graph.edges:
        if not {edge.first, edge.second} <= own:
            yield from (edge.first, edge.second, *edge.gates)
    for reversal in graph.reversals:
        yield from (reversal.first, reversal.second, *reversal.cycle, *reversal.gates)
    for sleep in graph.sleeps:
        yield from (held.class_id for held in sleep.held)
    for misuse in graph.misuses:
        yield misuse.class_id
    for wait in graph.waits:
        yield wait.class_id

"""What witness says of a run under faults: an oracle that fault injection finds by its entry point.

Owns nothing: the graph is in the scenario's arena, and goes with it. Cheap: small tables, nothing printed.
"""

from collections.abc import Iterator

from shmalloc import Arena
from witness.checker import arm
from witness.graph import read_graph
from witness.record import Side

__all__ = ["Oracle"]

_SIZES = {"classes": 64, "edges": 512, "stacks": 256, "frames": 512, "reports": 16, "threads": 16, "processes": 16}


class Oracle:
    """Arms each scenario's arena, and tells the reports that its locks gave rise to."""

    def begin(self, arena: Arena) -> None:
        """Put the arena under witness."""
        # An arena that another process has put there before arms its attachments itself, and those print.
        arm(arena, output=None, nosleepwithlocks=False, **_SIZES).output = None

    def findings(self, arena: Arena) -> Iterator[str]:
        """A sentence for each reversal of order, sleep under a lock and misuse that the arena's graph has."""
        graph = read_graph(arena)
        names = {one.id: one.name for one in graph.classes}
        for found in graph.reversals:
            yield f"lock order reversal: {names.get(found.first)} and {names.get(found.second)}"
        for slept in graph.sleeps:
            held = ", ".join(repr(lock.name) for lock in slept.held)
            zone = f" of zone {slept.zone!r}" if slept.zone is not None else ""
            yield f"sleep with a lock held: {slept.what}{zone} with {held} held, at {_place(slept.side)}"
        for misuse in graph.misuses:
            yield f"misuse of a lock: {misuse.what} {names.get(misuse.class_id)!r}, at {_place(misuse.side)}"


def _place(side: Side) -> str:
    if not side.stack:
        return "a place that is not known"
    return f"{side.stack[0].file}:{side.stack[0].line}"

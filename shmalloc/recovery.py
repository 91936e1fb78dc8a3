"""What recovery did, and what a dump wrote: frozen records. Owns the record types; the reaper itself is the core's."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DeadCpu", "DumpReport", "RecoveryReport"]


@dataclass(frozen=True, slots=True)
class DeadCpu:
    """A process that died attached. doing: what its op word said it was about to do, "nothing" between operations."""

    cpu: int
    pid: int
    name: str
    doing: str
    attached_ns: int


@dataclass(frozen=True, slots=True)
class RecoveryReport:
    """One call of Arena.reap(). Counts are items; times are nanoseconds, found_ns is CLOCK_REALTIME.

    dead: CPUs reaped; freed: items they held; uncached: items that lay ready in buckets, back in their slabs; kept:
    left for adoption by their zone's policy, or in transit; undone: operations finished or undone; requeued: items
    that got their place in a queue again; stopped_ns: how long every CPU stood still; total_ns: with the dtors that
    were due. cpus and zones name the first of each.
    """

    dead: int
    freed: int
    uncached: int
    kept: int
    undone: int
    requeued: int
    found_ns: int
    stopped_ns: int
    total_ns: int
    cpus: tuple[DeadCpu, ...]
    zones: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class DumpReport:
    """One dump. copied_bytes: pages that held something; object_bytes: length of the sparse file."""

    path: str
    copied_bytes: int
    object_bytes: int
    stopped_ns: int

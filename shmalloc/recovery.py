"""What recovery did, and what a dump wrote: frozen records. Owns the record types; the reaper itself is the core's."""

from __future__ import annotations

import os
from dataclasses import dataclass

from shmalloc.errors import OutOfMemory

__all__ = ["DeadCpu", "DumpReport", "RecoveryReport", "no_room_for_dump"]


@dataclass(frozen=True, slots=True)
class DeadCpu:
    """A process that died attached.

    doing: what its op word said it was about to do, "nothing" between operations; on: the zone, queue or lock that the
    op word named, "" when it named none; outcome: what became of that operation; attached_ns: CLOCK_REALTIME.
    """

    cpu: int
    pid: int
    name: str
    doing: str
    on: str
    outcome: str
    attached_ns: int

    @property
    def sentence(self) -> str:
        """What it was doing and what became of it, for people: "a free on frame; undone: the item is free"."""
        return f"{self.doing}{f' on {self.on}' if self.on else ''}; {self.outcome}"


@dataclass(frozen=True, slots=True)
class RecoveryReport:
    """One recovery: what Arena.reap() did, or what the arena's log says that some process did.

    Counts are items; times are nanoseconds. found_ns: CLOCK_REALTIME when the deaths were found: they happened between
    attached_ns of each CPU and then, the kernel does not say when. by_cpu, by_pid: who recovered. dead: CPUs reaped;
    freed: items they held; uncached: items that lay ready in buckets, back in their slabs; kept: left for adoption by
    their zone's policy, or in transit; undone: operations undone; requeued: items that got their place in a queue
    again; stopped_ns: the longest pause, how long every CPU stood still; total_ns: with the dtors that were due. cpus
    and zones (name, items freed) name the first 16 and 32 of each. finished: False when the log lacks the totals: the
    reaper died after it had put the arena right or is still at work, or the line was overwritten; counts are 0 then.
    """

    found_ns: int
    by_cpu: int
    by_pid: int
    dead: int
    freed: int
    uncached: int
    kept: int
    undone: int
    requeued: int
    stopped_ns: int
    total_ns: int
    cpus: tuple[DeadCpu, ...]
    zones: tuple[tuple[str, int], ...]
    finished: bool = True


@dataclass(frozen=True, slots=True)
class DumpReport:
    """One dump. copied_bytes: pages that held something; object_bytes: length of the sparse file."""

    path: str
    copied_bytes: int
    object_bytes: int
    stopped_ns: int


def no_room_for_dump(arena: str, path: str | os.PathLike[str]) -> OutOfMemory:
    """The error of a dump that did not fit where it was to go."""
    place = os.statvfs(os.path.dirname(os.path.abspath(path)))
    free_bytes = place.f_bavail * place.f_frsize
    return OutOfMemory(
        arena=arena,
        free_bytes=free_bytes,
        detail=(
            f"{os.fspath(path)} has no room for a dump of arena {arena!r}: its file system is full ({free_bytes} bytes "
            "free) or limits a file's size (ulimit -f); no file is left, choose another place"
        ),
    )

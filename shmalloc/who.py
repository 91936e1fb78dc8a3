"""Who holds what: every item that is out, by process, zone and allocation site, oldest first.

Owns the records and their grouping. The walk over the arena is the core's (who.h); where and when an item was allocated
is known in traced zones only: arena.zone(..., trace=True), or Arena.create(..., trace=True) for all of them.
"""

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from shmalloc import _native
from shmalloc.errors import InvalidArgument
from shmalloc.stats import CpuStatistics

__all__ = ["By", "HeldItem", "Holding", "HoldingTable"]

By = Literal["process", "zone", "site"]
_BY: dict[str, tuple[str, ...]] = {
    "process": ("state", "cpu", "pid", "process", "alive", "queue"),
    "zone": ("zone", "traced"),
    "site": ("site",),
}
_DUMP = _native.offered()["ARENA_DUMP"]


@dataclass(frozen=True, slots=True)
class Holding:
    """Items that are out and have everything here in common.

    state: "held" by a process, "queued", "in transit" under a ticket, or "attached": in a sockbuf, or behind the head
    of a packet that travels. cpu, pid, process, alive: the holder, or the sender of what is in transit; all None for
    what nobody holds (kept from a process that is gone); alive is None in a dump, which cannot tell. queue: where it
    is queued. type: malloc's. site: "path:line function", innermost first, or what the loader calls a C caller; None:
    not recorded. allocated_by: pid of the process that allocated them. traced: whether their zone records sites.
    bytes: as asked for. oldest_s: age of the oldest in seconds, None: not recorded. With who(by=...) fields that the
    group has not in common are None.
    """

    state: str | None
    cpu: int | None
    pid: int | None
    process: str | None
    alive: bool | None
    queue: str | None
    zone: str | None
    type: str | None
    site: str | None
    allocated_by: int | None
    traced: bool | None
    count: int
    bytes: int
    oldest_s: float | None


@dataclass(frozen=True, slots=True)
class HeldItem:
    """One item that is out. handle: as Item.handle; offset: bytes from the start of the arena's object."""

    handle: int
    offset: int
    holding: Holding


class HoldingTable(_native.Attachment):
    """An attachment that tells who holds its items; base of Arena."""

    __slots__ = ()

    def who(self, *, zone: str | None = None, pid: int | None = None, by: By | None = None) -> list[Holding]:
        """Items that are out, grouped by process, zone, malloc type and allocation site, the oldest first.

        Parameters: zone, pid: only items of this zone, held by this process; by: one row a "process", "zone" or "site".
        Returns: groups by the age of their oldest item, then those without a record of it, by count.
        Raises: ArenaCorrupt: the header cannot be believed.
        Concurrency: stops nobody; on a busy arena what passes by is told as it was seen. Works read-only and on dumps.

        >>> with shmalloc.Arena.create(name) as arena:
        ...     item = arena.zone("frame", size=2048, trace=True).alloc()
        ...     [group] = arena.who()
        ...     group.zone, group.count, group.bytes
        ('frame', 1, 2048)
        """
        if by is not None and by not in _BY:
            raise InvalidArgument(argument="by", value=by, allowed="process, zone or site")
        rows = [found.holding for found in self._holdings(zone, pid, each=False)]
        return sorted(_merged(rows, by), key=_oldest_first)

    def who_items(self, *, zone: str | None = None, pid: int | None = None) -> list[HeldItem]:
        """Every item that is out, the oldest first; parameters, errors and concurrency as who()."""
        return sorted(self._holdings(zone, pid, each=True), key=lambda found: _oldest_first(found.holding))

    def _holdings(self, zone: str | None, pid: int | None, *, each: bool) -> list[HeldItem]:
        dump = bool(_native.arena_statistics(self).flags & _DUMP)
        now_ns = os.fstat(self._fileno()).st_mtime_ns if dump else time.time_ns()
        cpus = {cpu.id: cpu for cpu in _native.cpu_statistics(self)}
        found = []
        for row in _native.who_rows(self, each):
            name, state, cpu, queue, site, allocator, kind, traced, count, size, oldest, offset, handle = row
            holder = None if cpu is None else cpus.get(cpu)
            if (zone is None or name == zone) and (pid is None or (holder is not None and holder.pid == pid)):
                age_s = max(0.0, (now_ns - oldest) / 1e9) if oldest else None
                who = _holder(cpu, holder, dump)
                holding = Holding(state, *who, queue, name, kind, site, allocator, traced, count, size, age_s)
                found.append(HeldItem(handle, offset, holding))
        return found


def _holder(
    cpu: int | None, known: CpuStatistics | None, dump: bool
) -> tuple[int | None, int | None, str | None, bool | None]:
    """CPU, pid, name and life. A free slot holds nothing: an item that says otherwise is damaged, or passes by."""
    if known is None:
        return cpu, None, None, None if cpu is None or dump else False
    return cpu, known.pid, known.name, None if dump else known.alive


def _oldest_first(group: Holding) -> tuple[bool, float, int]:
    return group.oldest_s is None, -(group.oldest_s or 0.0), -group.count


def _merged(rows: Iterable[Holding], by: By | None) -> list[Holding]:
    """Rows with everything in common become one; with `by`, everything but its fields is blanked before."""
    groups: dict[Holding, Holding] = {}
    for row in rows:
        key = replace(row, count=0, bytes=0, oldest_s=None)
        if by is not None:
            key = replace(key, **dict.fromkeys(set(_COMMON) - set(_BY[by])))  # type: ignore[arg-type]
        sum_ = groups.get(key, key)
        ages = [age for age in (sum_.oldest_s, row.oldest_s) if age is not None]
        groups[key] = replace(
            sum_, count=sum_.count + row.count, bytes=sum_.bytes + row.bytes, oldest_s=max(ages, default=None)
        )
    return list(groups.values())


_COMMON = (
    "state",
    "cpu",
    "pid",
    "process",
    "alive",
    "queue",
    "zone",
    "type",
    "site",
    "allocated_by",
    "traced",
)

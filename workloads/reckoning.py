"""What the allocator itself says at the end of a run: statistics, leaks, and `check`.

Owns the reading and the sums. Taken twice: while every worker is still attached and claims to hold nothing, and
again when all are gone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import shmalloc
from shmalloc.stats import CpuStatistics, CpuZoneStatistics, Finding, MbufStatistics, TypeStatistics, ZoneStatistics
from workloads.records import CheckRecord, Tally, Violation


@dataclass(kw_only=True)
class Reckoning:
    """Figures of the arena. leaked_items: items out of the allocator although nobody should hold one."""

    leaked_items: int
    zones: list[ZoneStatistics]
    cpus: list[CpuStatistics]
    cpu_zones: list[CpuZoneStatistics]
    malloc_types: list[TypeStatistics]
    findings: list[Finding]
    mbufs: MbufStatistics | None = None
    check: CheckRecord | None = None

    @classmethod
    def take(cls, arena: shmalloc.Arena) -> Reckoning:
        """With every worker attached: the figures of the run, and a check of the living arena."""
        reckoning = cls(
            leaked_items=_used(arena),
            zones=arena.zone_statistics(internal=True),
            cpus=arena.cpus(),
            cpu_zones=[figures for zone in arena.zones() for figures in zone.cpu_statistics()],
            malloc_types=arena.malloc_types(),
            findings=[],
            mbufs=arena.mbuf_statistics(),
        )
        reckoning._check(arena)
        return reckoning

    def close(self, arena: shmalloc.Arena, all_alive: bool) -> None:
        """With every worker gone: check again. After a death only this count of leaks means anything."""
        used = _used(arena)
        self.leaked_items = max(self.leaked_items, used) if all_alive else used
        self._check(arena)

    def _check(self, arena: shmalloc.Arena) -> None:
        report = arena.check()
        self.findings += [finding for finding in report.findings if finding not in self.findings]
        self.check = CheckRecord(
            ok=not self.findings,
            items=report.items,
            slabs=report.slabs,
            live_cpus=report.live_cpus,
            dead_cpus=report.dead_cpus,
            world_stopped_ns=report.world_stopped_ns,
        )


def lost_in_transit(tallies: Iterable[Tally]) -> list[Violation]:
    """Every item that was put into a queue came out of one: compares the sums over all workers of a run."""
    sent = received = 0
    for tally in tallies:
        sent += tally.sent
        received += tally.received
    if sent == received:
        return []
    return [Violation(kind="lost-in-transit", detail=f"{sent} items were put into queues, {received} came out")]


def _used(arena: shmalloc.Arena) -> int:
    # What malloc handed out is in these figures too: its size classes are zones.
    used = sum(zone.used for zone in arena.zone_statistics(internal=True))
    mbufs = arena.mbuf_statistics()
    # A packet in its cache has taken its cluster out of the cluster zone.
    return used if mbufs is None else used - mbufs.packets.cache

"""One moment of one arena as frozen records, and what happened between two of them.

Owns reading all statistics in one go; must not print. Counters (allocations, failures, sleeps, requests) are
subtracted, levels (used, free, cached) are not.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from shmalloc import _native
from shmalloc.arena import Arena
from shmalloc.stats import (
    ArenaStatistics,
    CpuStatistics,
    CpuZoneStatistics,
    MbufStatistics,
    MbufUse,
    TypeStatistics,
    ZoneStatistics,
)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What an arena said of itself at `time_ns` (wall clock). `span_s` is 0 for totals, else the seconds covered."""

    name: str
    time_ns: int
    span_s: float
    arena: ArenaStatistics
    zones: tuple[ZoneStatistics, ...]
    cpus: tuple[CpuStatistics, ...]
    caches: tuple[CpuZoneStatistics, ...]
    types: tuple[TypeStatistics, ...]
    mbufs: MbufStatistics | None = None

    @property
    def zone_names(self) -> dict[int, str]:
        """Names by zone id."""
        return {zone.id: zone.name for zone in self.zones}


def take(arena: Arena) -> Snapshot:
    """Everything the arena says of itself now.

    No zone is opened for it: that would import its callbacks, which need not exist in this process.
    """
    zones = arena.zone_statistics()
    return Snapshot(
        name=arena.name,
        time_ns=time.time_ns(),
        span_s=0.0,
        arena=arena.statistics(),
        zones=tuple(zones),
        cpus=tuple(arena.cpus()),
        caches=tuple(cache for zone in zones for cache in _native.cpu_zone_statistics(arena, zone.id)),
        types=tuple(arena.malloc_types()),
        mbufs=arena.mbuf_statistics(),
    )


def between(before: Snapshot, after: Snapshot) -> Snapshot:
    """`after`, with its counters as differences from `before`.

    What is new since then, and what bears an old place but started anew (a CPU slot or zone used again), counts from
    zero.
    """
    zones = {(zone.id, zone.name): zone for zone in before.zones}
    lives = {cpu.id: cpu.gen for cpu in before.cpus}
    same = {cpu.id for cpu in after.cpus if lives.get(cpu.id) == cpu.gen}
    caches = {(cache.cpu, cache.zone): cache for cache in before.caches if cache.cpu in same}
    types = {kind.name: kind for kind in before.types}
    return replace(
        after,
        span_s=(after.time_ns - before.time_ns) / 1e9,
        zones=tuple(_zone(zones.get((zone.id, zone.name)), zone) for zone in after.zones),
        caches=tuple(_cache(caches.get((cache.cpu, cache.zone)), cache) for cache in after.caches),
        types=tuple(_type(types.get(kind.name), kind) for kind in after.types),
        mbufs=_mbufs(before.mbufs, after.mbufs),
    )


def _zone(was: ZoneStatistics | None, now: ZoneStatistics) -> ZoneStatistics:
    if was is None or now.allocs < was.allocs:
        return now
    return replace(
        now,
        allocs=now.allocs - was.allocs,
        frees=max(0, now.frees - was.frees),
        fails=max(0, now.fails - was.fails),
        sleeps=max(0, now.sleeps - was.sleeps),
    )


def _cache(was: CpuZoneStatistics | None, now: CpuZoneStatistics) -> CpuZoneStatistics:
    if was is None or now.allocs < was.allocs or now.frees < was.frees:
        return now
    return replace(
        now,
        allocs=now.allocs - was.allocs,
        frees=now.frees - was.frees,
        fails=max(0, now.fails - was.fails),
        sleeps=max(0, now.sleeps - was.sleeps),
    )


def _type(was: TypeStatistics | None, now: TypeStatistics) -> TypeStatistics:
    if was is None or now.requests < was.requests:
        return now
    return replace(now, requests=now.requests - was.requests, fails=max(0, now.fails - was.fails))


def _mbufs(was: MbufStatistics | None, now: MbufStatistics | None) -> MbufStatistics | None:
    if was is None or now is None:
        return now
    return replace(
        now,
        mbufs=_use(was.mbufs, now.mbufs),
        clusters=_use(was.clusters, now.clusters),
        packets=_use(was.packets, now.packets),
        jumbop=_use(was.jumbop, now.jumbop),
        jumbo9=_use(was.jumbo9, now.jumbo9),
        jumbo16=_use(was.jumbo16, now.jumbo16),
        tags=_use(was.tags, now.tags),
        extrefs=_use(was.extrefs, now.extrefs),
        drain_calls=max(0, now.drain_calls - was.drain_calls),
        labels_made=max(0, now.labels_made - was.labels_made),
        labels_ended=max(0, now.labels_ended - was.labels_ended),
        labels_reaped=max(0, now.labels_reaped - was.labels_reaped),
    )


def _use(was: MbufUse, now: MbufUse) -> MbufUse:
    return replace(now, denied=max(0, now.denied - was.denied), delayed=max(0, now.delayed - was.delayed))

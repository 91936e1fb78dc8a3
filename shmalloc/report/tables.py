"""The tables of the project: what vmstat -z, vmstat -m and their companions print, made from statistics records.

Owns which figure goes under which head. Must not open an arena or decide anything. Source: vmstat(8).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from .amounts import age, human_bytes, human_count, kilobytes
from .table import Column, Table

if TYPE_CHECKING:
    from shmalloc.registry import ArenaInfo, GcAction
    from shmalloc.stats import (
        ArenaStatistics,
        CpuStatistics,
        CpuZoneStatistics,
        Finding,
        LockStatistics,
        Tunable,
        TypeStatistics,
        ZoneStatistics,
    )


_KNOWN = ("live", "idle", "crashed", "dump")


def _count(value: int, human: bool) -> str:
    return human_count(value) if human else str(value)


def _bytes(value: int, human: bool) -> str:
    return human_bytes(value) if human else str(value)


def zone_table(zones: Iterable[ZoneStatistics], *, human: bool = False, title: str = "Zones") -> Table:
    """One row a zone, as vmstat -z: LIMIT 0 is no limit, FREE counts slabs and every bucket, REQ counts allocations."""
    return Table(
        title,
        (
            Column("ITEM", number=False, give="cut"),
            Column("SIZE"),
            Column("LIMIT"),
            Column("USED"),
            Column("FREE"),
            Column("REQ"),
            Column("FAIL"),
            Column("SLEEP"),
        ),
        tuple(
            (
                zone.name,
                _bytes(zone.item_bytes, human),
                _count(zone.limit, human),
                _count(zone.used, human),
                _count(zone.free, human),
                _count(zone.allocs, human),
                _count(zone.fails, human),
                _count(zone.sleeps, human),
            )
            for zone in zones
        ),
        empty="no zones",
    )


def cpu_table(
    cpus: Sequence[CpuStatistics],
    caches: Iterable[CpuZoneStatistics],
    zone_names: Mapping[int, str],
    *,
    human: bool = False,
    title: str = "CPUs",
) -> Table:
    """One row for each CPU and zone it used; a CPU that used none has one row of zeros under the zone "-"."""
    mine: dict[int, list[CpuZoneStatistics]] = {cpu.id: [] for cpu in cpus}
    for cache in caches:
        if cache.cpu in mine and (cache.allocs or cache.frees or cache.fails or cache.sleeps or cache.cached):
            mine[cache.cpu].append(cache)
    rows: list[tuple[str, ...]] = []
    for cpu in cpus:
        who = (str(cpu.id), str(cpu.pid), cpu.name or "-", "live" if cpu.alive else "dead")
        rows.extend(
            (
                *who,
                zone_names.get(cache.zone, f"#{cache.zone}"),
                _count(cache.allocs, human),
                _count(cache.frees, human),
                _count(cache.fails, human),
                _count(cache.sleeps, human),
                _count(cache.cached, human),
            )
            for cache in sorted(mine[cpu.id], key=lambda cache: cache.zone)
        )
        if not mine[cpu.id]:
            rows.append((*who, "-", "0", "0", "0", "0", "0"))
    return Table(
        title,
        (
            Column("CPU"),
            Column("PID"),
            Column("NAME", number=False, give="cut"),
            Column("STATE", number=False),
            Column("ZONE", number=False, give="cut"),
            Column("ALLOCS"),
            Column("FREES"),
            Column("FAILS"),
            Column("SLEEPS"),
            Column("CACHED"),
        ),
        tuple(rows),
        empty="no process is attached",
    )


def type_table(types: Iterable[TypeStatistics], *, human: bool = False, title: str = "Types") -> Table:
    """One row a malloc type that was ever used, as vmstat -m; Size(s) are the size classes handed out, or pages."""
    return Table(
        title,
        (
            Column("Type", number=False),
            Column("InUse"),
            Column("MemUse"),
            Column("Requests"),
            Column("Size(s)", number=False, give="wrap"),
        ),
        tuple(
            (
                kind.name,
                _count(kind.in_use, human),
                human_bytes(kind.bytes) if human else kilobytes(kind.bytes),
                _count(kind.requests, human),
                ",".join(_bytes(size, human) if size else "pages" for size in kind.sizes) or "-",
            )
            for kind in types
            if kind.requests or kind.in_use
        ),
        empty="no malloc type was used",
    )


def check_table(findings: Iterable[Finding], *, title: str = "Findings") -> Table:
    """One row a finding, with the invariant it breaks."""
    return Table(
        title,
        (Column("INVARIANT", number=False), Column("DETAIL", number=False, give="wrap")),
        tuple((f"I{finding.invariant}", finding.detail) for finding in findings),
        empty="no findings",
    )


def arena_table(
    arenas: Iterable[ArenaInfo],
    *,
    now_ns: int,
    human: bool = False,
    problems: bool = True,
    title: str = "Arenas",
) -> Table:
    """One row an arena. BYTES is its address range, IN-MEMORY what of it holds memory now.

    REC counts the recoveries that its log tells of, LAST is how long ago the last was. What a broken object cannot tell
    is "-". `problems` adds the column that says what is wrong with those.
    """
    rows = []
    for arena in arenas:
        known = arena.state in _KNOWN
        row = (
            arena.name,
            arena.state,
            _bytes(arena.bytes, human),
            _bytes(arena.allocated, human),
            str(arena.live_cpus) if known else "-",
            str(arena.dead_cpus) if known else "-",
            str(arena.zones) if known else "-",
            str(arena.creator_pid) if known else "-",
            age((now_ns - arena.created_ns) / 1e9),
            str(len(arena.recoveries)) if known else "-",
            age((now_ns - arena.recoveries[-1].found_ns) / 1e9) if arena.recoveries else "-",
        )
        rows.append((*row, arena.problem) if problems else row)
    columns: tuple[Column, ...] = (
        Column("NAME", number=False, give="cut"),
        Column("STATE", number=False),
        Column("BYTES"),
        Column("IN-MEMORY"),
        Column("LIVE"),
        Column("DEAD"),
        Column("ZONES"),
        Column("CREATOR"),
        Column("AGE"),
        Column("REC"),
        Column("LAST"),
    )
    if problems:
        columns = (*columns, Column("PROBLEM", number=False, give="wrap"))
    return Table(title, columns, tuple(rows), empty="no arenas")


def gc_table(actions: Iterable[GcAction], *, title: str = "Arenas") -> Table:
    """One row an object that was looked at."""
    return Table(
        title,
        (
            Column("NAME", number=False, give="cut"),
            Column("ACTION", number=False),
            Column("REASON", number=False, give="wrap"),
        ),
        tuple((action.name, action.action, action.reason) for action in actions),
        empty="no arenas",
    )


def tunable_table(tunables: Iterable[Tunable], *, title: str = "Tunables") -> Table:
    """One row a tunable, with its range and meaning."""
    return Table(
        title,
        (
            Column("NAME", number=False),
            Column("VALUE"),
            Column("DEFAULT"),
            Column("LEAST"),
            Column("MOST"),
            Column("MEANING", number=False, give="wrap"),
        ),
        tuple((t.name, str(t.value), str(t.default), str(t.least), str(t.most), t.text) for t in tunables),
        empty="no tunables",
    )


def arena_facts(name: str, stats: ArenaStatistics, *, now_ns: int) -> tuple[tuple[str, str], ...]:
    """What there is to know of an arena as a whole, as pairs of label and value."""
    return (
        ("arena", name),
        ("age", age((now_ns - stats.created_ns) / 1e9)),
        ("creator", f"pid {stats.creator_pid}, uid {stats.owner_uid}"),
        ("CPUs", f"{stats.live_cpus} live, {stats.dead_cpus} dead, {stats.max_cpus} at most"),
        ("in memory", human_bytes(stats.allocated_bytes)),
        ("data, at most", human_bytes(stats.max_bytes)),
        ("pages", f"{stats.used_pages} used, {stats.free_pages} free, {stats.hole_pages} given back"),
        ("state blocks", f"{stats.meta_pages} pages"),
        ("attached", f"{stats.attaches} times"),
        ("uuid", f"{stats.uuid:016x}"),
    )


def lock_table(locks: Iterable[LockStatistics], *, title: str = "Locks") -> Table:
    """One row a lock: OWNER is the CPU that holds it alone, HOLDS counts readers and permits that are out."""
    return Table(
        title,
        (
            Column("LOCK", number=False, give="cut"),
            Column("KIND", number=False),
            Column("OWNER"),
            Column("HOLDS"),
            Column("WAITERS"),
            Column("TAKEN"),
            Column("CONTENDED"),
            Column("DEATHS"),
            Column("STATE", number=False),
        ),
        tuple(
            (
                lock.name,
                lock.kind,
                "-" if lock.owner is None else str(lock.owner),
                str(lock.holds),
                str(lock.waiters),
                str(lock.acquisitions),
                str(lock.contended),
                str(lock.deaths),
                "owner died" if lock.died else "held" if lock.holds else "free",
            )
            for lock in locks
        ),
        empty="no locks",
    )

"""Plain frozen records of what is going on. Owns the record types; knows nothing of how they are filled.

Field names are those of the C structs in core/stats.h and core/mbuf_stats.h without their prefix, in that order.
"""

from dataclasses import dataclass

__all__ = [
    "ArenaStatistics",
    "CheckReport",
    "CpuStatistics",
    "CpuZoneStatistics",
    "Event",
    "Finding",
    "LockStatistics",
    "MbufStatistics",
    "MbufUse",
    "QueueStatistics",
    "Tunable",
    "TypeStatistics",
    "ZoneStatistics",
]


@dataclass(frozen=True, slots=True)
class ZoneStatistics:
    """One zone, as vmstat -z shows it. Counts are items; efficiency is percent of the slab's bytes in items."""

    name: str
    master: str
    id: int
    flags: int
    item_bytes: int
    stride_bytes: int
    align: int
    items_per_slab: int
    pages_per_slab: int
    efficiency: float
    limit: int
    used: int
    free: int
    keg_free: int
    bucket_free: int
    cpu_free: int
    allocs: int
    frees: int
    fails: int
    sleeps: int
    slabs: int
    pages: int
    bucket_size: int
    bucket_max: int
    wss: int
    imin: int
    imax: int
    reserve: int
    waiters: int
    meta_bytes: int
    init_fails: int = 0


@dataclass(frozen=True, slots=True)
class CpuZoneStatistics:
    """One CPU's share of one zone, for the CPU's life in its slot."""

    cpu: int
    zone: int
    allocs: int
    frees: int
    fails: int
    sleeps: int
    cached: int


@dataclass(frozen=True, slots=True)
class CpuStatistics:
    """One CPU slot in use: the process that claimed it. start is in clock ticks since boot, op the raw op word."""

    id: int
    state: int
    pid: int
    uid: int
    alive: bool
    op: int
    start: int
    gen: int
    visits: int
    attached_ns: int
    name: str


@dataclass(frozen=True, slots=True)
class QueueStatistics:
    """One queue; puts and gets are since its creation."""

    name: str
    length: int
    depth: int
    puts: int
    gets: int
    item_waiters: int
    space_waiters: int


@dataclass(frozen=True, slots=True)
class LockStatistics:
    """One lock of a user. owner: the CPU that holds it alone; holds: readers, or permits that are out, or 1; died: a
    holder died and nobody has said repaired(); deaths: such holders ever, dead_cpu and dead_pid: the last of them;
    permits: of a semaphore; mutex: of a condition, whose acquisitions are notifications."""

    name: str
    kind: str
    owner: int | None
    holds: int
    waiters: int
    acquisitions: int
    contended: int
    died: bool
    deaths: int
    dead_cpu: int | None
    dead_pid: int
    permits: int
    recursive: bool
    mutex: str


@dataclass(frozen=True, slots=True)
class TypeStatistics:
    """One malloc type, as vmstat -m shows it; sizes are the classes used, in bytes, 0 for page runs."""

    name: str
    in_use: int
    bytes: int
    requests: int
    fails: int
    sizes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class MbufUse:
    """One line of netstat -m, in items of item_bytes. total is current + cache; max is the limit, 0 for none; denied
    requests failed, delayed ones slept."""

    item_bytes: int
    current: int
    cache: int
    total: int
    max: int
    denied: int
    delayed: int


@dataclass(frozen=True, slots=True)
class MbufStatistics:
    """The mbufs of one arena with netstat -m's arithmetic.

    mbufs: of both zones of their keg. clusters: in use are those of mbufs in use; one that waits attached to a cached
    packet is in the cache. packets: mbufs with a cluster out of the secondary zone, counted in the two lines above
    already. extrefs: counters of storage that is no cluster. The bytes count no item twice; they leave out free tags
    and storage that is no cluster. drained_ns: CLOCK_MONOTONIC of the last call to a drain routine, 0: never.
    label_mode: 0 off, 1 all, 2 by policy. types: mbufs in use by m_type, MT_NOTMBUF (0) to 15; type_unknown: whose
    m_type is none of these, which is damage.
    """

    mbufs: MbufUse
    clusters: MbufUse
    packets: MbufUse
    jumbop: MbufUse
    jumbo9: MbufUse
    jumbo16: MbufUse
    tags: MbufUse
    extrefs: MbufUse
    bytes_current: int
    bytes_cache: int
    bytes_total: int
    drain_calls: int
    drained_ns: int
    labels_made: int
    labels_ended: int
    labels_reaped: int
    label_mode: int
    maxusers: int
    types: tuple[int, ...]
    type_unknown: int


@dataclass(frozen=True, slots=True)
class ArenaStatistics:
    """One arena: its object, its pages and its tables."""

    object_bytes: int
    allocated_bytes: int
    max_bytes: int
    frontier_pages: int
    free_pages: int
    hole_pages: int
    used_pages: int
    meta_pages: int
    punched_pages: int
    buckets: int
    attaches: int
    events: int
    max_cpus: int
    live_cpus: int
    dead_cpus: int
    zones: int
    queues: int
    types: int
    uuid: int
    created_ns: int
    flags: int
    version: int
    owner_uid: int
    creator_pid: int


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the arena's log; kind is "warning", "recovery", "limit" or "note"."""

    seq: int
    time_ns: int
    kind: str
    cpu: int
    text: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One violation of one numbered invariant of core/layout.h."""

    invariant: int
    title: str
    detail: str


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What check found, and how much it looked at."""

    findings: tuple[Finding, ...]
    live_cpus: int
    dead_cpus: int
    items: int
    slabs: int
    pages: int
    buckets: int
    world_stopped_ns: int

    @property
    def ok(self) -> bool:
        """No finding."""
        return not self.findings


@dataclass(frozen=True, slots=True)
class Tunable:
    """One tunable of an arena, with its range."""

    name: str
    value: int
    default: int
    least: int
    most: int
    text: str

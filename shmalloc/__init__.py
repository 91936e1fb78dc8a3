"""shmalloc: a slab allocator in shared memory whose CPUs are processes.

    import shmalloc
    from shmalloc import M_NOWAIT, M_WAITOK, M_ZERO

    with shmalloc.Arena.open("demo", max_size="1G") as arena:
        frames = arena.zone("frame", size=640 * 480 * 3, max_items=64)
        item = frames.alloc(M_WAITOK)
        memoryview(item)[:5] = b"hello"
        arena.queue("work").put(item)

Owns the public names and the binding of the extension module to its Python face; everything is defined elsewhere.
PYTEST_DONT_REWRITE: processes of a test run under witness have imported this before pytest looks at it.
"""

from shmalloc import _compiled as _compiled
from shmalloc import _native, stats
from shmalloc.arena import Arena
from shmalloc.attachments import bind_arena, last_close
from shmalloc.callbacks import name_callback, resolve
from shmalloc.codes import failure
from shmalloc.errors import *  # noqa: F403
from shmalloc.errors import __all__ as _error_names
from shmalloc.flags import (
    M_NOVM,
    M_NOWAIT,
    M_USE_RESERVE,
    M_WAITOK,
    M_ZERO,
    RECLAIM_DRAIN,
    RECLAIM_DRAIN_CPU,
    RECLAIM_TRIM,
)
from shmalloc.handles import adopt_item, reopen_lock, reopen_mbufs, reopen_queue, reopen_sockbuf, reopen_zone
from shmalloc.item import Item, RefCount
from shmalloc.locks import Condition, Mutex, RWLock, Semaphore, SxLock
from shmalloc.mac import Mac, MacPolicy, MacStatistics, MacTestCounters
from shmalloc.mbuf import Mbuf, Mbufq, Mbufs, MbufView, MTag, Pkthdr, maxusers
from shmalloc.mbuf_flags import *  # noqa: F403
from shmalloc.mbuf_flags import __all__ as _mbuf_names
from shmalloc.queue import Queue
from shmalloc.recovery import DeadCpu, DumpReport, RecoveryReport
from shmalloc.sites import own_code, site_text
from shmalloc.sockbuf import Sockbuf
from shmalloc.stats import (
    ArenaStatistics,
    CheckReport,
    CpuStatistics,
    CpuZoneStatistics,
    Event,
    Finding,
    LockStatistics,
    MbufStatistics,
    MbufUse,
    QueueStatistics,
    Tunable,
    TypeStatistics,
    ZoneStatistics,
)
from shmalloc.supervisor import Recovered, Supervisor, Trouble
from shmalloc.sysctl import Sysctl
from shmalloc.who import HeldItem, Holding
from shmalloc.zone import SecondaryZone, Zone

__version__ = "0.1.0"

__all__ = [
    "M_NOVM",
    "M_NOWAIT",
    "M_USE_RESERVE",
    "M_WAITOK",
    "M_ZERO",
    "RECLAIM_DRAIN",
    "RECLAIM_DRAIN_CPU",
    "RECLAIM_TRIM",
    "Arena",
    "ArenaStatistics",
    "CheckReport",
    "Condition",
    "CpuStatistics",
    "CpuZoneStatistics",
    "DeadCpu",
    "DumpReport",
    "Event",
    "Finding",
    "HeldItem",
    "Holding",
    "Item",
    "LockStatistics",
    "MbufUse",
    "MTag",
    "Mac",
    "MacPolicy",
    "MacStatistics",
    "MacTestCounters",
    "Mbuf",
    "MbufStatistics",
    "MbufView",
    "Mbufq",
    "Mbufs",
    "Mutex",
    "Pkthdr",
    "Queue",
    "QueueStatistics",
    "RecoveryReport",
    "RWLock",
    "Recovered",
    "RefCount",
    "SecondaryZone",
    "Semaphore",
    "Sockbuf",
    "SxLock",
    "Supervisor",
    "Sysctl",
    "Trouble",
    "Tunable",
    "TypeStatistics",
    "Zone",
    "ZoneStatistics",
    "maxusers",
    *_error_names,
    *_mbuf_names,
]

_native.bind(
    failure=failure,
    resolve=resolve,
    name_callback=name_callback,
    last_close=last_close,
    own_code=own_code,
    site_text=site_text,
    adopt=adopt_item,
    reopen_zone=reopen_zone,
    reopen_queue=reopen_queue,
    zone=Zone,
    secondary_zone=SecondaryZone,
    queue=Queue,
    reopen_mbufs=reopen_mbufs,
    mbufs=Mbufs,
    reopen_sockbuf=reopen_sockbuf,
    sockbuf=Sockbuf,
    reopen_lock=reopen_lock,
    mutex=Mutex,
    rwlock=RWLock,
    sx=SxLock,
    semaphore=Semaphore,
    condition=Condition,
    **{record: getattr(stats, record) for record in stats.__all__},
)
bind_arena(Arena)

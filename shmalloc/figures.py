"""The figures of an arena, as methods of ``Arena``. Owns no state; the records are those of stats.py.

Must not change anything: every method works on a read-only attachment and on a dump too, and claims no CPU slot.
"""

from shmalloc import _native
from shmalloc.locks import LockTable
from shmalloc.stats import (
    ArenaStatistics,
    CpuStatistics,
    MbufStatistics,
    QueueStatistics,
    TypeStatistics,
    ZoneStatistics,
)

__all__ = ["ArenaFigures"]


class ArenaFigures(LockTable):
    """What an arena says of itself. Part of ``Arena``."""

    __slots__ = ()

    def statistics(self) -> ArenaStatistics:
        """Figures of the arena."""
        return _native.arena_statistics(self)

    def zone_statistics(self, *, internal: bool = False) -> list[ZoneStatistics]:
        """Figures of every zone, without opening it; internal: with those that malloc made."""
        return _native.zone_statistics(self, internal)

    def queue_statistics(self) -> list[QueueStatistics]:
        """Figures of every queue."""
        return _native.queue_statistics(self)

    def cpus(self) -> list[CpuStatistics]:
        """The CPU slots in use: live processes, and dead ones that nobody has reaped yet."""
        return _native.cpu_statistics(self)

    def malloc_types(self) -> list[TypeStatistics]:
        """Figures of every malloc type."""
        return _native.type_statistics(self)

    def mbuf_statistics(self) -> MbufStatistics | None:
        """Figures of the mbufs, as netstat -m, and by type; None in an arena without mbufs.

        Raises: ArenaCorrupt: the region of the mbufs makes no sense.
        Concurrency: any time. On a busy arena each line is of its own moment; the sums hold within the record.
        """
        return _native.mbuf_statistics(self)

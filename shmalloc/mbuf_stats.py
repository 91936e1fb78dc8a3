"""Figures of mbufs with netstat -m's arithmetic: no byte is counted twice. Owns the records; knows nothing of an arena.

A cached packet (mbuf and cluster in the packet zone) has taken its cluster from the cluster zone, which counts it as
used; people count it as cache. Source: FreeBSD usr.bin/netstat/mbuf.c.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from shmalloc.stats import ZoneStatistics

__all__ = ["MbufPool", "MbufStatistics", "mbuf_statistics"]

MSIZE, MCLBYTES = 256, 2048


@dataclass(frozen=True, slots=True)
class MbufPool:
    """One kind of buffer: in use, cached, both together; limit 0 for none. fails and sleeps are requests."""

    current: int
    cache: int
    total: int
    limit: int
    fails: int
    sleeps: int


@dataclass(frozen=True, slots=True)
class MbufStatistics:
    """What netstat -m prints. mbufs are those with and without a cluster; clusters are in use when a packet uses them;
    packets: mbuf+cluster out of the packet zone; bytes are of everything; denied and delayed: requests that failed or
    slept, for mbufs, clusters and mbuf+cluster; labels are those of MAC."""

    mbufs: MbufPool
    clusters: MbufPool
    packets: MbufPool
    jumbop: MbufPool
    jumbo9: MbufPool
    jumbo16: MbufPool
    tags: MbufPool
    extrefs: MbufPool
    bytes_current: int
    bytes_cache: int
    bytes_total: int
    denied: tuple[int, int, int]
    delayed: tuple[int, int, int]
    jumbo_denied: tuple[int, int, int]
    jumbo_delayed: tuple[int, int, int]
    drain_calls: int
    maxusers: int
    labels_made: int
    labels_ended: int
    labels_reaped: int


def mbuf_statistics(figures: tuple[int, int, int, int, int, Sequence[ZoneStatistics]]) -> MbufStatistics:
    """Do the arithmetic.

    Parameters: figures: maxusers, drain calls, labels made, ended and reaped, and the records of the zones mbuf,
    cluster, packet, jumbo page, 9k, 16k, tag and extref.
    """
    maxusers, drain_calls, made, ended, reaped, zones = figures
    mbuf, cluster, packet, *jumbos, tag, extref = zones
    others = [_pool(zone, zone.used, zone.free) for zone in (*jumbos, tag, extref)]
    # Not below 0: another process may move a packet between our looks at the two zones.
    used = max(cluster.used - packet.free, 0)
    mbufs = _pool(mbuf, mbuf.used + packet.used, mbuf.free + packet.free)
    clusters = _pool(cluster, used, cluster.free + packet.free)
    sizes = [zone.item_bytes for zone in (*jumbos, tag, extref)]
    parts = [(mbufs, MSIZE), (clusters, MCLBYTES), *zip(others, sizes, strict=True)]
    current = sum(pool.current * size for pool, size in parts)
    cache = sum(pool.cache * size for pool, size in parts)
    return MbufStatistics(
        mbufs=mbufs,
        clusters=clusters,
        packets=_pool(packet, packet.used, packet.free),
        jumbop=others[0],
        jumbo9=others[1],
        jumbo16=others[2],
        tags=others[3],
        extrefs=others[4],
        bytes_current=current,
        bytes_cache=cache,
        bytes_total=current + cache,
        denied=(mbuf.fails, cluster.fails, packet.fails),
        delayed=(mbuf.sleeps, cluster.sleeps, packet.sleeps),
        jumbo_denied=(jumbos[0].fails, jumbos[1].fails, jumbos[2].fails),
        jumbo_delayed=(jumbos[0].sleeps, jumbos[1].sleeps, jumbos[2].sleeps),
        drain_calls=drain_calls,
        maxusers=maxusers,
        labels_made=made,
        labels_ended=ended,
        labels_reaped=reaped,
    )


def _pool(zone: ZoneStatistics, current: int, cache: int) -> MbufPool:
    return MbufPool(current, cache, current + cache, zone.limit, zone.fails, zone.sleeps)

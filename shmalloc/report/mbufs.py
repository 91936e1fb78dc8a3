"""Mbufs as netstat -m and systat -mbufs show them, in lines of text.

Owns the words and the scale. Must not open an arena or do arithmetic that the record has done. Source: FreeBSD's
netstat/mbuf.c and systat/mbufs.c.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shmalloc.stats import MbufStatistics, MbufUse

__all__ = ["NO_MBUFS", "bar_lines", "mbuf_facts", "netstat_lines", "type_counts"]

NO_MBUFS = "no mbufs in this arena"
_NAMES = {0: "untyped", 1: "data", 8: "socknames", 14: "control", 15: "oobdata"}
_LABEL = 10  # columns of a type's name, as systat has them
_SCALE = 60  # mbufs that the longest bar shows
_STEP = 5


def netstat_lines(mbufs: MbufStatistics) -> tuple[str, ...]:
    """The lines of netstat -m; after them what only this allocator has: tags, counters of other storage, labels."""
    page = f"{mbufs.jumbop.item_bytes // 1024}k"
    pools = (mbufs.mbufs, mbufs.clusters, mbufs.packets)
    jumbos = (mbufs.jumbop, mbufs.jumbo9, mbufs.jumbo16)
    kilobytes = "/".join(f"{count // 1024}K" for count in (mbufs.bytes_current, mbufs.bytes_cache, mbufs.bytes_total))
    return (
        f"{_slashed(mbufs.mbufs)} mbufs in use (current/cache/total)",
        f"{_slashed(mbufs.clusters)}/{mbufs.clusters.max} mbuf clusters in use (current/cache/total/max)",
        f"{mbufs.packets.current}/{mbufs.packets.cache} mbuf+clusters out of packet secondary zone in use "
        "(current/cache)",
        *(
            f"{_slashed(pool)}/{pool.max} {name} jumbo clusters in use (current/cache/total/max)"
            for pool, name in zip(jumbos, (f"{page} (page size)", "9k", "16k"), strict=True)
        ),
        f"{kilobytes} bytes allocated to network (current/cache/total)",
        f"{_denied(pools)} requests for mbufs denied (mbufs/clusters/mbuf+clusters)",
        f"{_delayed(pools)} requests for mbufs delayed (mbufs/clusters/mbuf+clusters)",
        f"{_delayed(jumbos)} requests for jumbo clusters delayed ({page}/9k/16k)",
        f"{_denied(jumbos)} requests for jumbo clusters denied ({page}/9k/16k)",
        f"{mbufs.drain_calls} calls to protocol drain routines",
        f"{_slashed(mbufs.tags)} mbuf tags in use (current/cache/total)",
        f"{_slashed(mbufs.extrefs)} external storages in use (current/cache/total)",
        f"{mbufs.labels_made}/{mbufs.labels_ended}/{mbufs.labels_reaped} MAC labels (made/ended/reaped)",
    )


def mbuf_facts(mbufs: MbufStatistics) -> tuple[tuple[str, str], ...]:
    """The lines of netstat -m as pairs of label and figures, for a page."""
    cut = [line.split(" ", 1) for line in netstat_lines(mbufs)]
    return tuple((words, figures) for figures, words in cut)


def _slashed(use: MbufUse) -> str:
    return f"{use.current}/{use.cache}/{use.total}"


def _denied(pools: Sequence[MbufUse]) -> str:
    return "/".join(str(pool.denied) for pool in pools)


def _delayed(pools: Sequence[MbufUse]) -> str:
    return "/".join(str(pool.delayed) for pool in pools)


def type_counts(mbufs: MbufStatistics) -> tuple[tuple[str, int], ...]:
    """(name, mbufs in use) of every type that has any, most first, types of equal count by number."""
    counts = [(_NAMES.get(kind, f"{kind:10}"), count) for kind, count in enumerate(mbufs.types)]
    counts.append(("damaged", mbufs.type_unknown))
    return tuple(sorted(((name, count) for name, count in counts if count), key=lambda each: -each[1]))


def bar_lines(mbufs: MbufStatistics, *, width: int = 80) -> tuple[str, ...]:
    """The bars of systat -mbufs: a scale, one bar a type, one X an mbuf, the total last.

    A bar longer than the scale ends there, with its number. `width` columns narrower than 80 have a shorter scale.
    """
    counts = type_counts(mbufs)
    total = sum(count for _, count in counts)
    numbers = len(f" {total}")
    scale = min(_SCALE, max(_STEP, (width - _LABEL - max(numbers, 2)) // _STEP * _STEP))
    marks = "".join(f"/{mark}".ljust(_STEP) for mark in range(0, scale + 1, _STEP))
    bars = (*counts, ("Mbufs", total)) if total else ()
    return (
        (" " * _LABEL + marks).rstrip(),
        *(
            f"{name[:_LABEL]:<{_LABEL}}{'X' * min(count, scale)}{f' {count}' if count > scale else ''}"
            for name, count in bars
        ),
    )

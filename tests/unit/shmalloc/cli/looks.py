"""Looks with fixed figures for the tests of `top`, and the text on a screen that was drawn."""

import re
from html import unescape

from shmalloc.cli.snapshot import Snapshot
from shmalloc.cli.top.lookout import Look, State
from shmalloc.recovery import DeadCpu, RecoveryReport
from shmalloc.stats import Event, MbufStatistics
from unit.shmalloc.report import records
from unit.shmalloc.report.records import mbuf_use

NOON_NS = 1_700_000_000 * 10**9
_CELL = 12.2  # width of one column in Textual's pictures
_TEXT = re.compile(r'<text [^>]*?x="([\d.]+)" [^>]*?clip-path="url\(#[^"]*-line-(\d+)\)"[^>]*>([^<]*)</text>')

MBUFS = records.mbufs(
    {1: 75, 8: 12, 14: 3},
    mbufs=mbuf_use(90, 38, item_bytes=256),
    clusters=mbuf_use(70, 26, max=512, item_bytes=2048, denied=4),
    packets=mbuf_use(60, 20, item_bytes=256, denied=4),
    jumbop=mbuf_use(2, 1, max=256, item_bytes=4096),
    jumbo9=mbuf_use(0, 0, max=128, item_bytes=9216),
    jumbo16=mbuf_use(0, 0, max=64, item_bytes=16384),
    bytes_current=174592,
    bytes_cache=67072,
    bytes_total=241664,
    drain_calls=4,
)


def snapshot(*, span_s: float = 0.0, scale: int = 1, mbufs: MbufStatistics | None = MBUFS) -> Snapshot:
    """An arena with five zones and three CPUs; its counters are `scale` times what they are by themselves."""
    return Snapshot(
        name="demo",
        time_ns=NOON_NS,
        span_s=span_s,
        arena=records.arena(
            live_cpus=2, dead_cpus=1, allocated_bytes=900 << 10, created_ns=NOON_NS - 200 * 10**9, uuid=7
        ),
        zones=(
            records.zone("mbuf", id=0, item_bytes=256, used=30, free=18, allocs=40 * scale),
            records.zone("mbuf_cluster", id=1, item_bytes=2048, limit=512, used=90, free=6, allocs=96 * scale, fails=4),
            records.zone("mbuf_packet", id=2, item_bytes=256, used=60, free=20, allocs=5000 * scale, fails=4),
            records.zone("frame[0]", id=3, item_bytes=640, used=1, free=5, allocs=700 * scale, sleeps=2),
            records.zone("route", id=4, item_bytes=48),
        ),
        cpus=(
            records.cpu(0, pid=4100, name="capture", op=0),
            records.cpu(1, pid=4101, name="parser", op=2),
            records.cpu(2, pid=4102, name="\x1b[2Jwriter", alive=False),
        ),
        caches=(
            records.cache(0, 2, allocs=5000 * scale, frees=100 * scale, cached=12),
            records.cache(0, 3, allocs=700 * scale, frees=699 * scale, cached=5),
            records.cache(1, 2, allocs=0, frees=4800 * scale, cached=8),
        ),
        types=(),
        mbufs=mbufs,
    )


def look(*, state: State = "live", note: str = "", mbufs: MbufStatistics | None = MBUFS, rates: bool = True) -> Look:
    """One look: totals ten times what happened in the last two seconds."""
    died = DeadCpu(2, 4102, "writer", "a free", "frame", "undone: the item is free", NOON_NS)
    report = records.blank(
        RecoveryReport, found_ns=NOON_NS, dead=1, freed=3, zones=(("frame", 3),), cpus=(died,), by_pid=4100
    )
    totals = snapshot(scale=10, mbufs=mbufs)
    return Look(
        state,
        note,
        totals,
        snapshot(span_s=2.0, mbufs=mbufs) if rates else totals,
        (
            Event(1, NOON_NS - 5 * 10**9, "warning", 0, "[zone: mbuf_cluster] kern.ipc.nmbclusters limit reached"),
            Event(2, NOON_NS, "recovery", 0, "dead cpu=2 of no one's grammar"),
        ),
        (report,),
    )


def on_screen(svg: str) -> list[str]:
    """The lines of a screen from its picture, without blanks at their ends."""
    lines: dict[int, str] = {}
    for x, line, text in _TEXT.findall(svg):
        column, drawn = round(float(x) / _CELL), unescape(text).replace("\xa0", " ")
        lines[int(line)] = lines.get(int(line), "").ljust(column)[:column] + drawn
    return [lines.get(number, "").rstrip() for number in range(max(lines, default=-1) + 1)]

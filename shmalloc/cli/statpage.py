"""The page that `shmalloc stat --html` writes: one arena now, and the course of a repeated stat.

Owns what goes on the page; must not read an arena.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import pairwise

from shmalloc.cli.snapshot import Snapshot, between
from shmalloc.report.amounts import human_bytes, human_count
from shmalloc.report.figures import MOST_SERIES, bars, lines
from shmalloc.report.mbufs import mbuf_facts
from shmalloc.report.page import Section, render_page
from shmalloc.report.tables import arena_facts, cpu_table, type_table, zone_table


def stat_page(totals: Sequence[Snapshot]) -> str:
    """The page of the last of these snapshots, with lines over time when there are several."""
    last = totals[-1]
    when = time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(last.time_ns / 1e9))
    sections = [
        Section("The arena", facts=arena_facts(last.name, last.arena, now_ns=last.time_ns)),
        Section(
            "Zones",
            note="Memory of the items in use, and of those that wait in slabs and buckets.",
            figure_svg=bars(
                [
                    (zone.name, (zone.used * zone.stride_bytes, zone.free * zone.stride_bytes))
                    for zone in last.zones
                    if zone.used or zone.free
                ],
                ("used", "free"),
                caption="bytes used and free, by zone",
                say=lambda value: human_bytes(int(value)),
            ),
            table=zone_table(last.zones),
        ),
    ]
    if len(totals) > 1:
        sections.append(_course(totals))
    sections.append(Section("CPUs", table=cpu_table(last.cpus, last.caches, last.zone_names)))
    if last.mbufs is not None:
        sections.append(Section("Mbufs", facts=mbuf_facts(last.mbufs)))
    if any(kind.requests for kind in last.types):
        sections.append(Section("malloc types", table=type_table(last.types)))
    return render_page(f"shmalloc: {last.name}", sections, lead=f"as it was at {when}")


def _course(totals: Sequence[Snapshot]) -> Section:
    """Allocations a second of the busiest zones, between one report and the next."""
    steps = [between(before, after) for before, after in pairwise(totals)]
    work: dict[str, int] = {}
    for step in steps:
        for zone in step.zones:
            work[zone.name] = work.get(zone.name, 0) + zone.allocs
    busiest = sorted((name for name, count in work.items() if count), key=lambda name: -work[name])[:MOST_SERIES]
    heading = "Allocations a second"
    if len(steps) < 2 or not busiest:
        return Section(heading, note="Too few reports, or nothing was allocated while they were taken.")
    seconds = [(step.time_ns - totals[0].time_ns) / 1e9 for step in steps]
    series = {
        name: [next((z.allocs / step.span_s for z in step.zones if z.name == name), 0.0) for step in steps]
        for name in busiest
    }
    return Section(
        heading,
        note=f"The {len(busiest)} busiest zones." if len(work) > len(busiest) else "",
        figure_svg=lines(seconds, series, caption=heading, say=lambda value: human_count(int(value))),
    )

"""`shmalloc stat`: the figures of one arena, once or again and again, as vmstat(8) does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from shmalloc.arena import Arena
from shmalloc.cli import screen
from shmalloc.cli.snapshot import Snapshot, between, take
from shmalloc.cli.statpage import stat_page
from shmalloc.cli.target import ArenaArgument, attach, chosen
from shmalloc.report.mbufs import NO_MBUFS, netstat_lines
from shmalloc.report.page import write_page
from shmalloc.report.table import Table
from shmalloc.report.tables import cpu_table, type_table, zone_table

_MOST_KEPT = 1024  # moments that a page draws; a longer course is thinned out


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the person asked to see, and how."""

    zones: bool
    cpus: bool
    mbufs: bool
    types: bool
    human: bool
    as_json: bool
    repeated: bool


def stat(
    arena: ArenaArgument = None,
    interval: Annotated[
        float | None, typer.Argument(metavar="INTERVAL", help="Seconds between two reports.", show_default=False)
    ] = None,
    count: Annotated[
        int | None,
        typer.Argument(min=1, metavar="COUNT", help="How many reports; without, until Ctrl-C.", show_default=False),
    ] = None,
    zones: Annotated[bool, typer.Option("-z", help="Zones, as vmstat -z; the default.")] = False,
    cpus: Annotated[bool, typer.Option("-t", help="Figures of each CPU in each zone.")] = False,
    mbufs: Annotated[bool, typer.Option("-m", "--mbufs", help="Mbufs, as netstat -m.")] = False,
    types: Annotated[bool, typer.Option("-M", "--malloc", help="malloc types, as vmstat -m.")] = False,
    human: Annotated[bool, typer.Option("--human", "-H", help="Numbers with units: 64K, 1.5G.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, one a line with INTERVAL.")] = False,
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Write one self-contained page too.", show_default=False),
    ] = None,
) -> None:
    """Show the figures of an arena.

    With INTERVAL the first report is of all time and each later one of the interval before it: REQ, FAIL, SLEEP and
    the other counters are differences, USED, FREE and CACHED are levels. Attaches read-only: nobody is disturbed.
    """
    if interval is not None and not interval > 0:
        screen.usage(f"INTERVAL must be more than 0 seconds, not {interval:g}")
    if html is not None and not html.absolute().parent.is_dir():
        screen.usage(f"{html}: there is no directory {html.absolute().parent}")
    wanted = Wanted(zones or not (cpus or mbufs or types), cpus, mbufs, types, human, as_json, interval is not None)
    course: list[Snapshot] = []
    with attach(chosen(arena), read_only=True) as attached:
        try:
            before: Snapshot | None = None
            for now in _moments(attached, interval, count):
                if html is not None:
                    course = [*(course[::2] if len(course) >= _MOST_KEPT else course), now]
                _print(between(before, now) if before else now, wanted)
                before = now
        except KeyboardInterrupt:
            # The ordinary way to end an endless report; what was seen so far still goes on the page.
            pass
    if html is not None and course:
        write_page(html, stat_page(course))
        if not as_json:
            screen.say(f"written: {html}")


def _moments(arena: Arena, interval: float | None, count: int | None) -> Iterator[Snapshot]:
    """One snapshot, or one every `interval` seconds by the clock, however long each takes to print."""
    start, done = time.monotonic(), 0
    while True:
        yield take(arena)
        done += 1
        if interval is None or done == count:
            return
        time.sleep(max(0.0, start + done * interval - time.monotonic()))


def _print(report: Snapshot, wanted: Wanted) -> None:
    if wanted.as_json:
        screen.show_json(_as_json(report, wanted), one_line=wanted.repeated)
        return
    if wanted.repeated:
        clock = time.strftime("%H:%M:%S", time.localtime(report.time_ns / 1e9))
        screen.say(f"# {clock} " + (f"last {report.span_s:.1f} s" if report.span_s else "since the arena was made"))
    tables: list[Table | tuple[str, ...]] = []
    if wanted.zones:
        tables.append(zone_table(report.zones, human=wanted.human))
    if wanted.cpus:
        tables.append(cpu_table(report.cpus, report.caches, report.zone_names, human=wanted.human))
    if wanted.mbufs:
        tables.append(netstat_lines(report.mbufs) if report.mbufs else (NO_MBUFS,))
    if wanted.types:
        tables.append(type_table(report.types, human=wanted.human))
    for place, table in enumerate(tables):
        if place:
            screen.say("")
        if isinstance(table, Table):
            screen.show(table)
        else:
            screen.show_lines(table)
    if wanted.repeated:
        screen.say("")


def _as_json(report: Snapshot, wanted: Wanted) -> dict[str, object]:
    value: dict[str, object] = {
        "arena": report.name,
        "time_ns": report.time_ns,
        "span_s": report.span_s,
        "statistics": screen.plain(report.arena),
    }
    if wanted.zones:
        value["zones"] = [screen.plain(zone) for zone in report.zones]
    if wanted.cpus:
        names = report.zone_names
        value["cpus"] = [screen.plain(cpu) for cpu in report.cpus]
        value["cpu_zones"] = [{**screen.plain(cache), "zone_name": names.get(cache.zone)} for cache in report.caches]
    if wanted.mbufs:
        value["mbufs"] = screen.plain(report.mbufs) if report.mbufs else None
    if wanted.types:
        value["types"] = [screen.plain(kind) for kind in report.types]
    return value

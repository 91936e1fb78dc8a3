"""The panes of `top`, drawn from one look: a line of facts, mbufs, zones, CPUs, the log.

Pure functions from a Look to text and tables; the same for the live screen and for --once. Must not read an arena.
"""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from io import StringIO

from rich.cells import cell_len
from rich.console import Console

from shmalloc import _native
from shmalloc.cli.snapshot import Snapshot
from shmalloc.cli.top.lookout import Look
from shmalloc.report.amounts import age, human_bytes, human_count
from shmalloc.report.mbufs import NO_MBUFS, bar_lines, netstat_lines
from shmalloc.report.recovery import clock, recovery_line
from shmalloc.report.table import Column, Table, printable, to_rich
from shmalloc.stats import ZoneStatistics

__all__ = ["PANES", "ZoneView", "cpu_pane", "facts_line", "log_lines", "mbuf_lines", "plain_lines", "zone_pane"]

PANES = ("Mbufs", "Zones", "CPUs", "Log")
_LOG_LINES = 100

_Row = tuple[ZoneStatistics, float]  # a zone's totals, and its allocations a second
_Key = Callable[[_Row], float | str]
_ZONE_COLUMNS: tuple[tuple[str, _Key], ...] = (
    ("ITEM", lambda row: row[0].name),
    ("SIZE", lambda row: row[0].item_bytes),
    ("LIMIT", lambda row: row[0].limit),
    ("USED", lambda row: row[0].used),
    ("FREE", lambda row: row[0].free),
    ("REQ", lambda row: row[0].allocs),
    ("FAIL", lambda row: row[0].fails),
    ("SLEEP", lambda row: row[0].sleeps),
    ("REQ/S", lambda row: row[1]),
)


@dataclass(frozen=True, slots=True)
class ZoneView:
    """How the zones are shown: the column they are sorted by, largest first unless `upwards`, and the filter."""

    column: int = 3
    upwards: bool = False
    wanted: str = ""

    @property
    def head(self) -> str:
        """The head of the column that decides the order."""
        return _ZONE_COLUMNS[self.column][0]

    def next_column(self) -> ZoneView:
        """Sorted by the next column: numbers largest first, names from A."""
        column = (self.column + 1) % len(_ZONE_COLUMNS)
        return replace(self, column=column, upwards=column == 0)


def facts_line(look: Look) -> str:
    """The arena as a whole, in one line."""
    all_of_it, totals = look.totals.arena, look.totals
    dead = f", {all_of_it.dead_cpus} dead" if all_of_it.dead_cpus else ""
    return printable(
        f"{totals.name}  {all_of_it.live_cpus} CPUs{dead}  {human_bytes(all_of_it.allocated_bytes)} in memory"
        f"  up {age((totals.time_ns - all_of_it.created_ns) / 1e9)}"
        f"  {time.strftime('%H:%M:%S', time.localtime(totals.time_ns / 1e9))}"
    )


def mbuf_lines(look: Look, *, width: int, figures: bool = True) -> tuple[str, ...]:
    """Bars by type, then netstat -m's lines unless there is no room for the `figures`."""
    mbufs = look.totals.mbufs
    if mbufs is None:
        return (NO_MBUFS,)
    bars = bar_lines(mbufs, width=width)
    return (*bars, "", *netstat_lines(mbufs)) if figures else bars


def zone_pane(look: Look, view: ZoneView) -> Table:
    """vmstat -z with a rate, in the order and with the filter of the view; the head sorted by bears an arrow."""
    rates = _rates(look.last)
    wanted = view.wanted.casefold()
    rows: list[_Row] = [(zone, rates.get(zone.id, 0.0)) for zone in look.totals.zones if wanted in zone.name.casefold()]
    rows.sort(key=lambda row: row[0].name)  # what is equal stays where it is from look to look
    key = _ZONE_COLUMNS[view.column][1]
    rows.sort(key=key, reverse=not view.upwards)
    arrow = "▲" if view.upwards else "▼"
    return Table(
        PANES[1],
        tuple(
            Column(f"{head}{arrow}" if place == view.column else head, number=place > 0, give="no" if place else "cut")
            for place, (head, _) in enumerate(_ZONE_COLUMNS)
        ),
        tuple(
            (
                zone.name,
                *(str(count) for count in (zone.item_bytes, zone.limit, zone.used, zone.free)),
                *(str(count) for count in (zone.allocs, zone.fails, zone.sleeps)),
                _rate(rate),
            )
            for zone, rate in rows
        ),
        empty=f"no zone has {view.wanted!r} in its name" if view.wanted else "no zones",
    )


def _rates(span: Snapshot) -> dict[int, float]:
    return {zone.id: zone.allocs / span.span_s for zone in span.zones} if span.span_s > 0 else {}


def _rate(rate: float) -> str:
    return human_count(round(rate))


def cpu_pane(look: Look) -> Table:
    """One row a CPU: what it is doing at this moment, what it did each second, what waits in its buckets."""
    span = look.last.span_s
    names = look.totals.zone_names
    rows = []
    for cpu in look.totals.cpus:
        mine = [cache for cache in look.last.caches if cache.cpu == cpu.id]
        busiest = max(mine, key=lambda cache: cache.allocs + cache.frees, default=None)
        busy = busiest is not None and span > 0 and busiest.allocs + busiest.frees > 0
        rows.append(
            (
                str(cpu.id),
                str(cpu.pid),
                cpu.name or "-",
                "live" if cpu.alive else "dead",
                _rate(sum(cache.allocs for cache in mine) / span) if span > 0 else "-",
                _rate(sum(cache.frees for cache in mine) / span) if span > 0 else "-",
                str(sum(cache.cached for cache in mine)),
                names.get(busiest.zone, f"#{busiest.zone}") if busy and busiest is not None else "-",
                _native.op_name(cpu.op),
            )
        )
    return Table(
        PANES[2],
        (
            Column("CPU"),
            Column("PID"),
            Column("NAME", number=False, give="cut"),
            Column("STATE", number=False),
            Column("ALLOC/S"),
            Column("FREE/S"),
            Column("CACHED"),
            Column("ZONE", number=False, give="cut"),
            Column("DOING", number=False, give="cut"),
        ),
        tuple(rows),
        empty="no process is attached",
    )


def log_lines(look: Look) -> tuple[str, ...]:
    """Recoveries and the other events of the arena's log in words, the newest first."""
    told = [(report.found_ns, recovery_line(report)) for report in look.recoveries]
    told += [
        (event.time_ns, f"{clock(event.time_ns)} CPU {event.cpu} {event.kind}: {event.text}")
        for event in look.events
        if event.kind != "recovery"
    ]
    told.sort(key=lambda line: line[0], reverse=True)
    return tuple(printable(text) for _, text in told[:_LOG_LINES]) or ("nothing has happened yet",)


def plain_lines(look: Look, view: ZoneView, *, width: int) -> tuple[str, ...]:
    """Every pane below its name, in at most `width` columns; no line ends in blanks."""
    parts: Sequence[tuple[str, Sequence[str]]] = (
        (PANES[0], mbuf_lines(look, width=width)),
        (PANES[1], _drawn(zone_pane(look, view), width)),
        (PANES[2], _drawn(cpu_pane(look), width)),
        (PANES[3], log_lines(look)),
    )
    lines = [facts_line(look), *([look.note] if look.note else [])]
    for name, pane in parts:
        lines += ["", name, *pane]
    return tuple(line for long in lines for line in _folded(long, width))


def _drawn(table: Table, width: int) -> list[str]:
    console = Console(file=StringIO(), width=width, color_system=None, force_terminal=False, legacy_windows=False)
    with console.capture() as drawn:
        console.print(to_rich(table))
    return [line.rstrip() for line in drawn.get().splitlines()]


def _folded(text: str, width: int) -> list[str]:
    """The text in lines that fit, broken between words where there are any; later lines are indented."""
    if cell_len(text) <= width:
        return [text]
    return textwrap.wrap(text, max(width, 20), subsequent_indent="    ", replace_whitespace=False) or [""]

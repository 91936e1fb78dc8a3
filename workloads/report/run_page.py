"""The page of one run: throughput over time, zones, CPUs, check, durations.

Owns what is on the page and in which order. The frame of the page and the tables are `shmalloc.report`'s.
"""

from __future__ import annotations

from collections.abc import Sequence

from shmalloc.report.figures import MOST_SERIES, bars, lines
from shmalloc.report.holdings import holding_table
from shmalloc.report.mbufs import mbuf_facts
from shmalloc.report.page import Section, render_page
from shmalloc.report.table import Column, Table
from shmalloc.report.tables import cpu_table, type_table, zone_table
from workloads.histogram import BINS
from workloads.records import RunResult, WorkerRecord
from workloads.report.histogram_figure import histogram_figure
from workloads.report.tables import (
    death_table,
    pause_text,
    recovery_table,
    verdict,
    violation_table,
    watch_table,
    watch_text,
    ways_table,
    worker_table,
)

_POINTS_MOST = 60
_RECOVERY_COUNTS = (
    "recoveries",
    "dead found by their killers",
    "items freed by recovery",
    "operations finished or undone",
    "items given their place in a queue again",
    "half-made frames of the dead",
)


def run_page(result: RunResult) -> str:
    """The whole page as text."""
    title = f"shmalloc: {result.workload} on {result.cpus} processes"
    return render_page(title, run_sections(result), lead=verdict(result), good=result.ok)


def run_sections(result: RunResult) -> list[Section]:
    """Everything about one run, in the order of a page."""
    return [
        facts_section(result),
        *throughput(result),
        Section(
            "Workers",
            note="What each process counted itself. REMOTE: items freed here that another process had sealed.",
            table=worker_table(result),
        ),
        *_violations(result),
        *_watched(result),
        *mbuf_sections(result),
        *_recovery(result),
        _check(result),
        Section(
            "Zones",
            note="As vmstat -z, read while every process was still attached and held nothing: USED is what leaked.",
            table=zone_table(result.zones, title=""),
        ),
        *_types(result),
        Section(
            "CPUs",
            note="The allocator's own counters. A CPU that frees more than it allocates freed for others.",
            figure_svg=_alloc_free_bars(result),
            table=cpu_table(result.cpu_list, result.cpu_zones, {z.id: z.name for z in result.zones}, title=""),
        ),
        *_histograms(result),
    ]


def facts_section(result: RunResult) -> Section:
    """What was run, on what."""
    facts = [
        ("operations", f"{result.ops:,} in {result.seconds:g} s: {result.ops_per_second:,.0f} a second"),
        ("items sealed, verified", f"{result.counts['sealed']:,}, {result.counts['verified']:,}"),
        ("freed by another process", f"{result.counts['remote_frees']:,}"),
    ]
    if result.source is not None:
        facts.append(("capture", f"{result.source}, {result.counts.get('frame bytes', 0) / 1e6:,.1f} MB replayed"))
        kinds = [(key.removeprefix("frames "), n) for key, n in result.counts.items() if key.startswith("frames ")]
        facts.append(("frames", ", ".join(f"{count:,} {kind}" for kind, count in sorted(kinds))))
    facts += [
        ("seed", str(result.seed)),
        ("machine", f"{result.machine.model}, {result.machine.cores} cores, {result.machine.kernel}"),
        ("software", f"shmalloc {result.machine.shmalloc}, Python {result.machine.python}"),
        ("started", result.started),
    ]
    return Section("Run", facts=tuple(facts))


def rates(worker: WorkerRecord, places: Sequence[float]) -> list[float]:
    """Operations a second of one worker in the intervals that end at the given seconds."""
    series = [(0.0, 0), *worker.series]
    done = []
    at = 0
    for place in (0.0, *places):
        while at + 1 < len(series) and series[at + 1][0] <= place:
            at += 1
        seconds, ops = series[at]
        if at + 1 < len(series):
            until, later = series[at + 1]
            done.append(ops + (later - ops) * (place - seconds) / (until - seconds))
        else:
            done.append(float(ops))
    edges = [0.0, *places]
    return [
        (later - earlier) / (end - begin)
        for earlier, later, begin, end in zip(done, done[1:], edges, places, strict=False)
    ]


def throughput(result: RunResult) -> list[Section]:
    """Operations a second over time; nothing for a run that has no ticks."""
    until = min(result.seconds, max((worker.series[-1][0] for worker in result.workers if worker.series), default=0.0))
    if until <= 0:
        return []
    points = max(2, min(_POINTS_MOST, int(until / 0.25)))
    places = [round(until * (n + 1) / points, 3) for n in range(points)]
    drawn = result.workers[:MOST_SERIES]
    series = {_label(worker): [round(rate) for rate in rates(worker, places)] for worker in drawn}
    svg = lines(places, series, caption="operations a second over time", say=lambda value: f"{value:,.0f}")
    cores = sorted({worker.core for worker in result.workers if worker.core is not None})
    note = f"Operations a second of each process, pinned to {len(cores)} cores."
    if len(result.workers) > MOST_SERIES:
        note += f" The first {MOST_SERIES} of {len(result.workers)} are drawn."
    return [Section("Throughput", note=note, figure_svg=svg)]


def _label(worker: WorkerRecord) -> str:
    return f"worker {worker.rank}" + (", replaced" if worker.killed else ", new" if worker.life else "")


def mbuf_sections(result: RunResult) -> list[Section]:
    """What a run with mbufs has besides: its ways compared, the table of netstat -m, and who leaked."""
    sections = []
    if (ways := ways_table(result, title="")).rows:
        sections.append(Section("Ways compared", note="The same work done in two ways, in one run.", table=ways))
    if result.holdings:
        note = "What who() said while the leak was there, oldest first. Then it was freed."
        sections.append(Section("The planted leak", note=note, table=holding_table(result.holdings, None, title="")))
    if result.mbufs is not None:
        note = "As netstat -m, when everybody had freed everything: what is left is cache."
        sections.append(Section("Mbufs", note=note, facts=mbuf_facts(result.mbufs)))
    return sections


def _violations(result: RunResult) -> list[Section]:
    if not result.violations:
        return []
    return [Section("Violations", note="What must not happen, and did.", table=violation_table(result))]


def _watched(result: RunResult) -> list[Section]:
    if result.witness is None:
        return []
    return [
        Section(
            "Witness",
            note=f"{watch_text(result.witness)}. `workloads run --witness --record FILE` keeps stacks and graph.",
            table=watch_table(result.witness),
        )
    ]


def _recovery(result: RunResult) -> list[Section]:
    if not result.kills:
        return []
    facts = [("survivors", text)] if (text := pause_text(result)) else []
    facts += [(key, f"{result.counts[key]:,}") for key in _RECOVERY_COUNTS if key in result.counts]
    facts += [(key, f"{n:,}") for key, n in sorted(result.counts.items()) if key.startswith("died during ")]
    return [
        Section(
            "Recovery",
            note=(
                "Processes killed with SIGKILL in the middle of their work. Survivors go on; what the dead held is "
                "freed, what they had begun is finished or undone, and another process takes their place. "
                "A round of work includes waiting for a core."
            ),
            facts=tuple(facts),
            table=recovery_table(result, title="") if result.recoveries else None,
        ),
        *([Section("Killed", table=death_table(result, title=""))] if result.recoveries else []),
    ]


def _check(result: RunResult) -> Section:
    found = Table(
        "",
        (Column("INVARIANT", number=False), Column("TITLE", number=False), Column("DETAIL", number=False, give="wrap")),
        tuple((f"I{finding.invariant}", finding.title, finding.detail) for finding in result.findings),
        empty="Clean: no invariant is broken.",
    )
    facts: tuple[tuple[str, str], ...] = (("leaked items", str(result.leaked_items)),)
    if result.check is not None:
        facts += (
            ("slabs, items walked", f"{result.check.slabs:,}, {result.check.items:,}"),
            ("CPUs left", f"{result.check.live_cpus} live, {result.check.dead_cpus} dead"),
            ("world stopped for", f"{result.check.world_stopped_ns / 1e3:,.0f} µs"),
        )
    return Section("Check", note="Every invariant, on the living arena and again at the end.", facts=facts, table=found)


def _types(result: RunResult) -> list[Section]:
    if not any(kind.requests for kind in result.malloc_types):
        return []
    return [Section("Malloc types", note="As vmstat -m.", table=type_table(result.malloc_types, title=""))]


def _alloc_free_bars(result: RunResult) -> str:
    rows = []
    for cpu in result.cpu_list:
        mine = [figures for figures in result.cpu_zones if figures.cpu == cpu.id]
        allocs, frees = sum(f.allocs for f in mine), sum(f.frees for f in mine)
        if allocs or frees:
            rows.append((f"CPU {cpu.id} {cpu.name}", (float(allocs), float(frees))))
    return bars(rows, ("allocs", "frees"), caption="allocations and frees by CPU", say=lambda value: f"{value:,.0f}")


def _histograms(result: RunResult) -> list[Section]:
    sections = []
    for place, (name, bins) in enumerate(sorted(result.histograms.items())):
        padded = bins + [0] * (BINS - len(bins))
        svg = histogram_figure(padded, caption=f"histogram: {name}", series=place % MOST_SERIES + 1)
        if svg:
            sections.append(Section(f"Duration: {name}", note="Sampled. Columns are half octaves.", figure_svg=svg))
    return sections

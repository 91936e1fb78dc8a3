"""What a finished run prints: JSON, tables, a page, and the exit status that follows from it."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from shmalloc.cli import screen
from shmalloc.report.holdings import holding_table
from shmalloc.report.mbufs import netstat_lines
from shmalloc.report.page import write_page
from shmalloc.report.tables import cpu_table, type_table, zone_table
from workloads.capture import BadCapture
from workloads.cli.progress import progress_bar
from workloads.records import DemoResult, RunResult, Settings, WatchRecord, encode_result
from workloads.registry import UnknownWorkload
from workloads.report.tables import (
    death_table,
    pause_text,
    recovery_table,
    verdict,
    violation_table,
    watch_text,
    ways_table,
    worker_table,
)
from workloads.runner import run_workload

FOUND = 1
USAGE = 2
WATCHED_MOST = 10
LEAK = "What who() told of the planted leak"


def carry_out(settings: Settings) -> RunResult:
    """Run with a progress bar. Leaves with status 2 when what was asked for does not exist or cannot be read."""
    try:
        with progress_bar(f"{settings.workload}, {settings.cpus} processes", settings.seconds) as progress:
            return run_workload(settings, progress)
    except (UnknownWorkload, BadCapture) as error:
        complain(str(error))
        raise typer.Exit(USAGE) from None


def complain(text: str) -> None:
    """One line on standard error."""
    sys.stderr.write(f"workloads: {screen.printable(text)}\n")
    sys.stderr.flush()


def save_page(text: str, path: Path) -> None:
    """Write a page, with the directory for it. Leaves with status 2 when that is impossible."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_page(path, text)
    except OSError as error:
        complain(f"{path} cannot be written: {error.strerror}")
        raise typer.Exit(USAGE) from None


def show_result(result: RunResult) -> None:
    """The tables of a run and its verdict, for people."""
    show_summary(result)
    _gap()
    screen.show(zone_table(result.zones), title=True)
    if any(kind.requests for kind in result.malloc_types):
        _gap()
        screen.show(type_table(result.malloc_types), title=True)
    _gap()
    screen.show(cpu_table(result.cpu_list, result.cpu_zones, {z.id: z.name for z in result.zones}), title=True)
    _gap()
    screen.show(worker_table(result), title=True)
    _gap()
    show_mbufs(result)
    if result.recoveries:
        screen.show(death_table(result), title=True)
        _gap()
        screen.show(recovery_table(result), title=True)
        _gap()
    if result.kills:
        screen.say(pause_text(result))
    show_check(result)


def show_mbufs(result: RunResult, *, netstat: bool = True) -> None:
    """What a run with mbufs has besides: its ways compared, the table of netstat -m, and who leaked."""
    if (ways := ways_table(result)).rows:
        screen.show(ways, title=True)
        _gap()
    if netstat and result.mbufs is not None:
        screen.show_lines(["Mbufs", *netstat_lines(result.mbufs)])
        _gap()
    if result.holdings:
        screen.show(holding_table(result.holdings, None, title=LEAK), title=True)
        _gap()


def show_json(result: RunResult | DemoResult) -> None:
    """The one JSON object."""
    sys.stdout.write(encode_result(result) + "\n")
    sys.stdout.flush()


def leave(result: RunResult | DemoResult) -> None:
    """Exit status 1 unless the run was clean."""
    if not result.ok:
        raise typer.Exit(FOUND)


def show_summary(result: RunResult) -> None:
    """The first line of a run."""
    screen.say(
        f"{result.workload}: {result.ops:,} operations by {result.cpus} processes in {result.seconds:g} s, "
        f"{result.ops_per_second:,.0f} a second; seed {result.seed}",
        style="bold",
    )


def show_check(result: RunResult) -> None:
    """The last lines of a run: violations, findings, leaks, verdict."""
    if result.witness is not None:
        show_watch(result.witness)
    if result.violations:
        screen.show(violation_table(result), title=True)
    for finding in result.findings:
        screen.say(f"check: I{finding.invariant} {finding.title}: {finding.detail}", style="red")
    if result.check is not None and result.check.ok:
        screen.say(
            f"check: clean; {result.check.slabs} slabs, {result.check.dead_cpus} dead CPUs; "
            f"leaked items: {result.leaked_items}"
        )
    screen.say(verdict(result), style="green" if result.ok else "red")


def show_watch(record: WatchRecord) -> None:
    """What witness saw: its reports in its own words, then the counts."""
    for finding in record.findings[:WATCHED_MOST]:
        screen.show_lines([*finding.text.splitlines(), ""])
    if len(record.findings) > WATCHED_MOST:
        screen.say(f"and {len(record.findings) - WATCHED_MOST} more findings of witness, which --json has")
    screen.say(watch_text(record))


def show_act(result: RunResult, text: str, *, netstat: bool) -> None:
    """A run of which only what is new is shown: an act of the demo."""
    _gap()
    screen.say(text, style="bold")
    show_summary(result)
    _gap()
    show_mbufs(result, netstat=netstat)
    show_check(result)


def _gap() -> None:
    sys.stdout.write("\n")

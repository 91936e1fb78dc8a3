"""`shmalloc check`: verify the numbered invariants of one arena."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from shmalloc.cli import screen
from shmalloc.cli.target import ArenaArgument, attach, chosen
from shmalloc.errors import ArenaCorrupt, ArenaHalfMade, ArenaTruncated, CpuSlotsExhausted
from shmalloc.report.amounts import counted
from shmalloc.report.tables import check_table
from shmalloc.stats import CheckReport

_HEADER = 1  # the invariant that a header which cannot be attached to breaks


def check(
    arena: ArenaArgument = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    read_only: Annotated[
        bool,
        typer.Option(
            "--read-only",
            help="Stop nobody: read while others work. On a busy arena this may find what is only half done.",
        ),
    ] = False,
    most: Annotated[int, typer.Option(min=1, metavar="N", help="Most findings of each invariant.")] = 100,
) -> None:
    """Check every invariant of an arena; exit status 1 when one is broken.

    Attaches as a CPU and stops the others for the moment it reads, so that what it sees is consistent. A header too
    damaged to attach to is a finding of invariant 1.
    """
    name = chosen(arena)
    try:
        report = _report(name, read_only, most)
    except (ArenaCorrupt, ArenaTruncated, ArenaHalfMade) as error:
        _unattachable(name, str(error), as_json)
        raise typer.Exit(1) from None
    try:
        _print(name, report, as_json)
    finally:
        # Also when the reader of the output has left early: the verdict stands.
        if report.findings:
            raise typer.Exit(1)


def _print(name: str, report: CheckReport, as_json: bool) -> None:
    if as_json:
        screen.show_json(
            {
                "arena": name,
                "findings": [
                    {"invariant": found.invariant, "title": found.title, "detail": found.detail}
                    for found in report.findings
                ],
                "dead_cpus": report.dead_cpus,
                "live_cpus": report.live_cpus,
                "items": report.items,
                "slabs": report.slabs,
                "world_stopped_ns": report.world_stopped_ns,
            }
        )
        return
    if report.findings:
        screen.show(check_table(report.findings))
        for number, title in sorted({(found.invariant, found.title) for found in report.findings}):
            screen.say(f"I{number}: {title}", style="dim")
    _summary(name, report)


def _report(name: str, read_only: bool, most: int) -> CheckReport:
    if not read_only:
        try:
            with attach(name, read_only=False) as arena:
                report = arena.check(most)
                # On a live arena the checker is a CPU too, and not one that anybody asked about.
                return report if arena.read_only else replace(report, live_cpus=report.live_cpus - 1)
        except CpuSlotsExhausted as error:
            screen.complain(f"{error}; reading without stopping anybody instead")
    with attach(name, read_only=True) as arena:
        return arena.check(most)


def _unattachable(name: str, problem: str, as_json: bool) -> None:
    if as_json:
        screen.show_json(
            {
                "arena": name,
                "findings": [{"invariant": _HEADER, "title": "header", "detail": problem}],
                "dead_cpus": 0,
                "live_cpus": 0,
                "items": 0,
                "slabs": 0,
                "world_stopped_ns": 0,
            }
        )
    else:
        screen.say(f"{name}: I{_HEADER}: {problem}", style="red")


def _summary(name: str, report: CheckReport) -> None:
    verdict = counted(len(report.findings), "finding") if report.findings else "clean"
    stopped = f", stopped for {report.world_stopped_ns / 1e6:.3f} ms" if report.world_stopped_ns else ""
    screen.say(
        f"{name}: {verdict}; {counted(report.items, 'item')}, {counted(report.slabs, 'slab')}, "
        f"{report.live_cpus} live and {counted(report.dead_cpus, 'dead CPU')}{stopped}",
        style="red" if report.findings else "green",
    )

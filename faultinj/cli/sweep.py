"""`faultinj sweep`: every scenario with every fault, and a table of what came of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, cast

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from faultinj.cli.here import look_here
from faultinj.cli.wrong import complain, usage
from faultinj.declared import all_points
from faultinj.plan import CRASH_POINT, UnknownPoint, matching
from faultinj.record import Kind, Outcome, SweepResult
from faultinj.sweep import load, select
from faultinj.sweep.driver import KINDS, Sweep
from faultinj.sweep.driver import Progress as Step
from faultinj.sweep.registry import KINDS as ALL_KINDS
from faultinj.sweep.registry import Scenario, ScenarioError
from shmalloc.cli.screen import printable, say, show
from shmalloc.report.amounts import counted
from shmalloc.report.table import Column, Table

__all__ = ["failed", "kinds_of", "sweep"]

_INTERRUPTED = 130
_SHOWN = 20  # findings that the screen shows; the JSON has all


def sweep(
    scenarios: Annotated[
        list[str] | None,
        typer.Argument(metavar="SCENARIO", help="Names, globs or groups; all without.", show_default=False),
    ] = None,
    points: Annotated[str, typer.Option("--points", metavar="GLOB", help="Only points of these names fail.")] = "*",
    kinds: Annotated[str, typer.Option("--kinds", metavar="LIST", help="Which faults, with commas.")] = ",".join(KINDS),
    pairs: Annotated[
        int,
        typer.Option("--pairs", min=0, metavar="N", help="Two faults, too: at most N pairs of each kind and scenario."),
    ] = 0,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, metavar="N", help="Victims at one time.")] = 2,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Of the scenarios' own randomness.")] = 0,
    most: Annotated[
        int, typer.Option("--most", min=0, metavar="N", help="Stop each cell at n = N: a sample, no proof.")
    ] = 0,
    modules: Annotated[
        list[str] | None,
        typer.Option("--scenarios", metavar="MODULE", help="A module with more scenarios.", show_default=False),
    ] = None,
    oracles: Annotated[
        str | None, typer.Option("--oracles", metavar="LIST", help="Further oracles to ask, with commas; all without.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the result as JSON; - is stdout.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="JSON with every trial, not only those with findings.")
    ] = False,
    listing: Annotated[bool, typer.Option("--list", help="List the scenarios and leave.")] = False,
) -> None:
    """Fail the n-th point that each scenario reaches, for n = 1, 2, ... until nothing is left that could fail.

    transient: only the n-th; persistent: the n-th and all after it; kill: the process dies at its n-th crash point;
    pair and
    kill-pair: a second fault after the first, or in the recovery. After each run every item, page, lock and counter is
    looked at, and the scenario must run without faults. Exit status 1: findings, a scenario in which nothing was
    injected, or a point that was never reached; 130: Ctrl-C ended it, and what was tried by then is told.
    """
    look_here(modules or ())
    try:
        load(modules or ())
        chosen = select(scenarios or ())
    except ScenarioError as error:
        usage(str(error))
    known = (*(point.name for point in all_points()), CRASH_POINT)
    if not matching(points, known):
        usage(str(UnknownPoint(points, known)))
    if listing:
        show(_listing(chosen))
        return
    run = Sweep(
        chosen,
        kinds=kinds_of(kinds),
        points=points,
        pairs=pairs,
        jobs=jobs,
        seed=seed,
        most=most,
        keep_all=everything,
        oracles=[word for word in oracles.split(",") if word] if oracles is not None else None,
    )
    cut = False
    try:
        result = _watched(run, quiet=json_file is not None and str(json_file) == "-")
    except KeyboardInterrupt:
        result, cut = run.so_far(), True
    if json_file is not None:
        _write(json_file, msgspec.json.format(msgspec.json.encode(result)))
    if json_file is None or str(json_file) != "-":
        _report(result)
    if cut:
        complain(f"interrupted after {result.trials} trials: what they came to is told, the rest was not tried")
        raise typer.Exit(_INTERRUPTED)
    whole = not scenarios and points == "*" and not most
    if failed(result, whole=whole):
        raise typer.Exit(1)


def kinds_of(text: str) -> tuple[Kind, ...]:
    """The kinds in a list with commas; a word that is none ends the program with status 2."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    for word in words:
        if word not in ALL_KINDS:
            usage(f"there is no kind of fault {word!r}: {', '.join(ALL_KINDS)}")
    return cast(tuple[Kind, ...], tuple(words))


def failed(result: SweepResult, *, whole: bool) -> bool:
    """Whether a sweep failed. whole: it had all scenarios and points, so that every point must have been reached."""
    return bool(result.findings or result.empty or (whole and result.never_reached))


def _watched(run: Sweep, *, quiet: bool) -> SweepResult:
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description:<34.34}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total} trials"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[found]} findings"),
    )
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal) as bar:
        task: TaskID = bar.add_task("counting points", total=None, found=0)

        def told(step: Step, outcome: Outcome) -> None:
            bar.update(task, description=step.cell, completed=step.trials, total=step.expected, found=step.findings)

        run.told = told
        return run.run()


def _write(path: Path, raw: bytes) -> None:
    if str(path) == "-":
        sys.stdout.buffer.write(raw + b"\n")
        sys.stdout.flush()
    else:
        path.write_bytes(raw + b"\n")


def _listing(chosen: tuple[Scenario, ...]) -> Table:
    columns = (
        Column("scenario", number=False),
        Column("group", number=False),
        Column("what", number=False, give="wrap"),
    )
    return Table("scenarios", columns, tuple((one.name, one.group, one.text) for one in chosen))


def _report(result: SweepResult) -> None:
    heads = ("reached", "injected", "success", "error", "killed", "findings")
    rows = tuple(
        (row.point, *map(str, (row.reached, row.injected, row.success, row.clean_error, row.killed, row.findings)))
        for row in result.points
    )
    show(Table("points", (Column("point", number=False), *(Column(head) for head in heads)), rows))
    say("")
    for finding in result.findings[:_SHOWN]:
        say(printable(f"{finding.kind}: {finding.detail}"))
        for line in finding.stack[-3:]:
            say(printable(f"    {line}"))
    if len(result.findings) > _SHOWN:
        say(f"... and {len(result.findings) - _SHOWN} more: --json FILE has them all")
    for name in result.empty:
        complain(f"nothing was ever injected in {name}: it proves nothing")
    if result.never_reached:
        complain(f"never reached: {', '.join(result.never_reached)}")
    open_cells = [f"{cell.scenario}/{cell.kind}" for cell in result.cells if not cell.exhausted]
    if open_cells:
        complain(f"not exhausted: {', '.join(open_cells[:8])}{' and more' if len(open_cells) > 8 else ''}")
    rate = result.trials / result.seconds if result.seconds else 0.0
    scenarios = len({cell.scenario for cell in result.cells})
    say(
        f"{counted(scenarios, 'scenario')}, {counted(len(result.points), 'point')}, "
        f"{counted(result.trials, 'trial')} ({rate:.0f} a second), {result.injected} with a fault, "
        f"{counted(len(result.findings), 'finding')}, {counted(len(result.never_reached), 'point')} never reached, "
        f"seed {result.seed}"
    )
    if result.findings:
        say(f"one of them again, with all there is to know: faultinj replay '{result.outcomes[0].trial.id}'")

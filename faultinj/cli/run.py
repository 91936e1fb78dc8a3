"""`faultinj run`: an unmodified Python program and its children under faults; with --sweep, under each one."""

from __future__ import annotations

import errno
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from faultinj.catalogue import points as core_points
from faultinj.cli.screen import complain, usage, write_json
from faultinj.cli.swept import Wanted, swept
from faultinj.record import Injection
from faultinj.run.command import CommandError, command_of
from faultinj.run.places import PLACES, SystemPoint
from faultinj.run.tree import Told
from faultinj.run.whole import Run, run_under
from shmalloc.cli.screen import printable, show
from shmalloc.report.table import Column, Table, to_text

__all__ = ["run"]

_SHOWN = 20  # injections that the screen shows; the JSON has all


def run(
    context: typer.Context,
    faults: Annotated[
        list[str] | None,
        typer.Option("-e", metavar="PLAN", help="Faults: os.open=nth(3):return(ENOSPC).", show_default=False),
    ] = None,
    module: Annotated[
        str | None, typer.Option("-m", metavar="MODULE", help="Run a module, as python -m does.", show_default=False)
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", metavar="N", help="What random numbers follow from.", show_default=False)
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write what happened as JSON; - is stdout.")
    ] = None,
    listing: Annotated[bool, typer.Option("--list", help="List the points and leave.")] = False,
    must_inject: Annotated[
        bool, typer.Option("--must-inject", help="Status 1 when nothing was injected and the program's is 0.")
    ] = False,
    sweep: Annotated[bool, typer.Option("--sweep", help="Run it with every fault, one after the other.")] = False,
    trial: Annotated[
        str | None, typer.Option("--trial", metavar="KIND/N", help="One run of a sweep again.", show_default=False)
    ] = None,
    points: Annotated[
        list[str] | None,
        typer.Option(
            "--points",
            metavar="GLOB",
            help="Sweep these, or GLOB=nth:ACTION; * is all but memory.alloc.",
            show_default="*",
        ),
    ] = None,
    kinds: Annotated[
        str, typer.Option("--kinds", metavar="LIST", help="Sweep so: transient, persistent, kill.")
    ] = "transient,persistent",
    ok: Annotated[
        str, typer.Option("--ok", metavar="STATUS,...", help="Statuses that are fine besides 0.", show_default=False)
    ] = "",
    limit: Annotated[
        int, typer.Option("--limit", min=0, metavar="N", help="Stop each kind at n = N: a sample, no proof.")
    ] = 0,
    timeout: Annotated[float, typer.Option("--timeout", min=0.1, metavar="S", help="Of each run of a sweep.")] = 60.0,
    watch: Annotated[
        list[Path] | None,
        typer.Option("--watch", metavar="DIR", help="Nothing may be left here by a fault.", show_default=False),
    ] = None,
    scratch: Annotated[
        Path | None,
        typer.Option(
            "--scratch", metavar="DIR", help="Each run of a sweep is in a fresh copy of DIR.", show_default=False
        ),
    ] = None,
    check: Annotated[
        str | None,
        typer.Option("--check", metavar="COMMAND", help="It must succeed after each run, there.", show_default=False),
    ] = None,
) -> None:
    """Run `-- python app.py ARGS...`, `-- app.py ARGS...` or `-m MODULE ARGS...` under faults, in all its Python
    processes.

    The points, how often each was reached and injected, and where, go to stderr at the end. The status is the
    program's. With --sweep it runs with n = 1, 2, ... until a run injects nothing: status 1 when something was found,
    or when nothing was ever injected.
    """
    if listing:
        show(_listing())
        return
    try:
        command = command_of(list(context.args), module)
    except CommandError as error:
        usage(str(error))
    if sweep or trial is not None:
        if faults:
            usage("-e says which faults happen, and a sweep tries all: one of both")
        wanted = Wanted(
            command,
            trial,
            tuple(points or ("*",)),
            kinds,
            ok,
            limit,
            timeout,
            tuple(watch or ()),
            scratch,
            check,
            json_file,
        )
        raise typer.Exit(swept(wanted))
    done = run_under(command, "; ".join(faults or ()), seed=seed)
    _report(done)
    if json_file is not None:
        write_json(json_file, msgspec.to_builtins(done) | {"faults": done.faults})
    raise typer.Exit(done.status or int(must_inject and not done.faults))


def _listing() -> Table:
    rows = [
        (
            place.name,
            SystemPoint(place).record.error,
            place.text,
            " ".join(errno.errorcode[n] for n in place.others) or "-",
        )
        for place in PLACES
    ]
    rows += [(point.name, point.error, point.text, "-") for point in core_points()]
    columns = (
        Column("POINT", number=False),
        Column("ERROR", number=False),
        Column("A FAULT MEANS", False, "wrap"),
        Column("OTHERS THAT MAKE SENSE", False, "wrap"),
    )
    return Table("points", columns, tuple(rows))


def _report(done: Run) -> None:
    columns = (Column("point", number=False), Column("reached"), Column("injected"))
    rows = tuple((name, str(times), str(done.injected.get(name, 0))) for name, times in done.reached.items())
    lines = [
        f"faultinj: {line}" for line in to_text(Table("points", columns, rows, "no point was reached")).splitlines()
    ]
    places = _places(done)
    lines += [f"faultinj: injected {line}" for line in places[:_SHOWN]]
    if len(places) > _SHOWN:
        lines.append(f"faultinj: ... and {len(places) - _SHOWN} more: --json FILE has them all")
    sys.stderr.writelines(f"{printable(line)}\n" for line in lines)
    if not done.reached:
        complain("no point was reached: is it a Python program, run by an interpreter that can import faultinj?")
    for name in done.unmet:
        complain(
            f"{name}: no point was called so, or the program did not come by; --list shows those that are always there"
        )
    if not done.faults:
        complain("a run that injected nothing proves nothing")


def _places(done: Run) -> list[str]:
    """A line for each injection: those of Python's points know the line of the program that they came up at."""
    told: dict[tuple[int, str], list[Told]] = {}
    for one in done.errors:
        told.setdefault((one.pid, one.point), []).append(one)
    return [_place(one, told.get((one.pid, one.point))) for one in done.injections]


def _place(one: Injection, told: list[Told] | None) -> str:
    head = f"{one.point} #{one.sequence} {one.action} in process {one.pid}"
    if told:
        line = told.pop(0)
        return f"{head} at {line.stack[0] if line.stack else 'the interpreter itself'}: {line.error}"
    return f"{head}{f', {one.bytes} bytes' if one.bytes else ''}{f', {one.subject}' if one.subject else ''}"

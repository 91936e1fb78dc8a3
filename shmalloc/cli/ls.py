"""`shmalloc ls`: every arena of this machine, or those named, or dumps of arenas in files."""

from __future__ import annotations

import sys
import time
from typing import Annotated

import typer

from shmalloc.cli import screen
from shmalloc.cli.target import examined
from shmalloc.cli.watch import show_recoveries
from shmalloc.registry import ArenaInfo, list_arenas
from shmalloc.report.tables import arena_table


def ls(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ARENA", help="Names, or paths of dumps (with a / in them); without, all.", show_default=False
        ),
    ] = None,
    human: Annotated[bool, typer.Option("--human", "-H", help="Sizes with units: 64K, 1.5G.")] = False,
    recoveries: Annotated[
        bool, typer.Option("--recoveries", "-r", help="Show every death and recovery that the arenas' logs tell of.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array of records.")] = False,
) -> None:
    """List the arenas of this machine, with what is wrong with the broken ones.

    STATE is live (a process is attached), idle (none is, all left in order), crashed (only dead CPUs are left),
    half-made, corrupt, other-version, foreign, unreadable, or dump, for a file. REC is how many recoveries the arena's
    log tells of, LAST how long ago the last of them was.
    """
    arenas = _wanted(names)
    if as_json:
        screen.show_json([screen.plain(arena) for arena in arenas])
        return
    if recoveries:
        show_recoveries([(arena.name, report) for arena in arenas for report in arena.recoveries])
        return
    # A terminal gets the problems below the table, where they have room; a pipe gets them as the last column.
    below = sys.stdout.isatty()
    screen.show(arena_table(arenas, now_ns=time.time_ns(), human=human, problems=not below))
    if below:
        for arena in arenas:
            if arena.problem:
                screen.say(f"{arena.name}: {arena.problem}", style="yellow")


def _wanted(names: list[str] | None) -> list[ArenaInfo]:
    there = list_arenas() if not names or any("/" not in name for name in names) else []
    if not names:
        return there
    by_name = {arena.name: arena for arena in there}
    for name in names:
        if "/" not in name and name not in by_name:
            screen.usage(f"there is no arena {name!r}: see `shmalloc ls`; a file needs a / in its name")
    return [examined(name) if "/" in name else by_name[name] for name in names]

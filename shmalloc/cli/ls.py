"""`shmalloc ls`: every arena of this machine."""

from __future__ import annotations

import sys
import time
from typing import Annotated

import typer

from shmalloc.cli import screen
from shmalloc.registry import list_arenas
from shmalloc.report.tables import arena_table


def ls(
    human: Annotated[bool, typer.Option("--human", "-H", help="Sizes with units: 64K, 1.5G.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array of records.")] = False,
) -> None:
    """List the arenas of this machine, with what is wrong with the broken ones.

    STATE is live (a process is attached), idle (none is, all left in order), crashed (only dead CPUs are left),
    half-made, corrupt, other-version, foreign or unreadable.
    """
    arenas = list_arenas()
    if as_json:
        screen.show_json([screen.plain(arena) for arena in arenas])
        return
    # A terminal gets the problems below the table, where they have room; a pipe gets them as the last column.
    below = sys.stdout.isatty()
    screen.show(arena_table(arenas, now_ns=time.time_ns(), human=human, problems=not below))
    if below:
        for arena in arenas:
            if arena.problem:
                screen.say(f"{arena.name}: {arena.problem}", style="yellow")

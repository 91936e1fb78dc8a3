"""`shmalloc gc`: remove what crashed runs left behind."""

from __future__ import annotations

from typing import Annotated

import typer

from shmalloc import registry
from shmalloc.cli import screen
from shmalloc.report.tables import gc_table


def gc(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="ARENA", help="Look at these arenas only; at all without.", show_default=False),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Remove nothing, say what would be done.")] = False,
    half_made_after_s: Annotated[
        float,
        typer.Option("--age", min=0, metavar="SECONDS", help="How long a half-made or corrupt object is left alone."),
    ] = 60.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array of records.")] = False,
) -> None:
    """Remove the arenas that no live process is attached to.

    Never removed: an arena with a live CPU, an object on which a process holds a lock, and one that is no arena. An
    arena of another layout version goes only when it is named. Exit status 1 when something could not be removed.
    """
    actions = registry.gc(dry_run, names=names or None, half_made_after_s=half_made_after_s)
    if as_json:
        screen.show_json([screen.plain(action) for action in actions])
    else:
        screen.show(gc_table(actions))
    missing = sorted(set(names or ()) - {action.name for action in actions})
    for name in missing:
        screen.complain(f"there is no arena {name!r}: `shmalloc ls` lists those there are")
    if missing:
        raise typer.Exit(2)
    if any(action.action == "failed" for action in actions):
        raise typer.Exit(1)

"""`shmalloc gc`: remove what crashed runs left behind, or stay and recover whoever dies."""

from __future__ import annotations

from typing import Annotated

import typer

from shmalloc import registry
from shmalloc.cli import screen
from shmalloc.cli.watch import show_recoveries
from shmalloc.cli.watch import watch as supervise
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
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Stay, and recover whoever dies at once; remove nothing.")
    ] = False,
    once: Annotated[bool, typer.Option("--once", help="With --watch: look once, then end.")] = False,
    seconds: Annotated[
        float | None,
        typer.Option("--for", min=0, metavar="SECONDS", help="With --watch: end then.", show_default=False),
    ] = None,
    every_s: Annotated[
        float, typer.Option("--every", min=0.001, metavar="SECONDS", help="With --watch: between looks for new ones.")
    ] = 0.5,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON array of records; with --watch one object a line.")
    ] = False,
) -> None:
    """Remove the arenas that no live process is attached to, and recover the dead in those that live on.

    Never removed: an arena with a live CPU, an object on which a process holds a lock, and one that is no arena. An
    arena of another layout version goes only when it is named. Exit status 1 when something could not be removed.

    With --watch nothing is removed: it waits, and the moment a process dies attached what it held goes back to its
    zones. One line is printed for each recovery, by whomever. SIGINT and SIGTERM end it in order.
    """
    if watch and dry_run:
        screen.usage("--watch and --dry-run exclude each other: a watch that recovers nothing is `shmalloc ls`")
    if (once or seconds is not None) and not watch:
        screen.usage("--once and --for go with --watch")
    if once and seconds is not None:
        screen.usage("--once and --for exclude each other")
    if watch:
        supervise(names or [], once=once, seconds=seconds, every_s=every_s, as_json=as_json)
        return
    actions = registry.gc(dry_run, names=names or None, half_made_after_s=half_made_after_s)
    if as_json:
        screen.show_json([screen.plain(action) for action in actions])
    else:
        screen.show(gc_table(actions))
        recovered = [(action.name, action.recovery) for action in actions if action.recovery is not None]
        if recovered:
            screen.say("")
            show_recoveries(recovered)
    missing = sorted(set(names or ()) - {action.name for action in actions})
    for name in missing:
        screen.complain(f"there is no arena {name!r}: `shmalloc ls` lists those there are")
    if missing:
        raise typer.Exit(2)
    if any(action.action == "failed" for action in actions):
        raise typer.Exit(1)

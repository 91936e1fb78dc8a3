"""`shmalloc locks`: the users' locks of one arena, who holds them and who died holding them."""

from __future__ import annotations

from typing import Annotated

import typer

from shmalloc.cli import screen
from shmalloc.cli.target import ArenaArgument, attach, chosen
from shmalloc.report.tables import lock_table


def locks(
    arena: ArenaArgument = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array of records.")] = False,
) -> None:
    """Show the locks of an arena; exit status 1 when a holder died and nobody has repaired since.

    Looks only: nobody is stopped, and a lock that a dead process holds is shown as held until somebody wants it.
    """
    with attach(chosen(arena), read_only=True) as there:
        figures = there.lock_statistics()
    try:
        if as_json:
            screen.show_json([screen.plain(lock) for lock in figures])
        else:
            screen.show(lock_table(figures))
    finally:
        # Also when the reader of the output has left early: the verdict stands.
        if any(lock.died for lock in figures):
            raise typer.Exit(1)

"""`shmalloc top`: an arena at work, on a live screen or as plain text. Reads arguments; what is seen is in lookout.py,
how it is drawn in panes.py, the screen and its keys in live.py."""

from __future__ import annotations

import shutil
import sys
import time
from typing import Annotated

import typer

from shmalloc.cli import screen
from shmalloc.cli.target import ArenaArgument, chosen
from shmalloc.cli.top.lookout import Lookout
from shmalloc.cli.top.panes import ZoneView, plain_lines

__all__ = ["top"]


def top(
    arena: ArenaArgument = None,
    interval_s: Annotated[
        float, typer.Option("--interval", "-i", min=0.05, metavar="SECONDS", help="Between two looks.")
    ] = 1.0,
    once: Annotated[
        bool, typer.Option("--once", help="Look twice, one interval apart, print every pane as plain text, and end.")
    ] = False,
) -> None:
    """Watch an arena at work: mbufs by type, zones, CPUs, the log.

    Attaches read-only: it claims no CPU slot and disturbs nobody. When the arena ends it says so, shows the last
    figures, and goes on with the next arena of that name. The keys stand in the last line of the screen.
    """
    if not once and not sys.stdout.isatty():
        screen.usage("top needs a terminal to draw on; `shmalloc top --once` prints plain text")
    with Lookout(chosen(arena)) as lookout:
        first = lookout.first()
        if once:
            time.sleep(interval_s)
            width = shutil.get_terminal_size((80, 24)).columns
            screen.show_lines(plain_lines(lookout.look(), ZoneView(), width=width))
            return
        # Only here: the screen's library costs more to import than all the rest, and --once needs no terminal.
        from shmalloc.cli.top.live import Top

        Top(lookout.look, first, interval_s=interval_s).run()

"""The command line `witness`: one file a command. Reads arguments, calls the analysis, prints; decides nothing else.

Exit status: 0 fine, 1 something new was found, 2 the command was wrong (usage, a file that cannot be read).
A command is a function in a file of its own, and enters the program by its place in `COMMANDS`.
"""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Callable
from typing import Annotated, NoReturn

import typer

from shmalloc.cli.program import SETTINGS, ProgramCommand
from shmalloc.cli.screen import say
from shmalloc.errors import ShmallocError
from witness.analysis.suppressions import SuppressionsUnreadable
from witness.cli.diff import diff
from witness.cli.graph import graph
from witness.cli.order import order
from witness.cli.report import report
from witness.cli.run import run
from witness.cli.screen import complain
from witness.cli.selftest import selftest
from witness.cli.stat import stat
from witness.cli.why import why
from witness.record import GraphUnreadable

__all__ = ["COMMANDS", "app", "main"]

FOUND = 1
USAGE = 2

COMMANDS: tuple[Callable[..., None], ...] = (run, report, order, graph, stat, why, diff, selftest)
"""The commands, in the order in which --help lists them."""

app = typer.Typer(
    name="witness",
    help="Find lock orders that contradict each other, across threads and processes, before they deadlock.",
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in COMMANDS:
    if command is run:
        app.command(cls=ProgramCommand, context_settings=SETTINGS)(command)
    else:
        app.command()(command)


def _version(wanted: bool) -> None:
    if wanted:
        say(f"witness {importlib.metadata.version('shmalloc')}")
        raise typer.Exit


@app.callback()
def _before(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Options before the command."""


def main() -> NoReturn:
    """Run the command line and leave with its exit status; an error of a file or the library is one line on stderr."""
    try:
        app(prog_name="witness")
    except (GraphUnreadable, SuppressionsUnreadable) as error:
        complain(str(error))
        sys.exit(USAGE)
    except ShmallocError as error:
        complain(str(error))
        sys.exit(FOUND)
    except OSError as error:
        complain(f"{error.filename or 'the output'}: {error.strerror}")
        sys.exit(USAGE)
    sys.exit(0)

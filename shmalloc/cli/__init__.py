"""The command line `shmalloc`: one file a command. Reads arguments, calls the library, prints; decides nothing else.

Exit status: 0 fine, 1 something was found (a finding, an object that cannot be removed, a damaged arena), 2 the
command was wrong (usage, an arena that does not exist).
"""

from __future__ import annotations

import importlib.metadata
import sys
from typing import Annotated, NoReturn

import typer

from shmalloc.cli import screen
from shmalloc.cli.check import check
from shmalloc.cli.dump import dump
from shmalloc.cli.gc import gc
from shmalloc.cli.locks import locks
from shmalloc.cli.ls import ls
from shmalloc.cli.stat import stat
from shmalloc.cli.sysctl import sysctl
from shmalloc.cli.top import top
from shmalloc.cli.who import who
from shmalloc.errors import ArenaNotFound, InvalidArgument, NotAnArena, ShmallocError

__all__ = ["app", "main"]

FOUND = 1
USAGE = 2

app = typer.Typer(
    name="shmalloc",
    help="Look after shared-memory arenas: list, measure, watch, check, tune and clean up.",
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (ls, stat, top, who, check, gc, dump, locks, sysctl):
    app.command()(command)


def _version(wanted: bool) -> None:
    if wanted:
        screen.say(f"shmalloc {importlib.metadata.version('shmalloc')}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Options before the command."""


def main() -> NoReturn:
    """Run the command line and leave with its exit status; an error of the library becomes one line on stderr."""
    try:
        app(prog_name="shmalloc")
    except ShmallocError as error:
        screen.complain(str(error))
        sys.exit(USAGE if isinstance(error, (ArenaNotFound, InvalidArgument, NotAnArena)) else FOUND)
    sys.exit(0)

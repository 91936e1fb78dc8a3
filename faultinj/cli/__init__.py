"""The command line `faultinj`: one file a command. Reads arguments, calls the library, prints; decides nothing else.

Exit status: 0 fine, 1 something was found, 2 the command was wrong (usage, a file or plan that cannot be read).
A command is a function in a file of its own, or a group of them (a typer.Typer), and enters the program by its line in
`COMMANDS`.
"""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Callable
from typing import Annotated, NoReturn

import typer

from faultinj._faultinj import CoreError
from faultinj.arming import FaultinjError
from faultinj.cli.campaign import campaign
from faultinj.cli.ctl import ctl
from faultinj.cli.points import points
from faultinj.cli.replay import replay
from faultinj.cli.report import report
from faultinj.cli.run import run
from faultinj.cli.sweep import sweep
from faultinj.cli.wrong import complain
from faultinj.grammar import GrammarError
from faultinj.plan import PlanError
from faultinj.sweep.nursery import NurseryLost
from shmalloc.cli.program import SETTINGS, ProgramCommand
from shmalloc.cli.screen import say
from shmalloc.errors import ShmallocError

__all__ = ["COMMANDS", "app", "main"]

FOUND = 1
USAGE = 2

COMMANDS: tuple[Callable[..., None] | typer.Typer, ...] = (
    points,
    ctl,
    run,
    sweep,
    campaign,
    replay,
    report,
)
"""The commands, in the order in which --help lists them."""

PROGRAMS: tuple[Callable[..., None], ...] = (run,)
"""Those of them that run a program: the words after its name are the program's."""

app = typer.Typer(
    name="faultinj",
    help="Make what can fail in the allocator, and in Python programs, fail: one place after the other.",
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in COMMANDS:
    if isinstance(command, typer.Typer):
        app.add_typer(command)
    elif command in PROGRAMS:
        app.command(cls=ProgramCommand, context_settings=SETTINGS)(command)
    else:
        app.command()(command)


def _version(wanted: bool) -> None:
    if wanted:
        say(f"faultinj {importlib.metadata.version('shmalloc')}")
        raise typer.Exit


@app.callback()
def _before(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Options before the command."""


def main() -> NoReturn:
    """Run the command line and leave with its exit status; an error of a plan, a file or the library is said on
    stderr."""
    try:
        app(prog_name="faultinj")
    except (GrammarError, PlanError) as error:
        complain(str(error))
        sys.exit(USAGE)
    except (ShmallocError, FaultinjError, CoreError, NurseryLost) as error:
        complain(str(error))
        sys.exit(FOUND)
    except OSError as error:
        complain(f"{error.filename or 'the output'}: {error.strerror}")
        sys.exit(USAGE)
    sys.exit(0)

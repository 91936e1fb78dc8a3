"""The command line `workloads`: one file a command. Reads arguments, calls the runner, prints; decides nothing else.

Exit status: 0 fine, 1 a run found something (a violation, a leak, a finding of check), 2 the command was wrong (usage,
an unknown workload, a file that is no capture).
"""

from __future__ import annotations

import importlib.metadata
import os
import signal
import sys
from types import FrameType
from typing import Annotated, NoReturn

import typer

from shmalloc.cli import screen
from shmalloc.errors import ShmallocError
from workloads.cli.bench import bench, compare
from workloads.cli.demo import demo
from workloads.cli.listing import list_workloads
from workloads.cli.report import report
from workloads.cli.run import run

__all__ = ["app", "main"]

_INTERRUPTED = 130
_TERMINATED = 143

app = typer.Typer(
    name="workloads",
    help="Torment shared-memory arenas with real processes, and measure them.",
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
# The benchmark's own arguments, --help included, are read by the benchmark.
_HANDED_ON = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}

app.command("list")(list_workloads)
app.command("run")(run)
app.command("demo")(demo)
app.command("bench", context_settings=_HANDED_ON)(bench)
app.command("compare", context_settings=_HANDED_ON)(compare)
app.command("report")(report)


def _version(wanted: bool) -> None:
    if wanted:
        screen.say(f"workloads {importlib.metadata.version('shmalloc')}")
        raise typer.Exit


@app.callback()
def _before(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Options before the command."""


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    # As an exception, so that the runner ends its workers and removes its arena on the way out.
    sys.exit(_TERMINATED)


def main() -> NoReturn:
    """Run the command line and leave with its exit status; an error of the library becomes one line on stderr."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        app(prog_name="workloads")
    except ShmallocError as error:
        sys.stderr.write(f"workloads: {screen.printable(str(error))}\n")
        sys.exit(1)
    except BrokenPipeError:
        # Whoever read the output has seen enough. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    sys.exit(0)

"""The command line `faultinj`: one file a command. Reads arguments, calls the library, prints; decides nothing else.

Exit status: 0 fine, 1 something was found, 2 the command or a file was wrong.
"""

from __future__ import annotations

import importlib.metadata
from typing import Annotated

import typer

from faultinj.cli.campaign import campaign
from faultinj.cli.replay import replay
from faultinj.cli.sweep import sweep
from shmalloc.cli.screen import say

__all__ = ["app", "main"]

app = typer.Typer(
    name="faultinj",
    help="Make what can fail fail, one place after the other, and see that nothing is lost.",
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(sweep)
app.command()(replay)
app.add_typer(campaign, name="campaign")


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


def main() -> None:
    """Run the command line and leave with its exit status."""
    app(prog_name="faultinj")

"""What `faultinj` says on stderr when something is wrong, line by line: an error of the grammar shows its column."""

from __future__ import annotations

import sys
from typing import NoReturn

import typer

from shmalloc.cli.screen import printable

__all__ = ["complain", "usage"]


def complain(text: str) -> None:
    """Say on stderr what is wrong."""
    sys.stderr.write("".join(f"{printable(line)}\n" for line in f"faultinj: {text}".splitlines()))
    sys.stderr.flush()


def usage(text: str) -> NoReturn:
    """Say what is wrong with the command that was typed, and leave with status 2."""
    complain(text)
    raise typer.Exit(2)

"""What `witness` says of itself on stderr, and files that it writes. Tables go out as those of `shmalloc` do."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NoReturn

import msgspec
import typer

from shmalloc.cli.screen import printable, show_json
from shmalloc.report.page import write_page

__all__ = ["complain", "usage", "write_json", "write_text"]


def complain(text: str) -> None:
    """Say on stderr, in one line, what is wrong."""
    sys.stderr.write(f"witness: {printable(text)}\n")
    sys.stderr.flush()


def usage(text: str) -> NoReturn:
    """Say what is wrong with the command that was typed, and leave with status 2."""
    complain(text)
    raise typer.Exit(2)


def write_text(path: Path, text: str) -> None:
    """Write a file in one step, `-` to stdout."""
    if str(path) == "-":
        sys.stdout.write(text)
        return
    if not path.absolute().parent.is_dir():
        usage(f"{path}: there is no directory {path.absolute().parent}")
    write_page(path, text)
    complain(f"written: {path}")


def write_json(path: Path, value: object) -> None:
    """Write a file of indented JSON in one step, `-` to stdout."""
    if str(path) == "-":
        show_json(value)
    else:
        # json.dumps with an indent takes seconds for a large graph; this is the same text.
        write_text(path, msgspec.json.format(msgspec.json.encode(value), indent=2).decode("utf-8") + "\n")

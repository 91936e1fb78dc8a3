"""Where output goes and in which dress: a table for a terminal, plain columns for a pipe, JSON when asked.

Owns stdout and stderr of the command line; must not know what is printed.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Iterable, Mapping
from typing import NoReturn

import typer
from rich.console import Console
from rich.text import Text

from shmalloc.report.table import Table, printable, to_rich, to_text

__all__ = ["complain", "plain", "printable", "say", "show", "show_json", "show_lines", "usage"]


def show(table: Table, *, title: bool = False) -> None:
    """Print a table: drawn to the terminal's width, or as plain columns that never wrap when stdout is no terminal."""
    if sys.stdout.isatty():
        Console().print(to_rich(table, title=title))
    else:
        _write(to_text(table, title=title))


def show_lines(lines: Iterable[str]) -> None:
    """Print lines as they are: none is broken, whatever the width."""
    _write("".join(f"{printable(line)}\n" for line in lines))


def say(text: str, *, style: str = "") -> None:
    """Print one line of words; a terminal gets it coloured, and broken between words where it is narrow."""
    if sys.stdout.isatty():
        Console().print(Text(printable(text), style=style))
    else:
        _write(printable(text) + "\n")


def complain(text: str) -> None:
    """Say on stderr, in one line, what went wrong."""
    sys.stderr.write(f"shmalloc: {printable(text)}\n")
    sys.stderr.flush()


def usage(text: str) -> NoReturn:
    """Say what is wrong with the command that was typed, and leave with status 2."""
    complain(text)
    raise typer.Exit(2)


def show_json(value: object, *, one_line: bool = False) -> None:
    """Print one JSON value: indented, or on one line where several follow each other."""
    _write(json.dumps(value, indent=None if one_line else 2) + "\n")


def _write(text: str) -> None:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read the output has seen enough, which is no error. What is still buffered must go somewhere, or the
        # interpreter complains about it at exit.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
        sys.exit(0)


def plain(record: object) -> dict[str, object]:
    """The fields of a frozen record as a JSON object. The 64-bit uuid becomes a string: JSON numbers are too short."""
    if not dataclasses.is_dataclass(record) or isinstance(record, type):
        raise TypeError(f"not a record: {record!r}")
    fields: Mapping[str, object] = dataclasses.asdict(record)
    return {name: f"{value:016x}" if name == "uuid" else value for name, value in fields.items()}

"""What `faultinj` says of itself on stderr, results that it reads, and files that it writes. Tables go out as those of
`shmalloc` do."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NoReturn

import msgspec
import typer

from faultinj.record import SweepResult
from shmalloc.cli.screen import printable
from shmalloc.report.page import write_page

__all__ = ["complain", "read_result", "usage", "write_json", "write_text"]

_SQLITE = b"SQLite format 3\0"


def complain(text: str) -> None:
    """Say on stderr, in one line, what is wrong."""
    sys.stderr.write(f"faultinj: {printable(text)}\n")
    sys.stderr.flush()


def usage(text: str) -> NoReturn:
    """Say what is wrong with the command that was typed, and leave with status 2."""
    complain(text)
    raise typer.Exit(2)


def read_result(path: Path) -> SweepResult:
    """The result in a file: JSON of a sweep, or a campaign's database."""
    try:
        raw = path.read_bytes() if path.stat().st_size < 1 << 30 else b""
    except OSError as error:
        usage(f"{path}: {error.strerror}")
    if raw.startswith(_SQLITE):
        from faultinj.campaign.store import load_result

        return load_result(path)
    try:
        return msgspec.json.decode(raw, type=SweepResult)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        usage(f"{path}: {error}: it is neither what `faultinj sweep --json` writes nor a campaign's database")


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
    write_text(path, msgspec.json.format(msgspec.json.encode(value), indent=2).decode("utf-8") + "\n")

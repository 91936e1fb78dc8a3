"""`shmalloc dump`: a consistent copy of a running arena in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shmalloc.cli import screen
from shmalloc.cli.target import attach
from shmalloc.sizes import show_bytes


def dump(
    arena: Annotated[str, typer.Argument(metavar="ARENA", help="Name of the arena.", show_default=False)],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to; must not exist yet.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Copy an arena to FILE while it runs: `check`, `stat` and `ls` then work on the file (with a / in its name).

    Every process attached stands still while the pages that exist are copied. The file is sparse and private (0600).
    """
    if "/" in arena:
        screen.usage(f"{arena} is a file already; dump takes the name of an arena, see `shmalloc ls`")
    try:
        with attach(arena, read_only=False) as attached:
            report = attached.dump(file)
    except FileExistsError:
        is_directory = file.is_dir()
        screen.usage(
            f"{file} is a directory: name a file in it"
            if is_directory
            else f"{file} exists already and was not touched: name a new file, or remove it first"
        )
    except FileNotFoundError:
        screen.usage(f"{file}: there is no directory {file.absolute().parent}")
    except OSError as error:
        screen.usage(f"{file} cannot be written: {error.strerror}")
    if as_json:
        screen.show_json(screen.plain(report))
        return
    screen.say(
        f"{report.path}: {show_bytes(report.copied_bytes)} copied of {show_bytes(report.object_bytes)}, "
        f"world stopped for {report.stopped_ns / 1e6:.1f} ms"
    )
    path = report.path if "/" in report.path else f"./{report.path}"
    screen.say(f"look at it with: shmalloc check {path}; shmalloc stat -z {path}")

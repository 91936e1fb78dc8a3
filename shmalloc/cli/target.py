"""The arena that a command works on: by name, by the path of a dump, or the only one there is."""

from __future__ import annotations

from typing import Annotated, NoReturn

import typer

from shmalloc.arena import Arena
from shmalloc.cli import screen
from shmalloc.registry import ArenaInfo, examine_file, list_arenas

ArenaArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="ARENA",
        help="Name of the arena, or the path of a dump (with a / in it); not needed when there is only one.",
        show_default=False,
    ),
]


def attach(name: str, *, read_only: bool) -> Arena:
    """Attach to the named arena, or open the dump when the name is a path.

    Raises: ArenaNotFound and ArenaInvalid, as Arena.attach. Leaves with status 2 when a dump cannot be opened.
    """
    if "/" in name:
        try:
            return Arena.attach_file(name)
        except OSError as error:
            _unopened(name, error)
    if read_only:
        return Arena.attach(name, read_only=True)
    return Arena.attach(name, cpu_name="shmalloc", observe=True)  # looks at the dead, leaves them to others


def examined(path: str) -> ArenaInfo:
    """The record of a dump.

    Raises: ArenaInvalid, as Arena.attach_file. Leaves with status 2 when it cannot be opened.
    """
    try:
        return examine_file(path)
    except OSError as error:
        _unopened(path, error)


def _unopened(path: str, error: OSError) -> NoReturn:
    screen.usage(f"{path} cannot be opened as a dump: {error.strerror}; `shmalloc dump ARENA {path}` writes one")


def chosen(name: str | None) -> str:
    """The name given, or that of the only arena that can be attached to.

    Leaves with status 2 when no name was given and there is no arena, or more than one.
    """
    if name is not None:
        return name
    there = [info.name for info in list_arenas() if not info.problem]
    if not there:
        screen.usage("there is no arena on this machine; Arena.create() makes one")
    if len(there) > 1:
        screen.usage(f"there are several arenas, name one of: {', '.join(there)}")
    return there[0]

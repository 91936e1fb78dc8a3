"""`shmalloc sysctl`: read and set the tunables of one arena, as sysctl(8) does."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Annotated

import typer

from shmalloc.arena import Arena
from shmalloc.cli import screen
from shmalloc.cli.target import attach
from shmalloc.report.tables import tunable_table


@dataclass(frozen=True, slots=True)
class Request:
    """One argument of the command: a tunable or a subtree to show, or a tunable to set."""

    name: str
    value: int | None


def sysctl(
    arena: Annotated[str, typer.Argument(metavar="ARENA", help="Name of the arena, or the path of a dump.")],
    requests: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME[=VALUE]",
            help="A tunable or the beginning of several (vm.uma) to show, or one to set.",
            show_default=False,
        ),
    ] = None,
    every: Annotated[bool, typer.Option("-a", "--all", help="Show every tunable; the same as no NAME.")] = False,
    describe: Annotated[bool, typer.Option("-d", "--describe", help="Show range, default and meaning too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array of records.")] = False,
) -> None:
    """Show and set the tunables of an arena; they take effect in every process at once.

    Everything is checked before anything is set: with one bad name or value nothing changes.
    """
    asked = [_parse(text) for text in requests or ()]
    setting = any(request.value is not None for request in asked)
    with attach(arena, read_only=not setting) as attached:
        names = _names(attached, asked, every)
        before = {name: attached.sysctl[name] for name in names}
        for request in asked:
            if request.value is not None:
                _verify(attached, request.name, request.value)
        for request in asked:
            if request.value is not None:
                attached.sysctl[request.name] = request.value
        tunables = [attached.sysctl.describe(name) for name in names]
    if as_json:
        screen.show_json([screen.plain(tunable) for tunable in tunables])
    elif describe and sys.stdout.isatty():
        # Words need room: a terminal gets them on a line of their own, a pipe gets columns.
        for tunable in tunables:
            screen.say(f"{tunable.name}: {tunable.value}", style="bold")
            screen.say(f"{tunable.text}; {tunable.least} to {tunable.most}, default {tunable.default}")
    elif describe:
        screen.show(tunable_table(tunables))
    else:
        set_names = {request.name for request in asked if request.value is not None}
        for tunable in tunables:
            was = f"{before[tunable.name]} -> " if tunable.name in set_names else ""
            screen.say(f"{tunable.name}: {was}{tunable.value}")


def _parse(text: str) -> Request:
    name, equals, value = text.partition("=")
    if not equals:
        return Request(name, None)
    try:
        return Request(name, int(value, 0))
    except ValueError:
        screen.usage(f"{text!r}: {value!r} is no whole number")


def _names(arena: Arena, asked: list[Request], every: bool) -> list[str]:
    """The tunables to show, in the catalogue's order; a name to set must be whole, one to show may be a subtree."""
    there = list(arena.sysctl)
    if every or not asked:
        for request in asked:
            _known(there, request)
        return there
    wanted: set[str] = set()
    for request in asked:
        wanted.update(_known(there, request))
    return [name for name in there if name in wanted]


def _known(there: list[str], request: Request) -> list[str]:
    if request.name in there:
        return [request.name]
    below = [name for name in there if name.startswith(request.name.rstrip(".") + ".")]
    if not below:
        screen.usage(f"there is no tunable {request.name!r}: `shmalloc sysctl ARENA -a` lists them")
    if request.value is not None:
        screen.usage(f"{request.name!r} is not one tunable but {len(below)}: {', '.join(below)}")
    return below


def _verify(arena: Arena, name: str, value: int) -> None:
    tunable = arena.sysctl.describe(name)
    if not tunable.least <= value <= tunable.most:
        screen.usage(f"{name} may be {tunable.least} to {tunable.most}, not {value}: {tunable.text}")

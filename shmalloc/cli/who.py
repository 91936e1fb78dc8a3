"""`shmalloc who`: the items of one arena that are out, by process, zone and allocation site."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Annotated

import typer

from shmalloc.arena import Arena
from shmalloc.cli import screen
from shmalloc.cli.target import ArenaArgument, attach, chosen
from shmalloc.report.holdings import holding_table, item_table
from shmalloc.who import Holding


class Group(StrEnum):
    """What makes one row."""

    process = "process"
    zone = "zone"
    site = "site"


def who(
    arena: ArenaArgument = None,
    zone: Annotated[
        str | None, typer.Option("--zone", metavar="Z", help="Only items of this zone.", show_default=False)
    ] = None,
    pid: Annotated[
        int | None, typer.Option("--pid", metavar="P", help="Only items that this process holds.", show_default=False)
    ] = None,
    by: Annotated[
        Group | None, typer.Option("--by", help="One row for each of these, instead of all three.", show_default=False)
    ] = None,
    top: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Only the first N rows.", show_default=False)
    ] = None,
    items: Annotated[bool, typer.Option("--items", help="One row an item.")] = False,
    human: Annotated[bool, typer.Option("--human", "-H", help="Numbers with units: 64K, 1.5G.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array of records.")] = False,
) -> None:
    """Show who holds what: items that are out, the oldest first.

    Where and when an item was allocated is known in zones made with trace=True. Attaches read-only: nobody is
    disturbed; items that pass by on a busy arena are told as they were seen.
    """
    if items and by is not None:
        screen.usage("--items shows every item for itself, --by groups them: choose one")
    name = chosen(arena)
    with attach(name, read_only=True) as there:
        if zone is not None and zone not in there.zone_names():
            screen.usage(f"{name} has no zone {zone!r}; shmalloc stat -z {name} lists its zones")
        if items:
            _show_items(there, zone, pid, top, human, as_json)
            return
        every = there.who(zone=zone, pid=pid)
        groups = every if by is None else there.who(zone=zone, pid=pid, by=by.value)
        if as_json:
            screen.show_json([screen.plain(group) for group in groups[:top]])
            return
        screen.show(holding_table(groups[:top], None if by is None else by.value, human=human))
        if top is not None and top < len(groups):
            screen.say(f"{len(groups) - top} more not shown", style="dim")
        for line in _why_no_site(name, every, there.sysctl["debug.sites"]):
            screen.say(line, style="dim")


def _show_items(there: Arena, zone: str | None, pid: int | None, top: int | None, human: bool, as_json: bool) -> None:
    found = there.who_items(zone=zone, pid=pid)
    if as_json:
        # A handle has more bits than a JSON number keeps.
        screen.show_json(
            [{"handle": str(item.handle), "offset": item.offset, **screen.plain(item.holding)} for item in found[:top]]
        )
        return
    screen.show(item_table(found[:top], human=human))
    if top is not None and top < len(found):
        screen.say(f"{len(found) - top} more not shown", style="dim")


def _why_no_site(name: str, groups: Sequence[Holding], every: int) -> Iterator[str]:
    """What to do to have the sites that are missing."""
    untraced = sorted({group.zone for group in groups if not group.traced and group.zone is not None})
    if untraced:
        shown = ", ".join(untraced[:5]) + (f" and {len(untraced) - 5} more" if len(untraced) > 5 else "")
        yield (
            f"no sites and ages for {shown}: not traced; make a zone with arena.zone(..., trace=True), "
            "or the arena with Arena.create(..., trace=True) for all of them and malloc's"
        )
    unknown = sum(group.count for group in groups if group.traced and group.oldest_s is None)
    if unknown and every == 1:
        yield f"{unknown} items of traced zones were allocated while debug.sites was not 1"
    elif unknown:
        recorded = "none is recorded" if every == 0 else f"one allocation in {every} is recorded"
        yield f"{unknown} items have no site: debug.sites is {every}, {recorded}; shmalloc sysctl {name} debug.sites=1"

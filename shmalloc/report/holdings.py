"""The tables of `shmalloc who`: items that are out, by process, zone and site.

Owns which figure goes under which head, and how a holder is called. Must not open an arena or decide anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from .amounts import age, human_bytes, human_count
from .table import Column, Table

if TYPE_CHECKING:
    from shmalloc.who import By, HeldItem, Holding

_HEADS: dict[str, tuple[Column, Callable[[Holding], str]]] = {
    "process": (Column("HOLDER", number=False, give="cut"), lambda group: holder(group)),
    "zone": (Column("ZONE", number=False, give="cut"), lambda group: _zone(group)),
    "site": (Column("SITE", number=False, give="wrap"), lambda group: group.site or "-"),
}


def holder(group: Holding) -> str:
    """Who has the items: "parser (pid 12, cpu 1)", "queue work", "nobody". The dead are called dead."""
    if group.queue is not None:
        return f"queue {group.queue}"
    if group.cpu is None:
        return "nobody" if group.state in ("held", None) else str(group.state)
    facts = [f"pid {group.pid}"] if group.pid is not None else []
    facts.append(f"cpu {group.cpu}" + (", dead" if group.alive is False else ""))
    name = f"{group.process} " if group.process else ""
    where = "in transit from " if group.state == "in transit" else ""
    return f"{where}{name}({', '.join(facts)})"


def _zone(group: Holding) -> str:
    return f"{group.zone} ({group.type})" if group.type else group.zone or "-"


def _oldest(group: Holding) -> str:
    return "-" if group.oldest_s is None else age(group.oldest_s)


def holding_table(groups: Iterable[Holding], by: By | None, *, human: bool = False, title: str = "Held") -> Table:
    """One row a group. OLDEST is the age of its oldest item, "-" when that was not recorded."""
    heads = list(_HEADS.values()) if by is None else [_HEADS[by]]
    return Table(
        title,
        (Column("OLDEST"), Column("COUNT"), Column("BYTES"), *(head for head, _ in heads)),
        tuple(
            (
                _oldest(group),
                human_count(group.count) if human else str(group.count),
                human_bytes(group.bytes) if human else str(group.bytes),
                *(tell(group) for _, tell in heads),
            )
            for group in groups
        ),
        empty="nothing is out",
    )


def item_table(items: Iterable[HeldItem], *, human: bool = False, title: str = "Held") -> Table:
    """One row an item: its age, offset in the object, bytes asked for, holder, zone and site."""
    return Table(
        title,
        (Column("AGE"), Column("OFFSET"), Column("BYTES"), *(head for head, _ in _HEADS.values())),
        tuple(
            (
                _oldest(item.holding),
                f"{item.offset:#x}",
                human_bytes(item.holding.bytes) if human else str(item.holding.bytes),
                *(tell(item.holding) for _, tell in _HEADS.values()),
            )
            for item in items
        ),
        empty="nothing is out",
    )

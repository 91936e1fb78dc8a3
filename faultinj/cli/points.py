"""`faultinj points`: what can be made to fail."""

from __future__ import annotations

from typing import Annotated

import typer

from faultinj.catalogue import FaultPoint
from faultinj.cli.wrong import usage
from faultinj.declared import all_points
from faultinj.plan import CRASH_POINT, UnknownPoint, matching
from shmalloc.cli.screen import show, show_json, show_lines
from shmalloc.report.table import Column, Table

__all__ = ["points"]

GRAMMAR = """\
plan      POINTS=PROGRAM; POINTS=PROGRAM ...   POINTS is a name or a glob: zone.ctor, queue.*
program   TERM->TERM ...                       the first term that applies happens, at most 8
term      MODIFIERS ACTION (ARGUMENT) FILTERS
modifier  5.5%          with this probability, drawn before the count is taken
          3* times(3):  three times, then the term drops out
          nth(3):       the third time only
          every(3):     every third time
          interval(3):  not again before the third time after it happened
          space(4096):  only once so many bytes went by
action    off return return(SM_NO_MEMORY) return(ENOSPC) raise(ConnectionError) panic panic("text") kill print
          print("text") sleep(MS) delay(US) pause yield break callback("module:function") arm(POINT=PROGRAM)
filter    [pid 1] [cpu 2] [zone frame*] [size>=4096] [flags M_NOWAIT] [stack app.py:connect] [!stack ...] [step 17]
examples  zone.ctor=nth(3):return(SM_NO_MEMORY)
          page.supply=1%return->delay(50)
          zone.alloc=every(100):return[zone frame][flags M_NOWAIT]; crash.step=nth(7):kill
""".rstrip()


def points(
    glob: Annotated[str, typer.Argument(metavar="[GLOB]", help="Only those whose name matches.")] = "*",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: name, error and text of each.")] = False,
    grammar: Annotated[
        bool, typer.Option("--grammar", help="Show how programs are written, and nothing else.")
    ] = False,
) -> None:
    """List the points of the allocator that can be made to fail, with the error that each reports."""
    if grammar:
        show_lines(GRAMMAR.splitlines())
        return
    crash = FaultPoint(
        CRASH_POINT, "", "between two steps of an operation; for kill and what waits, filter by [step N]"
    )
    every = {point.name: point for point in (*all_points(), crash)}
    found = [every[name] for name in matching(glob, every)]
    if not found:
        usage(str(UnknownPoint(glob, every)))
    if as_json:
        show_json([{"name": p.name, "error": p.error, "text": p.text} for p in found])
        return
    columns = (Column("POINT", number=False), Column("ERROR", number=False), Column("A FAULT MEANS", False, "wrap"))
    show(Table("points", columns, tuple((p.name, p.error or "-", p.text) for p in found)))

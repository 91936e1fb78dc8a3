"""`witness selftest`: the table of scenarios and lock kinds, expected against seen."""

from __future__ import annotations

from typing import Annotated

import typer

from shmalloc.cli.screen import say, show_json, show_lines
from witness.selftest import Cell, run_table

__all__ = ["selftest"]


def selftest(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    here: Annotated[bool, typer.Option("--one-process", help="Leave out the halves in different processes.")] = False,
) -> None:
    """Run every locking scenario with every kind of lock and tell whether what was reported is what had to be.

    The status is 1 when a field of the table is wrong.
    """
    cells = list(run_table(processes=not here))
    wrong = sum(not cell.right for cell in cells)
    if as_json:
        show_json(
            [
                {
                    "scenario": cell.scenario,
                    "kind": cell.kind,
                    "processes": cell.processes,
                    "expected": cell.expected,
                    "seen": list(cell.seen),
                    "right": cell.right,
                }
                for cell in cells
            ]
        )
    else:
        show_lines(_lines(cells))
        say(f"{len(cells)} fields, {wrong} wrong")
    raise typer.Exit(1 if wrong else 0)


def _lines(cells: list[Cell]) -> list[str]:
    """One line for a scenario and kind: the outcome in one process, then with the halves in different ones."""
    rows: dict[tuple[str, str], dict[bool, Cell]] = {}
    for cell in cells:
        rows.setdefault((cell.scenario, cell.kind), {})[cell.processes] = cell
    lines = [f"{'scenario':26}{'kind':17}{'expected':31}{'one process':31}different processes"]
    for (scenario, kind), pair in rows.items():
        lines.append(
            f"{scenario:26}{kind:17}{pair[False].expected:31}{_field(pair.get(False)):31}{_field(pair.get(True))}".rstrip()
        )
    return lines


def _field(cell: Cell | None) -> str:
    if cell is None:
        return "-"
    seen = " + ".join(cell.seen) or "ok"
    return seen if cell.right else f"WRONG: {seen}"

"""One table: a heading, columns, rows of finished text; drawn as plain columns, for a terminal, or as plain values.

Owns alignment and width. Must not know what a zone is: `tables.py` fills the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rich.cells import cell_len
from rich.table import Table as RichTable
from rich.text import Text

Give = Literal["no", "cut", "wrap"]
"""What a column does when the terminal is narrow: keep its width, cut its texts short, or go on in a second line."""

_GAP = "  "


@dataclass(frozen=True, slots=True)
class Column:
    """One column. A number is right-aligned. `give` says how the column gives way on a narrow terminal."""

    head: str
    number: bool = True
    give: Give = "no"


@dataclass(frozen=True, slots=True)
class Table:
    """A heading, the columns, and rows of finished text, each as long as `columns`."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    empty: str = "none"
    """What to say instead of rows when there are none."""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"table {self.title!r}: a row of {len(row)} cells under {len(self.columns)} columns")


def printable(text: str) -> str:
    """The text with every control character written as an escape.

    Names and details come out of shared memory that another program wrote: they must not steer the terminal.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def to_text(table: Table, *, title: bool = False) -> str:
    """The table as plain columns, one line a row, never wrapped, ending in a newline; for pipes and files.

    The last column is not padded, so no line ends in blanks.
    """
    lines: list[str] = [table.title] if title and table.title else []
    heads = tuple(column.head for column in table.columns)
    if table.rows:
        rows = [heads, *(tuple(printable(cell) for cell in row) for row in table.rows)]
        widths = [max(cell_len(row[i]) for row in rows) for i in range(len(table.columns))]
        lines.extend(_line(row, table.columns, widths) for row in rows)
    else:
        lines.append(table.empty)
    return "\n".join(lines) + "\n"


def _line(row: Sequence[str], columns: Sequence[Column], widths: Sequence[int]) -> str:
    cells = []
    for cell, column, width in zip(row, columns, widths, strict=True):
        pad = " " * (width - cell_len(cell))
        cells.append(pad + cell if column.number else cell + pad)
    return _GAP.join(cells).rstrip()


def to_rich(table: Table, *, title: bool = False) -> RichTable | Text:
    """The table for a terminal. Numbers are never cut; columns that may give way do so when the terminal is narrow."""
    if not table.rows:
        head = Text(f"{table.title}\n", style="bold") if title and table.title else Text()
        return head.append(table.empty, style="dim")
    drawn = RichTable(
        title=Text(table.title, style="bold") if title and table.title else None,
        title_justify="left",
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
        header_style="bold",
    )
    for column in table.columns:
        # The drawer narrows only the columns that may wrap; a text that is to be cut says so itself, below.
        drawn.add_column(
            column.head,
            justify="right" if column.number else "left",
            no_wrap=column.give == "no",
            overflow="fold" if column.give == "wrap" else "ellipsis",
        )
    for row in table.rows:
        drawn.add_row(
            *(
                Text(printable(cell), no_wrap=column.give == "cut")
                for cell, column in zip(row, table.columns, strict=True)
            )
        )
    return drawn

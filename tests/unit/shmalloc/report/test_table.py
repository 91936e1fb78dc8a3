"""One table, three dresses."""

import io

import pytest
from rich.console import Console

from shmalloc.report.table import Column, Table, printable, to_rich, to_text

WIDE = Table(
    "Zones",
    (Column("ITEM", number=False, give="cut"), Column("REQ"), Column("NOTE", number=False, give="wrap")),
    (("mbuf", "7", "short"), ("a-name-of-thirty-one-characters", "123456789012", "words " * 30)),
)


def drawn(table: Table, width: int) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width, force_terminal=True, color_system=None).print(to_rich(table))
    return out.getvalue().splitlines()


def test_plain_columns_line_up_and_never_wrap() -> None:
    head, first, second = to_text(WIDE).splitlines()
    assert head.index("REQ") + 3 == first.index(" 7 ") + 2 == second.index("123456789012") + 12
    assert head.index("NOTE") == first.index("short") == second.index("words")
    assert len(second) > 200
    assert not first.endswith(" ")


def test_a_table_without_rows_says_so_and_prints_no_heads() -> None:
    empty = Table("Zones", (Column("ITEM"),), (), empty="no zones")
    assert to_text(empty) == "no zones\n"
    assert drawn(empty, 80) == ["no zones"]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_narrow_terminal_cuts_names_and_wraps_words_but_keeps_every_digit(width: int) -> None:
    lines = drawn(WIDE, width)
    assert max(len(line) for line in lines) <= width
    assert sum("123456789012" in line for line in lines) == 1
    assert sum(line.startswith("a-") for line in lines) == 1, "a cut name takes one line"
    assert sum(line.count("words") for line in lines) == 30, "wrapped words are all there"


def test_a_row_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(ValueError, match="a row of 2 cells under 1 columns"):
        Table("Zones", (Column("ITEM"),), (("a", "b"),))


def test_a_name_cannot_steer_the_terminal_or_the_markup() -> None:
    rude = Table("t", (Column("NAME", number=False),), (("\x1b[2Jgone\n[red]x[/red]",),))
    assert "\x1b" not in to_text(rude)
    assert to_text(rude).count("\n") == 2
    assert drawn(rude, 80)[1].rstrip() == r"\x1b[2Jgone\n[red]x[/red]"
    assert printable("zoné") == "zoné"

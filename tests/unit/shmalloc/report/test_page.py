"""The page is one file, safe and complete."""

import re
from pathlib import Path

import pytest

from shmalloc.report.figures import bars
from shmalloc.report.page import Section, render_page, write_page
from shmalloc.report.table import Column, Table

TABLE = Table("Zones", (Column("ITEM", number=False), Column("REQ")), (("<b>mbuf</b>", "7"),))


def test_the_page_needs_no_network_and_runs_no_script() -> None:
    figure = bars([("a", (1,))], ("used",), caption="c")
    text = render_page("t", [Section("Zones", note="n", facts=(("k", "v"),), figure_svg=figure, table=TABLE)])
    assert not re.search(r"https?:|<script|<link|@import|url\(|src=", text)
    assert "prefers-color-scheme: dark" in text


def test_text_is_escaped_and_drawings_are_not() -> None:
    text = render_page("<t>", [Section("<h>", figure_svg="<svg></svg>", table=TABLE)], lead="a & b")
    assert "<b>mbuf</b>" not in text
    assert "&lt;b&gt;mbuf&lt;/b&gt;" in text
    assert "<h1>&lt;t&gt;</h1>" in text
    assert "a &amp; b" in text
    assert "<svg></svg>" in text


def test_numbers_are_marked_as_numbers_and_empty_parts_are_left_out() -> None:
    text = render_page("t", [Section("Zones", table=TABLE)])
    assert '<td class="number">7</td>' in text
    body = text[text.index("<body>") :]
    assert "<dl>" not in body
    assert 'class="note"' not in body


def test_an_empty_table_says_so() -> None:
    text = render_page("t", [Section("Zones", table=Table("Zones", (Column("ITEM"),), (), empty="no zones"))])
    assert "no zones" in text
    assert "<table>" not in text


@pytest.mark.parametrize(("good", "mark"), [(True, "lead good"), (False, "lead bad"), (None, '"lead"')])
def test_a_verdict_is_coloured(good: bool | None, mark: str) -> None:
    assert mark in render_page("t", [], lead="0 violations", good=good)


def test_a_page_replaces_the_old_one_in_one_step(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text("old")
    write_page(file, "new")
    assert file.read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_a_page_that_cannot_be_put_in_place_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "report.html"
    file.write_text("old")

    def refuse(self: Path, target: Path) -> None:
        raise OSError("no")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OSError, match="no"):
        write_page(file, "new")
    assert file.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]

"""Drawings: where the marks stand."""

import xml.etree.ElementTree as ET

import pytest

from shmalloc.report.figures import MOST_SERIES, bars, lines


def marks(svg: str, tag: str) -> list[ET.Element]:
    return list(ET.fromstring(svg).iter(tag))


def test_bars_are_as_long_as_their_values_say() -> None:
    svg = bars([("a", (30, 10)), ("b", (60, 20))], ("used", "free"), caption="c")
    wide = [float(r.get("width", "0")) for r in marks(svg, "rect") if r.get("height") == "16"]
    assert len(wide) == 4
    assert (wide[0] + 1) * 2 == pytest.approx(wide[2] + 1, abs=0.2)
    assert (wide[0] + 1) == pytest.approx(3 * (wide[1] + 1), abs=0.3)


def test_a_zero_draws_no_bar_and_no_rows_draw_nothing() -> None:
    svg = bars([("a", (0, 10))], ("used", "free"), caption="c")
    assert [r.get("class") for r in marks(svg, "rect") if r.get("height") == "16"] == ["s2"]
    assert bars([], ("used",), caption="c") == ""
    assert "NaN" not in bars([("a", (0,))], ("used",), caption="c")


def test_a_line_starts_left_ends_right_and_stands_on_zero() -> None:
    svg = lines([0, 1, 2], {"ops": [0, 50, 100]}, caption="c")
    [path] = marks(svg, "polyline")
    points = [tuple(map(float, p.split(","))) for p in path.get("points", "").split()]
    assert [x for x, _ in points] == sorted(x for x, _ in points)
    bottom, middle, top = (y for _, y in points)
    assert bottom == 210.0
    assert top == 30.0, "100 is a round number: the axis ends there"
    assert middle == pytest.approx(120.0)


def test_one_point_is_no_line() -> None:
    assert lines([0], {"ops": [1]}, caption="c") == ""


def test_labels_are_escaped() -> None:
    svg = bars([("<script>&", (1,))], ('"used"',), caption='a "caption" & <more>')
    assert "<script>" not in svg
    assert ET.fromstring(svg).get("aria-label") == 'a "caption" & <more>'


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(ValueError, match=f"1 to {MOST_SERIES} series"):
        bars([("a", (1,) * 7)], tuple("abcdefg"), caption="c")
    with pytest.raises(ValueError, match="2 points for 3 places"):
        lines([0, 1, 2], {"ops": [1, 2]}, caption="c")

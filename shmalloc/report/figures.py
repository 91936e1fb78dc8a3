"""Drawings for the page: stacked bars and lines, as SVG text that takes its colours from the page's style sheet.

Pure functions from numbers to SVG. Series are told apart by the classes s1..s6 that `page.html.j2` colours, light and
dark; every mark carries a <title>, so a browser shows its value under the pointer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape

from .table import printable

MOST_SERIES = 6
_WIDTH = 720
_LABEL = 150
_ROW = 26


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(printable(text))}</text>'


def _legend(names: Sequence[str], y: float) -> str:
    parts, x = [], float(_LABEL)
    for i, name in enumerate(names, 1):
        parts.append(f'<rect class="s{i}" x="{x:.1f}" y="{y - 9:.1f}" width="10" height="10" rx="2"/>')
        parts.append(_text(x + 15, y, name))
        x += 15 + 7.2 * len(name) + 22
    return "".join(parts)


def _checked(names: Sequence[str]) -> None:
    if not 1 <= len(names) <= MOST_SERIES:
        raise ValueError(f"a figure holds 1 to {MOST_SERIES} series, not {len(names)}")


def bars(
    rows: Sequence[tuple[str, Sequence[float]]],
    series: Sequence[str],
    *,
    caption: str,
    say: Callable[[float], str] = lambda value: f"{value:g}",
) -> str:
    """Horizontal stacked bars: one a row, one segment a series, the sum written at its end. "" without rows."""
    _checked(series)
    if not rows:
        return ""
    longest = max(sum(values) for _, values in rows) or 1.0
    scale = (_WIDTH - _LABEL - 90) / longest
    height = 30 + _ROW * len(rows)
    parts = [_legend(series, 14)]
    for place, (label, values) in enumerate(rows):
        top, x = 30 + place * _ROW, float(_LABEL)
        short = label if len(label) <= 20 else label[:19] + "…"
        parts.append(_text(_LABEL - 8, top + 14, short, "end"))
        for i, (name, value) in enumerate(zip(series, values, strict=True), 1):
            if value > 0:
                hint = escape(printable(f"{label}: {say(value)} {name}"))
                wide = max(value * scale - 1, 0.5)
                parts.append(
                    f'<rect class="s{i}" x="{x:.1f}" y="{top + 3}" width="{wide:.1f}" height="16" rx="2">'
                    f"<title>{hint}</title></rect>"
                )
                x += value * scale
        parts.append(_text(x + 6, top + 15, say(sum(values))))
    return _svg(height, caption, parts)


def lines(
    x: Sequence[float],
    series: Mapping[str, Sequence[float]],
    *,
    caption: str,
    x_label: str = "seconds",
    say: Callable[[float], str] = lambda value: f"{value:g}",
) -> str:
    """Lines over a common x, from zero, with four round marks on the y axis. "" with fewer than two points."""
    _checked(tuple(series))
    if len(x) < 2:
        return ""
    for name, values in series.items():
        if len(values) != len(x):
            raise ValueError(f"series {name!r} has {len(values)} points for {len(x)} places")
    top_value = _round_up(max(max(values) for values in series.values()))
    left, right, top, bottom = 70.0, float(_WIDTH - 12), 30.0, 210.0
    x_span = (x[-1] - x[0]) or 1.0

    def at(px: float, py: float) -> tuple[float, float]:
        return left + (px - x[0]) / x_span * (right - left), bottom - py / top_value * (bottom - top)

    parts = [_legend(tuple(series), 14)]
    for mark in range(5):
        value = top_value * mark / 4
        y = at(x[0], value)[1]
        parts.append(f'<line class="grid" x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(_text(left - 6, y + 4, say(value), "end"))
    for i, (name, values) in enumerate(series.items(), 1):
        points = [at(px, py) for px, py in zip(x, values, strict=True)]
        path = " ".join(f"{px:.1f},{py:.1f}" for px, py in points)
        parts.append(f'<polyline class="l{i}" points="{path}"><title>{escape(printable(name))}</title></polyline>')
        if len(points) <= 60:
            parts.extend(
                f'<circle class="s{i}" cx="{px:.1f}" cy="{py:.1f}" r="3"><title>'
                f"{escape(printable(name))}: {say(value)} at {where:.3g} {escape(x_label)}</title></circle>"
                for (px, py), value, where in zip(points, values, x, strict=True)
            )
    parts.append(_text(left, bottom + 18, f"{x[0]:.3g}"))
    parts.append(_text(right, bottom + 18, f"{x[-1]:.3g} {x_label}", "end"))
    return _svg(bottom + 26, caption, parts)


def _round_up(value: float) -> float:
    """The next of 1, 2, 4, 5, 8, 10 times a power of ten: an axis end that four marks divide well."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return float(next(step * power for step in (1, 2, 4, 5, 8, 10) if value <= step * power * (1 + 1e-9)))


def _svg(height: float, caption: str, parts: Sequence[str]) -> str:
    label = escape(printable(caption), quote=True)
    return f'<svg viewBox="0 0 {_WIDTH} {height:.0f}" role="img" aria-label="{label}">{"".join(parts)}</svg>'

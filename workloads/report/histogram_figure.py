"""Draw histograms of durations as columns over a logarithmic axis.

Pure functions from bins to SVG text, in the style and the colours of `shmalloc.report.figures`.
"""

from __future__ import annotations

import math
from html import escape

from workloads.histogram import lower_edge_ns, quantile_ns

_WIDTH, _HEIGHT = 720, 220
# Ends of the axis of per cents that four marks divide well.
_AXIS_ENDS = (2, 4, 8, 12, 16, 20, 24, 28, 32, 40, 48, 60, 80, 100)
_LEFT, _RIGHT, _TOP, _BOTTOM = 60.0, 708.0, 26.0, 178.0


def duration_text(nanoseconds: float) -> str:
    """A duration in three digits: 850 ns, 1.5 us, 12 ms."""
    for unit, scale in (("ns", 1.0), ("µs", 1e3), ("ms", 1e6)):
        if nanoseconds < 1000 * scale:
            return f"{nanoseconds / scale:.3g} {unit}"
    return f"{nanoseconds / 1e9:.3g} s"


def histogram_figure(bins: list[int], *, caption: str, series: int = 1) -> str:
    """Columns of the bins between the first and the last that hold samples, in per cent of all. "" when empty."""
    used = [index for index, count in enumerate(bins) if count]
    if not used:
        return ""
    first, last = max(0, used[0] - 1), min(len(bins) - 1, used[-1] + 1)
    samples = sum(bins)
    top = next(percent for percent in _AXIS_ENDS if percent >= 100 * max(bins) / samples)
    slot = (_RIGHT - _LEFT) / (last - first + 1)

    def x_of(index: float) -> float:
        return _LEFT + (index - first) * slot

    parts: list[str] = []
    for mark in range(5):
        y = _BOTTOM - (_BOTTOM - _TOP) * mark / 4
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{top * mark / 4:g}%</text>')
    for index in range(first, last + 1):
        share = bins[index] / samples
        height = (_BOTTOM - _TOP) * share * 100 / top
        if bins[index]:
            says = (
                f"{duration_text(lower_edge_ns(index))} to {duration_text(lower_edge_ns(index + 1))}: "
                f"{bins[index]} samples, {share:.2%}"
            )
            parts.append(
                f'<rect class="s{series}" x="{x_of(index) + 1:.1f}" y="{_BOTTOM - height:.1f}" '
                f'width="{max(slot - 2, 1):.1f}" height="{max(height, 0.5):.1f}" rx="2">'
                f"<title>{escape(says)}</title></rect>"
            )
    for tick in round_durations(lower_edge_ns(first), lower_edge_ns(last + 1)):
        x = x_of(_place_of(tick))
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{_BOTTOM}" y2="{_BOTTOM + 5}"/>')
        parts.append(f'<text x="{x:.1f}" y="{_BOTTOM + 18}" text-anchor="middle">{duration_text(tick)}</text>')
    parts.append(f'<text x="{_RIGHT}" y="{_TOP - 10}" text-anchor="end">{escape(_quantiles(bins))}</text>')
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT - 16}" role="img" aria-label="{escape(caption, quote=True)}" '
        f'xmlns="http://www.w3.org/2000/svg">{"".join(parts)}</svg>'
    )


def round_durations(least_ns: float, most_ns: float) -> list[float]:
    """Round durations in a range to write under an axis: 1, 2, 5 of every decade, or 1 alone in a long range."""
    decades = range(13)
    steps = (1, 2, 5) if most_ns / least_ns < 2e3 else (1,)
    return [
        float(step * 10**decade) for decade in decades for step in steps if least_ns <= step * 10**decade <= most_ns
    ]


def _place_of(duration_ns: float) -> float:
    """Where a duration lies among the bins, within a bin in proportion."""
    octave = math.floor(math.log2(duration_ns))
    part = duration_ns / 2.0**octave - 1
    return 2 * octave + 2 * part


def _quantiles(bins: list[int]) -> str:
    shown = []
    for name, fraction in (("half", 0.5), ("99 %", 0.99), ("99.9 %", 0.999)):
        edge = quantile_ns(bins, fraction)
        if edge is not None:
            shown.append(f"{name} below {duration_text(edge)}")
    return f"{sum(bins)} samples: " + ", ".join(shown)

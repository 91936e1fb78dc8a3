"""A histogram of durations in half octaves: cheap to fill, small to send, mergeable.

Owns the mapping between nanoseconds and bins. Must not keep samples.
Bin 2k covers [2**k, 1.5 * 2**k) ns, bin 2k+1 covers [1.5 * 2**k, 2**(k+1)) ns.
"""

from __future__ import annotations

from collections.abc import Iterable

BINS = 80


def bin_of(duration_ns: int) -> int:
    """The bin of a duration; what is below 1 ns counts as 1 ns, what is beyond the last bin falls into it."""
    if duration_ns < 2:
        return 0
    octave = duration_ns.bit_length() - 1
    index = 2 * octave + ((duration_ns >> (octave - 1)) & 1)
    return index if index < BINS else BINS - 1


def lower_edge_ns(index: int) -> float:
    """Where a bin starts."""
    octave, upper = divmod(index, 2)
    return float(2**octave) * (1.5 if upper else 1.0)


def merge(histograms: Iterable[list[int]]) -> list[int]:
    """The sum, bin by bin."""
    total = [0] * BINS
    for histogram in histograms:
        for index, count in enumerate(histogram):
            total[index] += count
    return total


def quantile_ns(histogram: list[int], fraction: float) -> float | None:
    """The upper edge of the bin that holds the given fraction of the samples; None when there are none."""
    samples = sum(histogram)
    if samples == 0:
        return None
    wanted = fraction * samples
    seen = 0
    for index, count in enumerate(histogram):
        seen += count
        if seen >= wanted and count:
            return lower_edge_ns(index + 1)
    return lower_edge_ns(BINS)

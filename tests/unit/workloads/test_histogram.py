"""Durations land in their half octave, and quantiles come from it."""

from __future__ import annotations

import pytest

from workloads.histogram import BINS, bin_of, lower_edge_ns, merge, quantile_ns


def test_a_duration_lies_between_the_edges_of_its_bin() -> None:
    for duration in [*range(2, 5000), 10**6, 10**9, 10**11]:
        index = bin_of(duration)
        assert lower_edge_ns(index) <= duration < lower_edge_ns(index + 1)


def test_extremes_go_to_the_outer_bins() -> None:
    assert (bin_of(-5), bin_of(0), bin_of(1), bin_of(2**70)) == (0, 0, 0, BINS - 1)


def test_merging_adds_bin_by_bin() -> None:
    one, other = [0] * BINS, [0] * BINS
    one[3] = other[3] = 2
    other[9] = 1
    assert (merge([one, other])[3], merge([one, other])[9], sum(merge([]))) == (4, 1, 0)


@pytest.mark.parametrize(("fraction", "edge"), [(0.5, 128.0), (0.99, 128.0), (0.999, 1536.0)])
def test_a_quantile_is_the_upper_edge_of_its_bin(fraction: float, edge: float) -> None:
    bins = [0] * BINS
    bins[bin_of(100)] = 990
    bins[bin_of(1024)] = 10
    assert quantile_ns(bins, fraction) == edge


def test_no_samples_have_no_quantile() -> None:
    assert quantile_ns([0] * BINS, 0.5) is None

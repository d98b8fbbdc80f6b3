"""Histograms: the difference between two looks at one, and its quantiles."""

from __future__ import annotations

import math

from tracedtimeout._core.figures._table import Histogram
from tracedtimeout._shared.histograms import quantile, since


def test_quantiles_are_read_off_the_buckets() -> None:
    """Linear within a bucket; past the last bound, that; of nothing, nothing."""
    histogram = Histogram((1.0, 2.0, 4.0))
    assert math.isnan(quantile(histogram, 0.5))
    histogram.counts = [0, 4, 4, 0]
    assert [quantile(histogram, share) for share in (0.25, 0.5, 0.75, 1.0)] == [1.5, 2.0, 3.0, 4.0]
    histogram.counts = [0, 0, 0, 1]
    assert quantile(histogram, 0.5) == 4.0


def test_a_difference_holds_what_came_between() -> None:
    """Counts and sum are those of what was recorded after the first look, which stays as it was."""
    histogram = Histogram((1.0, 2.0))
    histogram.record(0.5)
    before = histogram.copy()
    histogram.record(1.5)
    histogram.record(9.0)
    between = since(before, histogram)
    assert (between.bounds, between.counts, between.total) == ((1.0, 2.0), [0, 1, 1], 10.5)
    assert (before.counts, histogram.counts) == ([1, 0, 0], [1, 1, 1])

"""Two looks at a histogram of the core: the difference between them, and a quantile of it."""

from __future__ import annotations

import math

from tracedtimeout._core.figures._table import Histogram


def since(before: Histogram, now: Histogram) -> Histogram:
    """The histogram of what was recorded between two looks at the same one."""
    more = now.copy()
    more.counts = [max(0, new - old) for new, old in zip(now.counts, before.counts, strict=True)]
    more.total = max(0.0, now.total - before.total)
    return more


def quantile(histogram: Histogram, share: float) -> float:
    """The value that `share` of those recorded do not exceed, as Prometheus's ``histogram_quantile`` has it.

    Linear within a bucket, at most the last bound; NaN if nothing was recorded.
    """
    rank = share * sum(histogram.counts)
    if not rank:
        return math.nan
    below = 0
    for lower, upper, count in zip((0.0, *histogram.bounds), histogram.bounds, histogram.counts, strict=False):
        if below + count >= rank:
            return lower + (upper - lower) * (rank - below) / count
        below += count
    return histogram.bounds[-1]

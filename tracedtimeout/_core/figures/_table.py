"""Figures as they are read: histograms, and numbers, by metric and label values."""

from __future__ import annotations

from bisect import bisect_left

from .._outcome import Outcome
from . import _metrics
from ._metrics import Metric

Labels = tuple[str, ...]


class Histogram:
    """Counts by bucket (not cumulative, one more than the bounds) and the sum of what was recorded."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def record(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def copy(self) -> Histogram:
        copy = Histogram(self.bounds)
        copy.counts = self.counts[:]
        copy.total = self.total
        return copy

    def add(self, other: Histogram) -> None:
        self.counts = [mine + its for mine, its in zip(self.counts, other.counts, strict=True)]
        self.total += other.total


Value = int | Histogram
Table = dict[Metric, dict[Labels, Value]]


def total(table: Table, metric: Metric, labels: Labels, amount: int) -> None:
    values = table.setdefault(metric, {})
    before = values.get(labels, 0)
    assert isinstance(before, int)
    values[labels] = before + amount


def merge(table: Table, metric: Metric, labels: Labels, histogram: Histogram) -> int:
    """Add `histogram` where it has anything, or stands at 0 from the first; returns how many values it holds."""
    copy = histogram.copy()
    recorded = sum(copy.counts)
    if recorded or (metric is _metrics.DURATION and labels[1] == Outcome.EXPIRED.value):
        values = table.setdefault(metric, {})
        before = values.get(labels)
        if isinstance(before, Histogram):
            copy.add(before)
        values[labels] = copy
    return recorded

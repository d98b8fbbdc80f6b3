"""What is counted: histograms, and the series of one name on one loop, written by that loop's thread alone."""

from __future__ import annotations

import math
from bisect import bisect_left
from typing import TYPE_CHECKING

from . import _metrics
from ._metrics import Metric
from ._outcome import Outcome

if TYPE_CHECKING:
    from ._lanes import Lane

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


class Series:
    """The figures of one name on one loop.

    What completes within the usual limit of its name is counted inline by the hot path: its duration tells its
    utilization too, so one count among the bounds of both serves for two histograms, and within the first bucket of
    both, where most are, a plain number does. That saves 0.6 us of a timeout's 2.
    """

    __slots__ = (
        "completed",
        "duration",
        "expirations",
        "interruptions",
        "lane",
        "last_limit",
        "limits",
        "name",
        "quick",
        "quick_up_to",
        "rejections",
        "reschedules",
        "unlimited",
        "unusual",
        "unwind",
        "usual",
        "usual_above",
        "usual_below",
        "usual_bounds",
        "usual_counts",
        "usual_limit",
        "usual_seconds",
        "utilization",
    )

    def __init__(self, name: str, lane: Lane) -> None:
        self.name = name
        self.lane = lane  # where the next timeout of this name will probably queue
        self.unlimited = 0  # entered without a finite limit: no deadline, or rejected
        self.quick = 0  # of those completed within the usual limit, those up to the first bound
        self.quick_up_to = -1.0  # nothing, before the first limit
        self.limits = Histogram(_metrics.LIMIT.bounds)
        self.last_limit = 0.0  # while none is usual
        self.usual = 0  # entered with the usual limit
        self.usual_bounds: list[float] = []  # of durations, and of utilizations times that limit
        self.usual_counts: list[int] = []  # of those completed within it, by these bounds
        self.usual_seconds = 0.0  # that they took
        self.usual_limit = self.usual_above = self.usual_below = math.inf  # none yet
        self.completed = Histogram(_metrics.DURATION.bounds)
        self.duration: dict[Outcome, Histogram] = {Outcome.COMPLETED: self.completed}
        self.utilization = Histogram(_metrics.UTILIZATION.bounds)
        self.unwind = Histogram(_metrics.UNWIND.bounds)
        self.expirations: dict[Outcome, int] = {}
        self.interruptions: dict[str, int] = {}
        self.rejections: dict[tuple[str, str], int] = {}
        self.reschedules = 0
        self.unusual: Series | None = None  # see `set_apart`

    def set_apart(self) -> Series:
        """Where what becomes of entries with another limit than the usual is counted: no exit is quick there."""
        self.unusual = Series(self.name, self.lane)
        return self.unusual

    def record_limit(self, limit: float) -> None:
        """Record an entry with `limit` seconds that is not the usual one.

        It becomes that, while none is, when it is that of the entry before as well: the first of all is often entered
        late, with imports and caches to fill, and some names have no usual limit.
        """
        if limit == math.inf:
            self.unlimited += 1
            return
        if limit <= 0.0:
            limit = 0.0
        elif self.usual == 0:
            if 0.999 * limit < self.last_limit < 1.001 * limit:
                self._make_usual(limit)
            self.last_limit = limit
        limits = self.limits
        limits.counts[bisect_left(limits.bounds, limit)] += 1
        limits.total += limit

    def _make_usual(self, limit: float) -> None:
        """Count limits within 0.1 % of `limit`, and of its bucket, as it: between the reading of the clock in
        `timeout()` and that on entry some microseconds pass, so the same delay is never granted twice exactly."""
        bounds = (0.0, *self.limits.bounds, math.inf)
        bucket = bisect_left(bounds, limit)
        self.usual_limit = limit
        self.usual_above = max(limit * 0.999, bounds[bucket - 1])
        self.usual_below = min(limit * 1.001, math.nextafter(bounds[bucket], math.inf))
        ratios = [bound * limit for bound in _metrics.UTILIZATION.bounds]
        self.usual_bounds = sorted({*_metrics.DURATION.bounds, *ratios})
        self.usual_counts = [0] * (len(self.usual_bounds) + 1)
        self.quick_up_to = self.usual_bounds[0]

    def record_completed(self, elapsed: float, limit: float) -> None:
        """Record an exit in time of an entry with another limit than the usual; on the hot path, so written out."""
        durations, ratios, ratio = self.completed, self.utilization, elapsed / limit
        durations.counts[bisect_left(durations.bounds, elapsed)] += 1
        durations.total += elapsed
        if limit == math.inf:
            return
        ratios.counts[bisect_left(ratios.bounds, ratio)] += 1
        ratios.total += ratio

    def record_exit(self, outcome: Outcome, elapsed: float, limit: float) -> None:
        """Record an exit of any other kind; `limit` is ``inf`` with no deadline."""
        duration = self.duration.get(outcome)
        if duration is None:
            duration = self.duration[outcome] = Histogram(_metrics.DURATION.bounds)
        duration.record(elapsed)
        if 0.0 < limit < math.inf and outcome is not Outcome.REJECTED:
            self.utilization.record(elapsed / limit)

    def _completed_as_usual(self) -> tuple[Histogram, Histogram]:
        """Durations and utilizations of those that completed within the usual limit."""
        durations, ratios = Histogram(_metrics.DURATION.bounds), Histogram(_metrics.UTILIZATION.bounds)
        if not self.usual:  # and what is usual may change as we look
            return durations, ratios
        counts, seconds = self.usual_counts[:], self.usual_seconds
        counts[0] += self.quick
        scaled = [bound * self.usual_limit for bound in ratios.bounds]
        for upper, count in zip((*self.usual_bounds, math.inf), counts, strict=True):
            durations.counts[bisect_left(durations.bounds, upper)] += count
            ratios.counts[bisect_left(scaled, upper)] += count
        durations.total, ratios.total = seconds, seconds / self.usual_limit
        return durations, ratios

    def add_to(self, table: Table) -> None:
        """Add these figures to `table`. Reads each number once, exits before entries: `active` is never negative."""
        if self.unusual is not None:
            self.unusual.add_to(table)
        name = (self.name,)
        durations, ratios = self._completed_as_usual()
        closed = merge(table, _metrics.DURATION, (self.name, Outcome.COMPLETED.value), durations)
        for outcome, histogram in list(self.duration.items()):
            closed += merge(table, _metrics.DURATION, (self.name, outcome.value), histogram)
        ratios.add(self.utilization)
        merge(table, _metrics.UTILIZATION, name, ratios)
        limits = self.limits.copy()
        if usual := self.usual:
            limits.counts[bisect_left(limits.bounds, self.usual_limit)] += usual
            limits.total += usual * self.usual_limit
        opened = sum(limits.counts) + self.unlimited
        merge(table, _metrics.LIMIT, name, limits)
        merge(table, _metrics.UNWIND, name, self.unwind)
        for outcome, count in list(self.expirations.items()):
            total(table, _metrics.EXPIRATIONS, (self.name, outcome.value), count)
        for owner, count in list(self.interruptions.items()):
            total(table, _metrics.INTERRUPTIONS, (self.name, owner), count)
        for (reason, mode), count in list(self.rejections.items()):
            total(table, _metrics.REJECTIONS, (self.name, reason, mode), count)
        if self.reschedules:
            total(table, _metrics.RESCHEDULES, name, self.reschedules)
        total(table, _metrics.ACTIVE, name, opened - closed)


def total(table: Table, metric: Metric, labels: Labels, amount: int) -> None:
    values = table.setdefault(metric, {})
    before = values.get(labels, 0)
    assert isinstance(before, int)
    values[labels] = before + amount


def merge(table: Table, metric: Metric, labels: Labels, histogram: Histogram) -> int:
    """Add `histogram` where it has anything; returns how many values it holds."""
    copy = histogram.copy()
    recorded = sum(copy.counts)
    if recorded:
        values = table.setdefault(metric, {})
        before = values.get(labels)
        if isinstance(before, Histogram):
            copy.add(before)
        values[labels] = copy
    return recorded

"""The figures of one name on one loop: written by that loop's thread alone, read by any."""

from __future__ import annotations

import math
from bisect import bisect_left
from typing import Any

from .._outcome import Outcome
from . import _metrics
from ._table import Histogram, Table, merge, total

NEVER = float("inf")
"""The deadline, and the limit, of a timeout that has none. Compared by identity: ``inf`` may be asked for as well."""

OWNERS = 10
"""Owners of interruptions that one name tells apart; the others are ``_OTHER``."""


class Series:
    """The counts of the hot path: timeouts of one name, kind and limit that are entered, and that complete in time.

    One count among the bounds of both tells duration and utilization, since the limit is always the same; and within
    the first bucket of both, where most are, a plain number does. That saves 0.6 us of a timeout's 2.
    """

    __slots__ = ("bounds", "counts", "entered", "expired", "expired_seconds", "figures", "kind", "lane", "limit",
                 "name", "quick", "quick_up_to", "seconds", "varied")  # fmt: skip

    def __init__(self, figures: Figures, kind: str, limit: float, lane: Any) -> None:
        self.figures = figures
        self.name = figures.name
        self.kind = kind
        self.limit = limit
        """Seconds, exactly as in the code; `NEVER` with no limit."""
        self.lane = lane
        """The lane in which the timeouts of this series queue."""
        self.varied: Varied = figures.varied_of(kind, lane)
        """The series of a timeout whose limit turns out to be another: that of one around it."""
        self.entered = 0.0
        """A whole number, as `quick`: the compiled hot path adds to a float in place."""
        self.quick = 0.0
        """Completed timeouts that took no longer than the first bound."""
        self.bounds = bounds_of(limit)
        self.quick_up_to = self.bounds[0]
        self.counts = [0] * (len(self.bounds) + 1)
        """The other completed timeouts, by `bounds`."""
        self.seconds = 0.0
        """Seconds that the completed timeouts took."""
        self.expired = [0] * (len(self.bounds) + 1)
        """The timeouts that their own timer ended, and nothing else, by `bounds`."""
        self.expired_seconds = 0.0

    def completed(self) -> tuple[Histogram, Histogram]:
        """The durations, and the utilizations, of what completed in time."""
        counts, seconds = self.counts[:], self.seconds
        counts[0] += int(self.quick)
        return self._told(counts, seconds)

    def ran_out(self) -> tuple[Histogram, Histogram]:
        """The durations, and the utilizations, of what `expired` counts."""
        return self._told(self.expired[:], self.expired_seconds)

    def _told(self, counts: list[int], seconds: float) -> tuple[Histogram, Histogram]:
        durations, ratios = Histogram(_metrics.DURATION.bounds), Histogram(_metrics.UTILIZATION.bounds)
        finite = self.limit != math.inf
        scaled = [bound * self.limit for bound in ratios.bounds] if finite else []
        for upper, count in zip((*self.bounds, math.inf), counts, strict=True):
            if count:
                durations.counts[bisect_left(durations.bounds, upper)] += count
                if finite:
                    ratios.counts[bisect_left(scaled, upper)] += count
        durations.total = max(0.0, seconds)  # no time at all may be a rounding error less
        if finite:
            ratios.total = durations.total / self.limit
        return durations, ratios


class Varied:
    """`Series` of the timeouts whose limits are not known beforehand: each is told as it is entered, and as it is left.

    It has the fields that the hot path reads of a `Series`, and values that lead it here.
    """

    __slots__ = ("bucket", "entered", "figures", "granted", "high", "kind", "lane", "limit", "low", "name", "quick",
                 "quick_up_to", "ratios", "roomy", "seconds", "seen", "short", "tight", "varied")  # fmt: skip

    def __init__(self, figures: Figures, kind: str, lane: Any, tight: Varied | None = None) -> None:
        self.figures = figures
        self.name = figures.name
        self.kind = kind
        self.lane = lane
        self.limit: float | None = None
        self.varied = self
        self.quick_up_to = -1.0  # no exit is quick in the way of a `Series`
        self.entered = 0.0
        """Entries with no limit."""
        self.seen = 0
        """Other entries whose limit is above `low` and up to `high`: of one bucket."""
        self.low, self.high, self.bucket = 0.0, 0.0, 0
        self.granted = 0.0
        """The limits of these entries, added up."""
        first = _metrics.DURATION.bounds[0]
        self.roomy = first / _metrics.UTILIZATION.bounds[0]
        """A limit of so many seconds is used up to the first bucket at most by what is in the first of durations."""
        self.short = first if tight is not None else -1.0
        """Up to so many seconds an exit is counted by these alone."""
        self.quick = self.seconds = self.ratios = 0.0
        self.tight: Varied = self if tight is None else tight
        """The series of timeouts with a smaller limit than `roomy`: none of their exits is quick."""

    def grant(self, limit: float) -> None:
        """Record an entry whose limit is not of the bucket of the last one."""
        bounds = self.figures.limits.bounds
        limit = max(limit, 0.0)
        if limit == math.inf:
            self.entered += 1.0
            return
        bucket = bisect_left(bounds, limit)
        seen, counts = self.seen, self.figures.limits.counts
        # fmt: off
        counts[self.bucket] += seen; self.seen -= seen  # one step
        # fmt: on
        low = bounds[bucket - 1] if bucket else 0.0
        high = bounds[bucket] if bucket < len(bounds) else math.nextafter(math.inf, 0.0)  # `inf` is no limit
        self.low, self.high, self.bucket, self.granted, self.seen = low, high, bucket, self.granted + limit, 1


_bounds: dict[float, list[float]] = {}
_MOST_BOUNDS = 1_000


def bounds_of(limit: float) -> list[float]:
    """The bounds of durations, and of utilizations times `limit`, in order. Shared; not to be changed."""
    found = _bounds.get(limit)
    if found is None:
        ratios = [] if limit == math.inf else [bound * limit for bound in _metrics.UTILIZATION.bounds]
        found = sorted({*_metrics.DURATION.bounds, *ratios})
        if len(_bounds) < _MOST_BOUNDS:
            _bounds[limit] = found
    return found


def forget_bounds() -> None:
    """Have all bounds worked out anew: other buckets were chosen."""
    _bounds.clear()


class Figures:
    """All that is counted of one name on one loop."""

    __slots__ = ("duration", "expirations", "interruptions", "limits", "name", "rejections", "reschedules", "series",
                 "unlimited", "unwind", "utilization", "varied")  # fmt: skip

    def __init__(self, name: str) -> None:
        self.name = name
        self.series: list[Series] = []
        """The series of this name, one for each limit."""
        self.varied: dict[str, Varied] = {}
        """By kind."""
        self.unlimited = 0
        """Entered without a finite limit, beside what `series` counts: no deadline, or rejected."""
        self.limits = Histogram(_metrics.LIMIT.bounds)
        self.duration = {outcome: Histogram(_metrics.DURATION.bounds) for outcome in _FROM_THE_FIRST}
        self.utilization = Histogram(_metrics.UTILIZATION.bounds)
        self.unwind = Histogram(_metrics.UNWIND.bounds)
        self.expirations = {Outcome.EXPIRED: 0}
        self.interruptions: dict[str, int] = {}
        self.rejections: dict[tuple[str, str], int] = {}
        self.reschedules = 0

    def varied_of(self, kind: str, lane: Any) -> Varied:
        varied = self.varied.get(kind)
        if varied is None:
            varied = self.varied[kind] = Varied(self, kind, lane, Varied(self, kind, lane))
        return varied

    def record_limit(self, limit: float) -> None:
        """Record an entry with `limit` seconds that no `Series` counts."""
        if limit == math.inf:
            self.unlimited += 1
            return
        limits = self.limits
        limit = max(limit, 0.0)
        limits.total += limit
        limits.counts[bisect_left(limits.bounds, limit)] += 1

    def record_completed(self, elapsed: float, limit: float) -> None:
        """Record an exit in time of what no `Series` counts; `limit` is above 0, ``inf`` with no deadline."""
        durations = self.duration[Outcome.COMPLETED]
        durations.total += elapsed
        if limit != math.inf:
            ratios, ratio = self.utilization, elapsed / limit
            ratios.total += ratio
            ratios.counts[bisect_left(ratios.bounds, ratio)] += 1
        durations.counts[bisect_left(durations.bounds, elapsed)] += 1

    def record_exit(self, outcome: Outcome, elapsed: float, limit: float) -> None:
        """Record an exit of any other kind; `limit` is ``inf`` with no deadline, 0.0 where nothing was granted."""
        histogram = self.duration.get(outcome)
        if histogram is None:
            histogram = self.duration[outcome] = Histogram(_metrics.DURATION.bounds)
        if 0.0 < limit < NEVER:
            ratios, ratio = self.utilization, elapsed / limit
            ratios.total += ratio
            ratios.counts[bisect_left(ratios.bounds, ratio)] += 1
        histogram.total += elapsed
        histogram.counts[bisect_left(histogram.bounds, elapsed)] += 1

    def record_interruption(self, owner: str) -> None:
        """Record that the deadline of `owner` ended one: the first ten owners by name."""
        by_owner = self.interruptions
        if owner not in by_owner and len(by_owner) >= OWNERS:
            owner = _metrics.OTHER
        by_owner[owner] = by_owner.get(owner, 0) + 1

    def add_to(self, table: Table) -> None:
        """Add these figures to `table`. Reads each number once, exits before entries: `active` is never negative."""
        name = (self.name,)
        closed = 0
        utilization, limits = self.utilization.copy(), Histogram(_metrics.LIMIT.bounds)
        for outcome, histogram in list(self.duration.items()):
            closed += merge(table, _metrics.DURATION, (self.name, outcome.value), histogram)
        entered = []
        for varied in list(self.varied.values()):
            quick = Histogram(_metrics.DURATION.bounds)
            quick.counts[0], quick.total = int(varied.quick), max(0.0, varied.seconds)
            closed += merge(table, _metrics.DURATION, (self.name, Outcome.COMPLETED.value), quick)
            utilization.counts[0] += quick.counts[0]
            utilization.total += varied.ratios
        for series in list(self.series):
            durations, ratios = series.completed()
            closed += merge(table, _metrics.DURATION, (self.name, Outcome.COMPLETED.value), durations)
            utilization.add(ratios)
            durations, ratios = series.ran_out()
            expired = merge(table, _metrics.DURATION, (self.name, Outcome.EXPIRED.value), durations)
            total(table, _metrics.EXPIRATIONS, (self.name, Outcome.EXPIRED.value), expired)
            utilization.add(ratios)
            closed += expired
            entered.append(series)
        opened = 0
        for series in entered:
            count = int(series.entered)
            opened += count
            if series.limit != math.inf:
                limits.counts[bisect_left(limits.bounds, series.limit)] += count
                limits.total += count * series.limit
        limits.add(self.limits)
        opened += self.unlimited
        for varied in list(self.varied.values()):
            limits.counts[varied.bucket] += varied.seen
            limits.total += varied.granted
            opened += int(varied.entered + varied.tight.entered) + varied.seen
        opened += sum(self.limits.counts)
        merge(table, _metrics.UTILIZATION, name, utilization)
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


_FROM_THE_FIRST = (Outcome.COMPLETED, Outcome.EXPIRED)
"""Outcomes whose durations stand at 0 from the first entry: what rises from nothing is no rise to Prometheus."""

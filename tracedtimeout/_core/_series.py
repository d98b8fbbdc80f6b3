"""The numbers: what every timeout counts, by event loop and name, and the sums over all of them.

A series is written by one thread only, the one its loop runs in, so counting takes no lock. The figures of a loop live
apart from it: when nothing can write to them any more (its `LoopState` is gone) they are folded into the retired ones
the next time anybody reads or a loop comes along. Folding in ``__del__`` broke at interpreter shutdown.
"""

from __future__ import annotations

import logging
import math
import os
import sys
import threading
import weakref
from bisect import bisect_left
from typing import TYPE_CHECKING

from . import _metrics
from ._metrics import Metric
from ._outcome import Outcome

if TYPE_CHECKING:
    from ._lanes import Lane

_log = logging.getLogger("tracedtimeout")

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

    `usual` and ``quick*`` are bumped inline by the hot path. `usual` counts entries with the usual limit of the name. A
    quick exit is the common one: of such an entry, completed, within the first bucket of duration and of utilization.
    Counting it in two plain numbers in place of three histograms saves 0.6 us of a timeout's 2.
    """

    __slots__ = (
        "completed",
        "duration",
        "expirations",
        "interruptions",
        "lane",
        "limits",
        "name",
        "quick",
        "quick_seconds",
        "quick_up_to",
        "rejections",
        "reschedules",
        "unlimited",
        "unwind",
        "usual",
        "usual_above",
        "usual_below",
        "usual_limit",
        "utilization",
    )

    def __init__(self, name: str, lane: Lane) -> None:
        self.name = name
        self.lane = lane  # where the next timeout of this name will probably queue
        self.unlimited = 0  # entered without a finite limit: no deadline, or rejected
        self.quick = 0
        self.quick_seconds = 0.0
        self.quick_up_to = -1.0  # nothing, before the first limit
        self.limits = Histogram(_metrics.LIMIT.bounds)
        self.usual = 0
        self.usual_limit = self.usual_above = self.usual_below = math.inf  # none yet
        self.completed = Histogram(_metrics.DURATION.bounds)
        self.duration: dict[Outcome, Histogram] = {Outcome.COMPLETED: self.completed}
        self.utilization = Histogram(_metrics.UTILIZATION.bounds)
        self.unwind = Histogram(_metrics.UNWIND.bounds)
        self.expirations: dict[Outcome, int] = {}
        self.interruptions: dict[str, int] = {}
        self.rejections: dict[tuple[str, str], int] = {}
        self.reschedules = 0

    def record_limit(self, limit: float) -> None:
        """Record an entry with `limit` seconds that is not the usual one.

        It becomes that while none is: the first of all is often entered late, with imports and caches to fill.
        """
        if limit == math.inf:
            self.unlimited += 1
            return
        limit = max(0.0, limit)
        if self.usual == 0 and limit > 0.0:
            self._make_usual(limit)
        self.limits.record(limit)

    def _make_usual(self, limit: float) -> None:
        """Count limits within 0.1 % of `limit`, and of its bucket, as it: between the reading of the clock in
        `timeout()` and that on entry some microseconds pass, so the same delay is never granted twice exactly."""
        bounds = (0.0, *self.limits.bounds, math.inf)
        bucket = bisect_left(bounds, limit)
        self.usual_limit = limit
        self.usual_above = max(limit * 0.999, bounds[bucket - 1])
        self.usual_below = min(limit * 1.001, math.nextafter(bounds[bucket], math.inf))
        # What is within this is within the first bucket of utilization too, so one comparison serves both.
        self.quick_up_to = min(_metrics.DURATION.bounds[0], self.usual_above * _metrics.UTILIZATION.bounds[0])

    def record_completed(self, elapsed: float, limit: float) -> None:
        """Record an exit in time that is not quick; on the hot path, so written out."""
        durations, ratios, ratio = self.completed, self.utilization, elapsed / limit
        durations.counts[bisect_left(durations.bounds, elapsed)] += 1
        durations.total += elapsed
        ratios.counts[bisect_left(ratios.bounds, ratio)] += 1
        ratios.total += ratio

    def record_exit(self, outcome: Outcome, elapsed: float, limit: float) -> None:
        """Record an exit that is not quick; `limit` is ``inf`` with no deadline."""
        duration = self.duration.get(outcome)
        if duration is None:
            duration = self.duration[outcome] = Histogram(_metrics.DURATION.bounds)
        duration.record(elapsed)
        if 0.0 < limit < math.inf and outcome is not Outcome.REJECTED:
            self.utilization.record(elapsed / limit)

    def add_to(self, table: Table) -> None:
        """Add these figures to `table`. Reads each number once, exits before entries: `active` is never negative."""
        name = (self.name,)
        quick, seconds = self.quick, self.quick_seconds
        closed = quick
        for outcome, histogram in list(self.duration.items()):
            closed += _merge(table, _metrics.DURATION, (self.name, outcome.value), histogram)
        closed_quick = Histogram(_metrics.DURATION.bounds)
        closed_quick.counts[0], closed_quick.total = quick, seconds
        _merge(table, _metrics.DURATION, (self.name, Outcome.COMPLETED.value), closed_quick)
        ratios = self.utilization.copy()
        if quick:
            ratios.counts[0] += quick
            ratios.total += seconds / self.usual_limit
        _merge(table, _metrics.UTILIZATION, name, ratios)
        limits = self.limits.copy()
        if usual := self.usual:
            limits.counts[bisect_left(limits.bounds, self.usual_limit)] += usual
            limits.total += usual * self.usual_limit
        opened = sum(limits.counts) + self.unlimited
        _merge(table, _metrics.LIMIT, name, limits)
        _merge(table, _metrics.UNWIND, name, self.unwind)
        for outcome, count in list(self.expirations.items()):
            _sum(table, _metrics.EXPIRATIONS, (self.name, outcome.value), count)
        for owner, count in list(self.interruptions.items()):
            _sum(table, _metrics.INTERRUPTIONS, (self.name, owner), count)
        for (reason, mode), count in list(self.rejections.items()):
            _sum(table, _metrics.REJECTIONS, (self.name, reason, mode), count)
        if self.reschedules:
            _sum(table, _metrics.RESCHEDULES, name, self.reschedules)
        _sum(table, _metrics.ACTIVE, name, opened - closed)


class LoopSeries:
    """All the figures of one loop."""

    __slots__ = ("by_name", "timer_lag")

    def __init__(self) -> None:
        self.by_name: dict[str, Series] = {}
        self.timer_lag = Histogram(_metrics.TIMER_LAG.bounds)

    def add_to(self, table: Table) -> None:
        for series in list(self.by_name.values()):
            series.add_to(table)
        _merge(table, _metrics.TIMER_LAG, (), self.timer_lag)


_lock = threading.Lock()
"""A leaf: nothing else is taken under it."""

_live: dict[weakref.ref[object], LoopSeries] = {}
_retired: Table = {}
_process: Table = {}
_labels: set[str] = set()
_overflowed = False
max_names = 200


def register(loop_state: object) -> LoopSeries:
    """The figures of a new loop; they are folded some time after `loop_state`, their only writer, is gone."""
    with _lock:
        _fold()
        series = _live[weakref.ref(loop_state)] = LoopSeries()
        return series


def writers() -> list[object]:
    """The loop states that are alive."""
    with _lock:
        return [state for reference in _live if (state := reference()) is not None]


def snapshot() -> Table:
    """The figures of the whole process, now: for each metric, its values by label values (in the metric's order).

    Counters and up-down counters are ints, histograms `Histogram`. Metrics without an event yet are not in it. Safe in
    any thread; never blocks a loop.
    """
    with _lock:
        _fold()
        table: Table = {}
        for source in (_retired, _process):
            for metric, values in source.items():
                for labels, value in values.items():
                    _put(table, metric, labels, value)
        live = list(_live.values())
    for loop_series in live:
        loop_series.add_to(table)
    return table


def count(metric: Metric, labels: Labels, amount: int = 1) -> None:
    """Add to a counter of the process as a whole: rare events only, this takes a lock."""
    with _lock:
        _sum(_process, metric, labels, amount)


def record(metric: Metric, labels: Labels, value: float) -> None:
    """Record into a histogram of the process as a whole: rare events only, this takes a lock."""
    with _lock:
        one = Histogram(metric.bounds)
        one.record(value)
        _merge(_process, metric, labels, one)


def label(name: str) -> str:
    """`name` as a label value: itself, or ``_OTHER`` once `max_names` others were first."""
    global _overflowed
    if name in _labels:
        return name
    with _lock:
        if len(_labels) < max_names:
            _labels.add(name)
            return name
        complain, _overflowed = not _overflowed, True
    if complain:
        _log.warning(
            "more than %d names of timeouts: %r and all later ones are counted as %r. Names come from code, "
            "never from data; max_names= of install() raises the cap",
            max_names,
            name,
            _metrics.OTHER,
        )
    return _metrics.OTHER


def reset() -> None:
    """Forget every figure (for tests). Loops that live on keep counting, from zero."""
    global _overflowed
    with _lock:
        _fold()
        _retired.clear()
        _process.clear()
        _labels.clear()
        _overflowed = False
        for loop_series in _live.values():
            loop_series.by_name.clear()
            loop_series.timer_lag = Histogram(_metrics.TIMER_LAG.bounds)


def _unlock() -> None:
    """In a forked child: whoever held the lock is not there to let it go."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unlock)


def _fold() -> None:
    """Move the figures of loops that are gone to the retired ones. Holds the lock."""
    for reference in [reference for reference in _live if reference() is None]:
        _live.pop(reference).add_to(_retired)


def _put(table: Table, metric: Metric, labels: Labels, value: Value) -> None:
    if isinstance(value, Histogram):
        _merge(table, metric, labels, value)
    else:
        _sum(table, metric, labels, value)


def _sum(table: Table, metric: Metric, labels: Labels, amount: int) -> None:
    values = table.setdefault(metric, {})
    before = values.get(labels, 0)
    assert isinstance(before, int)
    values[labels] = before + amount


def _merge(table: Table, metric: Metric, labels: Labels, histogram: Histogram) -> int:
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

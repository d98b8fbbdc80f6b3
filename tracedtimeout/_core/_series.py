"""The numbers of the process: those of every loop, living or gone, and the sums over all of them.

A series is written by one thread only, the one its loop runs in, so counting takes no lock. The figures of a loop live
apart from it: when nothing can write to them any more (its `LoopState` is gone) they are folded into the retired ones
the next time anybody reads or a loop comes along. Folding in ``__del__`` broke at interpreter shutdown.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from typing import Any

from . import _metrics
from ._lanes import Lane
from ._metrics import Metric
from ._tally import Histogram, Labels, Series, Table, Value, merge, total

__all__ = ["Histogram", "Labels", "LoopSeries", "Series", "Table", "Value"]

_log = logging.getLogger("tracedtimeout")


class LoopSeries:
    """All the figures of one loop."""

    __slots__ = ("by_name", "sites", "timer_lag")

    def __init__(self) -> None:
        self.by_name: dict[str, Series] = {}
        self.sites: dict[int, Series] = {}  # by `id` of the code, which `_names.sites` keeps alive
        self.timer_lag = Histogram(_metrics.TIMER_LAG.bounds)

    def add_to(self, table: Table) -> None:
        for series in list(self.by_name.values()):
            series.add_to(table)
        merge(table, _metrics.TIMER_LAG, (), self.timer_lag)

    def let_go(self) -> None:
        """Hold no timeout of a loop that is closed: through its task it would keep the loop alive, and that these."""
        for series in list(self.by_name.values()):
            series.lane = Lane()
            if series.unusual is not None:
                series.unusual.lane = series.lane


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
        total(_process, metric, labels, amount)


def record(metric: Metric, labels: Labels, value: float) -> None:
    """Record into a histogram of the process as a whole: once a request at most, this takes a lock."""
    with _lock:
        try:
            histogram: Any = _process[metric][labels]
        except KeyError:
            histogram = _process.setdefault(metric, {})[labels] = Histogram(metric.bounds)
        histogram.record(value)


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
            loop_series.sites.clear()
            loop_series.timer_lag = Histogram(_metrics.TIMER_LAG.bounds)


def _unlock() -> None:
    """In a forked child: whoever held the lock is not there to let it go."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unlock)


def _fold() -> None:
    """Move the figures of loops that are gone to the retired ones. Holds the lock."""
    for reference, figures in _live.items():
        state: Any = reference()
        if state is not None and ((loop := state.loop()) is None or loop.is_closed()):
            figures.let_go()
    for reference in [reference for reference in _live if reference() is None]:
        _live.pop(reference).add_to(_retired)


def _put(table: Table, metric: Metric, labels: Labels, value: Value) -> None:
    if isinstance(value, Histogram):
        merge(table, metric, labels, value)
    else:
        total(table, metric, labels, value)

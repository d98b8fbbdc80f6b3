"""The figures of the process: those of every loop, living or gone, and the counts that belong to no loop.

A loop's figures are written by its thread alone, so counting takes no lock. `_folding` is held by readers only; nobody
who enters, leaves or counts waits for it, since the garbage collector may close a timeout in the middle of a reader.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import weakref
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from .._outcome import Outcome
from . import _metrics
from ._metrics import Metric
from ._series import Figures, Series, forget_bounds
from ._table import Histogram, Labels, Table, Value, merge, total

__all__ = ["Histogram", "Labels", "LoopFigures", "Series", "Table", "Value"]

_log = logging.getLogger("tracedtimeout")


class LoopFigures:
    """All the figures of one loop."""

    __slots__ = ("by_name", "headers", "timer_lag")

    def __init__(self) -> None:
        self.by_name: dict[str, Figures] = {}
        self.timer_lag = Histogram(_metrics.TIMER_LAG.bounds)
        self.headers: dict[Metric, dict[str, Histogram]] = {_metrics.RECEIVED: {}, _metrics.TRANSIT: {}}
        """By the headers that requests came with."""

    def of(self, label: str) -> Figures:
        """The figures of the name that is counted as `label`."""
        figures = self.by_name.get(label)
        if figures is None:
            figures = self.by_name[label] = Figures(label)
        return figures

    def of_header(self, metric: Metric, header: str) -> Histogram:
        """The figures of `metric`, one of `headers`, for `header`."""
        found = self.headers[metric].get(header)
        if found is None:
            found = self.headers[metric][header] = Histogram(metric.bounds)
        return found

    def forget(self) -> None:
        """Begin anew."""
        self.by_name.clear()
        self.timer_lag = Histogram(_metrics.TIMER_LAG.bounds)
        for by_header in self.headers.values():
            by_header.clear()

    def add_to(self, table: Table) -> None:
        for figures in list(self.by_name.values()):
            figures.add_to(table)
        merge(table, _metrics.TIMER_LAG, (), self.timer_lag)
        for metric, by_header in self.headers.items():
            for header, histogram in list(by_header.items()):
                merge(table, metric, (header,), histogram)


class Writer(Protocol):
    """A loop's state, which counts into figures."""

    figures: LoopFigures

    def complete(self) -> None:
        """Count what is left to be counted, if nobody else can: the loop is closed."""


_folding = threading.RLock()  # reentrant: a signal's handler may read in the midst of a reader
_reading = False
"""True while somebody holds `_folding`: what interrupts him must change nothing of what he reads."""
_writers: dict[int, weakref.ref[Writer]] = {}
_gone: deque[LoopFigures] = deque()
"""The figures of loops that are gone, until somebody reads."""
_events: deque[tuple[Metric, Labels, float]] = deque()
"""Counts and records for the process as a whole, until somebody reads."""
_MOST_EVENTS, _MOST_GONE = 1_000, 16
"""The most that waits where nobody reads: events, and figures of loops that are gone."""
_EXPIRED = Outcome.EXPIRED.value

_retired: Table = {}
_labels: dict[str, None] = {}
_announced: dict[str, None] = {}
_overflowed = False
max_names = 200


def register(writer: Writer) -> None:
    """Show the figures of a new loop from now on. `writer` hands them over by `retire` when it goes."""
    _fold_at_times()
    _writers[id(writer)] = weakref.ref(writer)


def retire(writer: Writer) -> None:
    """Keep the figures of `writer`, which is going. Called by its finalizer, in any thread at any time."""
    _writers.pop(id(writer), None)
    writer.complete()
    figures = writer.figures
    for each in figures.by_name.values():
        varied = list(each.varied.values())
        series: list[Any] = [*each.series, *varied, *(one.tight for one in varied)]
        for counted in series:
            counted.lane = None  # leads to the loop
    _gone.append(figures)


def writers() -> list[Any]:
    """The writers whose loops are alive. Safe in any thread."""
    return [writer for reference in list(_writers.values()) if (writer := reference()) is not None]


def snapshot() -> Table:
    """The figures of the whole process, now: for each metric, its values by label values (in the metric's order).

    Counters and up-down counters are ints, histograms `Histogram`. Metrics without an event yet are not in it. Safe in
    any thread; never blocks a loop.
    """
    table: Table = {}
    with _folding:
        living = writers()  # held, so that none of them is retired meanwhile and counted twice
        with _folded():
            for metric, values in _retired.items():
                for labels, value in values.items():
                    _put(table, metric, labels, value)
    for name in list(_announced):
        _stand_at_zero(table, name)
    for writer in living:
        writer.complete()
        writer.figures.add_to(table)
    return table


def _stand_at_zero(table: Table, name: str) -> None:
    """Add to `table` all that `Figures` of nothing would; a hundred of those take 3.3 ms, and these 0.4."""
    merge(table, _metrics.DURATION, (name, _EXPIRED), Histogram(_metrics.DURATION.bounds))
    total(table, _metrics.EXPIRATIONS, (name, _EXPIRED), 0)
    total(table, _metrics.ACTIVE, (name,), 0)


def count(metric: Metric, labels: Labels, amount: int = 1) -> None:
    """Add to a counter of the process as a whole."""
    _events.append((metric, labels, amount))
    _fold_at_times()


def record(metric: Metric, labels: Labels, value: float) -> None:
    """Record into a histogram of the process as a whole."""
    _events.append((metric, labels, value))
    _fold_at_times()


def is_counting() -> bool:
    """True if something was counted, or a loop is ready to: in the buckets of now."""
    return bool(writers() or _gone or _events or _retired)


def announce(name: str) -> None:
    """Have the series of `name` that stand at 0 be there before it is first entered."""
    if name not in _announced:
        _announced[label(name)] = None


def label(name: str) -> str:
    """`name` as a label value: itself, or ``_OTHER`` once `max_names` others were first. Takes no lock."""
    global _overflowed
    if name in _labels:
        return name
    if len(_labels) < max_names:
        _labels[name] = None
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
    """Forget every figure (for tests, and in a forked child). Loops that live on keep counting, from zero."""
    global _overflowed
    with _folding:
        _gone.clear()
        _events.clear()
        _retired.clear()
        _labels.clear()
        _announced.clear()
        _overflowed = False
        forget_bounds()
        for writer in writers():
            writer.forget()


def forked() -> None:
    """In the child of a fork: nothing is counted yet, and nobody holds the lock."""
    global _folding, _reading
    _folding, _reading = threading.RLock(), False
    _writers.clear()
    reset()


def _fold_at_times() -> None:
    """Keep what waits short where nobody reads. Never waits for the lock."""
    if (len(_events) > _MOST_EVENTS or len(_gone) > _MOST_GONE) and _folding.acquire(blocking=False):
        try:
            with _folded():
                pass
        finally:
            _folding.release()


@contextlib.contextmanager
def _folded() -> Iterator[None]:
    """Have what waits be with the retired figures, unless this interrupts somebody who reads them. Holds the lock."""
    global _reading
    if _reading:
        yield
        return
    _reading = True
    try:
        _fold()
        yield
    finally:
        _reading = False


def _fold() -> None:
    """Move what waits to the retired figures. Holds the lock."""
    for figures in _taken(_gone):
        figures.add_to(_retired)
    for metric, labels, value in _taken(_events):
        if metric.kind == "histogram":
            values = _retired.setdefault(metric, {})
            histogram = values.get(labels)
            if not isinstance(histogram, Histogram):
                histogram = values[labels] = Histogram(metric.bounds)
            histogram.record(value)
        else:
            total(_retired, metric, labels, int(value))


def _taken(queue: deque[Any]) -> Iterable[Any]:
    """The items of `queue`, taken out one by one."""
    with contextlib.suppress(IndexError):
        while True:
            yield queue.popleft()


def _put(table: Table, metric: Metric, labels: Labels, value: Value) -> None:
    if isinstance(value, Histogram):
        merge(table, metric, labels, value)
    else:
        total(table, metric, labels, value)

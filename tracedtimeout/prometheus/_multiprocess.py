"""Several worker processes: the figures of each in the files that prometheus_client sums.

Under ``PROMETHEUS_MULTIPROC_DIR`` prometheus_client reads no collectors, only values that every process keeps in files.
A timeout pays nothing for them: what the core counted is carried over once a second, the differences only, and when
the process is scraped, exits, or undoes `install`. So a worker killed by a signal takes the figures of its last second
with it, no more. (uvicorn ends its workers by a signal: let the lifespan's end call what `install` returned.) Recording
each timeout into prometheus_client's own metrics would lose nothing, and cost as much as several timeouts.
"""

from __future__ import annotations

import atexit
import os
import threading
from typing import TYPE_CHECKING, Any

from prometheus_client import values

from tracedtimeout._core import _observers, _series
from tracedtimeout._core._metrics import Metric
from tracedtimeout._shared.once import Once

from ._families import les

if TYPE_CHECKING:
    from tracedtimeout._core._timeout import Timeout

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"

EVERY = 1.0
"""Seconds between two transfers."""


class Transfer:
    """Carries the figures of this process over, from its first timeout on, until it is stopped."""

    def __init__(self) -> None:
        self._ended = threading.Event()
        self._complain = Once()

    def start(self) -> None:
        """Wait for the first timeout: threads do not survive a fork, and a server forks before it has any.

        Raises:
            RuntimeError: prometheus_client keeps its values elsewhere.
        """
        global _running
        if not values.ValueClass._multiprocess:
            raise RuntimeError(f"{VARIABLE} must be set before prometheus_client is imported")
        _running = self
        self._ended = threading.Event()
        _observers.add(self)
        atexit.register(self._carry_over)

    def stop(self) -> None:
        """Carry over what is left, for the last time."""
        global _running
        _observers.remove(self)
        self._ended.set()
        self._carry_over()
        atexit.unregister(self._carry_over)
        _running = None

    def __call__(self, timeout: Timeout, /) -> None:
        _observers.remove(self)
        threading.Thread(target=self._run, args=(self._ended,), name="tracedtimeout-transfer", daemon=True).start()

    def start_again(self) -> None:
        """In the child of a fork, where no thread runs."""
        self._ended = threading.Event()
        _observers.remove(self)
        _observers.add(self)

    def _run(self, ended: threading.Event) -> None:
        while not ended.wait(EVERY):
            self._carry_over()

    def _carry_over(self) -> None:
        try:
            transfer()
        except Exception as exc:
            self._complain(f"figures cannot be written to {VARIABLE}", exc)


_running: Transfer | None = None
_lock = threading.Lock()

Key = tuple[Metric, _series.Labels]

_given: dict[Key, list[float]] = {}
"""The numbers of each series that were carried over, or counted by the process that this one was forked from."""

_cells: dict[Key, list[Any]] = {}


def transfer() -> None:
    """Add to the files of this process what it counted since the last time; nothing unless installed."""
    if _running is None:
        return
    with _lock:
        for metric, figures in _series.snapshot().items():
            for labels, value in figures.items():
                _add((metric, labels), _numbers(value))


def _add(series: Key, numbers: list[float]) -> None:
    given = _given.get(series)
    if given == numbers:
        return
    cells = _cells.get(series)
    if cells is None:
        cells = _cells[series] = _made(*series)
    for cell, number, before in zip(cells, numbers, given or [0.0] * len(numbers), strict=True):
        if number != before:
            cell.inc(number - before)
    _given[series] = numbers


def _numbers(value: _series.Value) -> list[float]:
    return [*value.counts, value.total] if isinstance(value, _series.Histogram) else [value]


def _made(metric: Metric, labels: _series.Labels) -> list[Any]:
    """The values of a series, one for each of its numbers, as prometheus_client's own metrics make them."""
    name, help_text, keys = metric.prometheus_name, metric.description, metric.labels
    if metric.kind == "counter":
        family = name.removesuffix("_total")
        return [values.ValueClass("counter", family, name, keys, labels, help_text)]
    if metric.kind == "updowncounter":
        return [values.ValueClass("gauge", name, name, keys, labels, help_text, multiprocess_mode="livesum")]
    buckets = [
        values.ValueClass("histogram", name, f"{name}_bucket", (*keys, "le"), (*labels, le), help_text)
        for le in les(metric.bounds)
    ]
    return [*buckets, values.ValueClass("histogram", name, f"{name}_sum", keys, labels, help_text)]


def _before_fork() -> None:
    """Let no thread be half way through; take what was counted here for what the child must not count again."""
    _lock.acquire()
    if VARIABLE not in os.environ:
        return
    _at_fork.update(
        ((metric, labels), _numbers(value))
        for metric, figures in _series.snapshot().items()
        for labels, value in figures.items()
    )


def _in_parent() -> None:
    _at_fork.clear()
    _lock.release()


def _in_child() -> None:
    _given.clear()
    _given.update(_at_fork)
    _at_fork.clear()
    _lock.release()
    if _running is not None:
        _running.start_again()


_at_fork: dict[Key, list[float]] = {}

if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(before=_before_fork, after_in_parent=_in_parent, after_in_child=_in_child)

"""An installation: all that one call of `install()` puts in place. The only module that knows every exporter."""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, cast

from prometheus_client.registry import CollectorRegistry

from tracedtimeout import prometheus
from tracedtimeout._core import _observers
from tracedtimeout._core._observers import Observer
from tracedtimeout._core.figures import _metrics, _process
from tracedtimeout._shared import trust
from tracedtimeout.prometheus import _multiprocess

from ._limits import Limits
from ._settings import ACCEPT, LIMITS, MAX_NAMES, MAXIMUM, Bounds, Registry, Spans

if TYPE_CHECKING:
    from tracedtimeout.otlp._meters import Pipeline


def prepared(
    registry: Registry,
    spans: Spans,
    *,
    observers: Iterable[Observer],
    buckets: Bounds | None,
    max_names: int,
    accept: tuple[str, ...],
    maximum: float | None,
    limits: Limits,
) -> Installation:
    """An installation of settings that are known to be good; nothing is in place before `put_in_place`."""
    told = (*_span_observers(spans), *observers)
    return Installation(_prometheus(registry), _meters(), told, buckets, max_names, accept, maximum, limits)


def _span_observers(policy: Spans) -> tuple[Observer, ...]:
    if policy == "off":
        return ()
    from tracedtimeout.spans import SpanObserver  # noqa: PLC0415  # not paid for without spans

    return (SpanObserver(policy),)


def _prometheus(registry: Registry) -> _Registered | _multiprocess.Transfer | None:
    if registry is None:
        return None
    return _multiprocess.Transfer() if _multiprocess.VARIABLE in os.environ else _Registered(registry)


def _meters() -> Pipeline:
    from tracedtimeout.otlp._meters import pipeline_at  # noqa: PLC0415  # OpenTelemetry's metrics take 8 ms to import

    return pipeline_at(None, _join)


def _join(pipeline: Pipeline) -> None:
    """Have the histograms join OpenTelemetry's metrics; in a collection of its SDK, so that it is imported anyway."""
    with suppress(ImportError):  # of another SDK, that has but our counters
        from tracedtimeout.otlp import _histograms  # noqa: PLC0415  # see above

        _histograms.join(pipeline)


@dataclass(frozen=True, slots=True)
class _Registered:
    """Our collector in a registry."""

    registry: CollectorRegistry
    collector: prometheus.Collector = field(default_factory=prometheus.Collector)

    def start(self) -> None:
        self._replace_former()
        self.collector.installed = True  # first: so that the next `install` may take out what this was broken off in
        self.registry.register(self.collector)

    def _replace_former(self) -> None:
        """Take out what an `install` registered that this one knows nothing of: the package was imported anew since."""
        former = self.registry._names_to_collectors.get(_metrics.ACTIVE.prometheus_name)
        if getattr(former, "installed", False):
            self.registry.unregister(cast(CollectorRegistry, former))

    def stop(self) -> None:
        with suppress(KeyError):  # its owner may have taken it out
            self.registry.unregister(self.collector)


@dataclass(frozen=True, slots=True, eq=False)
class Installation:
    """One call of `install`, its settings known to be good."""

    prometheus: _Registered | _multiprocess.Transfer | None
    meters: Pipeline
    observers: tuple[Observer, ...]
    buckets: Bounds | None
    max_names: int
    accept: tuple[str, ...]
    maximum: float | None
    limits: Limits

    def apply(self) -> None:
        _choose(self.buckets)
        if self.prometheus is not None:
            self.prometheus.start()
        _process.max_names = self.max_names
        self.behave()
        _observers.add(*self.observers)
        self.meters.start(self)

    def behave(self) -> None:
        """Have deadlines and limits be as was chosen: that is no telemetry."""
        trust.accept, trust.maximum = self.accept, self.maximum
        self.limits.put_in_force()

    def revert(self) -> None:
        self.meters.stop(self)
        _observers.remove(*self.observers)
        _process.max_names = MAX_NAMES.default()
        trust.accept, trust.maximum = ACCEPT.default(), MAXIMUM.default()
        LIMITS.default().put_in_force()
        if self.prometheus is not None:
            self.prometheus.stop()
        self.forget_buckets()

    def forget_buckets(self) -> None:
        """Take back the choice of buckets, unless figures stand in them."""
        if self.buckets is not None and not _counted():
            _metrics.choose_buckets({})

    def undo(self) -> None:
        """Take back what `install` did, unless that was undone or replaced before."""
        _in_turn(self._undo)

    def _undo(self) -> None:
        global _current
        if _current is self:
            self.revert()
            _current = None


_lock = threading.RLock()  # reentrant: see `_in_turn`
_current: Installation | None = None
_next: deque[Callable[[], None]] = deque()

if hasattr(os, "register_at_fork"):  # not on Windows; the child of a fork has all of an installation, or none of it
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)


def _in_turn(change: Callable[[], None]) -> None:
    """Make a change; one that a signal's handler asks for in the midst of another is made right after that."""
    with _lock:
        if _interrupts_one(sys._getframe(1)):
            _next.append(change)
            return
        try:
            change()
        finally:
            while _next:
                _next.popleft()()


def _interrupts_one(frame: FrameType | None) -> bool:
    """True if a change is under way in this thread; looked up in its stack, since no exception can leave that wrong."""
    while frame is not None and frame.f_code is not _in_turn.__code__:
        frame = frame.f_back
    return frame is not None


def put_in_place(wanted: Installation) -> None:
    """Replace the installation in force by `wanted`; if that fails, all is as before."""
    _in_turn(partial(_put_in_place, wanted))


def _put_in_place(wanted: Installation) -> None:
    global _current
    before = _current
    try:
        if before is not None:
            before.revert()
        wanted.apply()
        _current = wanted
    except BaseException:
        wanted.revert()
        _put_back(before)
        raise


def _put_back(before: Installation | None) -> None:
    """Have `before` be the installation in force, of which anything may be in place, or nothing."""
    global _current
    _current = before
    if before is not None:
        before.revert()
        before.apply()


def suspend() -> Callable[[], None]:
    """Take back the telemetry of the installation in force; what it returns puts it back."""
    global _current
    with _lock:
        before = _current
        try:
            if before is not None:
                before.revert()
                before.behave()
            _current = None
        except BaseException:
            _put_back(before)
            raise
    return lambda: None if before is None else put_in_place(before)


def _choose(buckets: Bounds | None) -> None:
    if buckets is None or all(metric.bounds == buckets.get(metric.name, metric.bounds) for metric in _metrics.METRICS):
        return
    if _counted():
        raise RuntimeError("buckets can be set until the first timeout is entered: call install() before that")
    _metrics.choose_buckets(buckets)


def _counted() -> bool:
    """True if figures stand in the buckets of now: something was recorded, or a loop is ready to."""
    return _process.is_counting()

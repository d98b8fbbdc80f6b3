"""`install()`: the one call that wires telemetry, and the only module that knows every exporter."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prometheus_client.registry import CollectorRegistry

from tracedtimeout import prometheus
from tracedtimeout._core import _metrics, _observers, _series
from tracedtimeout._core._observers import Observer
from tracedtimeout._disabled import DISABLED
from tracedtimeout.prometheus import _multiprocess

from ._settings import BUCKETS, MAX_NAMES, OBSERVERS, REGISTRY, SPANS, Bounds, Registry, Setting, Spans

if TYPE_CHECKING:
    from tracedtimeout.otlp._meters import Pipeline


def install(
    *,
    registry: CollectorRegistry | Setting[Registry] | None = REGISTRY,
    spans: Spans | Setting[Spans] = SPANS,
    observers: Iterable[Observer] | Setting[tuple[Observer, ...]] = OBSERVERS,
    buckets: Bounds | Sequence[float] | Setting[Bounds | None] | None = BUCKETS,
    max_names: int | Setting[int] = MAX_NAMES,
) -> Callable[[], None]:
    """Export what timeouts do from now on. A second call replaces the first; what it returns undoes it.

    OpenTelemetry's metrics and spans go through its global providers, if the application sets them, before or after;
    through another meter provider with `tracedtimeout.otlp.instrument`. Prometheus's families go to `registry`.

    An argument that is left out is taken from the environment variable ``TRACEDTIMEOUT_`` and its name in capitals,
    else it is the default given here.

    Args:
        registry: where Prometheus's families go: `prometheus_client.REGISTRY`; None for nowhere. In the environment
            ``module:attribute`` or ``none``. With ``PROMETHEUS_MULTIPROC_DIR`` set they go to its files instead.
        spans: ``always``, ``late`` (only of timeouts that expired or overran) or ``off``.
        observers: told of every timeout, after spans are begun and before they end. In the environment
            ``module:attribute``, several between commas; classes are called.
        buckets: upper bounds by instrument name (``tracedtimeout.unwind``), or those of all histograms that have the
            common seconds buckets. Settable until something was counted, and they stay then. In the environment
            ``0.1,1,10`` or ``tracedtimeout.duration=0.1,1;tracedtimeout.unwind=0.01,0.1``.
        max_names: 200 names of timeouts have figures of their own, later ones share those of ``_OTHER``.

    With ``TRACEDTIMEOUT_DISABLED=1`` it does nothing.

    Raises:
        TypeError, ValueError: bad input; the message names the parameter or the variable. Nothing has changed then.
        RuntimeError: `buckets` differ from those that figures already stand in.
    """
    if DISABLED:
        return lambda: None
    policy = SPANS.value(spans)
    wanted = _Installation(
        _prometheus(REGISTRY.value(registry)),
        _meters(),
        (*_span_observers(policy), *OBSERVERS.value(observers)),
        BUCKETS.value(buckets),
        MAX_NAMES.value(max_names),
    )
    _replace(wanted)
    return wanted.undo


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
        self.registry.register(self.collector)

    def stop(self) -> None:
        with suppress(KeyError):  # its owner may have taken it out
            self.registry.unregister(self.collector)


@dataclass(frozen=True, slots=True, eq=False)
class _Installation:
    """One call of `install`, its settings known to be good."""

    prometheus: _Registered | _multiprocess.Transfer | None
    meters: Pipeline
    observers: tuple[Observer, ...]
    buckets: Bounds | None
    max_names: int

    def apply(self) -> None:
        _choose(self.buckets)
        if self.prometheus is not None:
            self.prometheus.start()
        _series.max_names = self.max_names
        _observers.add(*self.observers)
        self.meters.start(self)

    def revert(self) -> None:
        self.meters.stop(self)
        _observers.remove(*self.observers)
        _series.max_names = MAX_NAMES.default
        if self.prometheus is not None:
            self.prometheus.stop()
        self.forget_buckets()

    def forget_buckets(self) -> None:
        """Take back the choice of buckets, unless figures stand in them."""
        if self.buckets is not None and not _counted():
            _metrics.choose_buckets({})

    def undo(self) -> None:
        """Take back what `install` did, unless that was undone or replaced before."""
        global _current
        with _lock:
            if _current is self:
                self.revert()
                _current = None


_lock = threading.Lock()
_current: _Installation | None = None


def _replace(wanted: _Installation) -> None:
    """Put `wanted` in the place of what is installed; if that fails, all is as before."""
    global _current
    with _lock:
        before = _current
        if before is not None:
            before.revert()
        try:
            wanted.apply()
        except BaseException:
            wanted.forget_buckets()
            if before is not None:
                before.apply()
            raise
        _current = wanted


def _choose(buckets: Bounds | None) -> None:
    if buckets is None or all(metric.bounds == buckets.get(metric.name, metric.bounds) for metric in _metrics.METRICS):
        return
    if _counted():
        raise RuntimeError("buckets can be set until the first timeout is entered: call install() before that")
    _metrics.choose_buckets(buckets)


def _counted() -> bool:
    """Whether figures stand in the buckets of now: something was recorded, or a loop is ready to."""
    return bool(_series.writers() or _series.snapshot())

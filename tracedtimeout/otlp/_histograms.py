"""The core's histograms in what the readers of OpenTelemetry's SDK receive, as its own data classes."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import prometheus_client
from opentelemetry.sdk import metrics as sdk
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricReader,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client.registry import CollectorRegistry

from tracedtimeout import _exemplars
from tracedtimeout._core import _metrics, _series
from tracedtimeout._core._series import Labels, Table, Value
from tracedtimeout._shared.histograms import since
from tracedtimeout._shared.once import Once
from tracedtimeout._version import VERSION

from . import _meters
from ._meters import SCOPE, Pipeline, attributes

DELTA, CUMULATIVE = AggregationTemporality.DELTA, AggregationTemporality.CUMULATIVE

_HISTOGRAMS = tuple(metric for metric in _metrics.METRICS if metric.kind == "histogram")
_BY_NAME = {metric.name: metric for metric in _meters.OBSERVABLES}

named: weakref.WeakKeyDictionary[Pipeline, tuple[MetricReader, ...]] = weakref.WeakKeyDictionary()
_joined: weakref.WeakKeyDictionary[MetricReader, list[Pipeline]] = weakref.WeakKeyDictionary()


def join(pipeline: Pipeline) -> None:
    """Have the histograms join what readers receive; in a collection, since a provider may be given a reader late."""
    for reader in named.get(pipeline) or _readers_of(pipeline.provider):
        pipelines = _joined.setdefault(reader, [])
        if pipeline not in pipelines:
            pipelines.append(pipeline)
            _Join(reader, pipeline)


def _readers_of(provider: Any) -> Iterable[MetricReader]:
    """The readers of a provider of the SDK, which has no public way to them; none of another's."""
    readers: Iterable[MetricReader] | None = getattr(provider, "_metric_readers", None)
    if readers is None:  # the SDK of 1.30 keeps them in its configuration
        readers = getattr(getattr(provider, "_sdk_config", None), "metric_readers", ())
    return tuple(readers)


class _Join:
    """Stands in for a reader's `_receive_metrics`, which the SDK documents as what each reader overrides."""

    def __init__(self, reader: MetricReader, pipeline: Pipeline) -> None:
        preferred: Mapping[type, AggregationTemporality] = reader._preferred_temporality or {}
        self._temporality = preferred.get(sdk.Histogram, CUMULATIVE)
        self._pipeline = pipeline
        self._before: Table = {}
        self._before_ns = _metrics.STARTED_NS
        self._complain = Once()
        self._in_registry = _registry_of(reader)
        self._receive = reader._receive_metrics
        reader._receive_metrics = self  # type: ignore[method-assign]  # undone by nobody: it passes on what it is given

    def __call__(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> None:
        try:
            metrics_data = self._with_ours(metrics_data)
        except Exception as exc:
            self._complain("the histograms of timeouts could not be exported", exc)
        self._receive(metrics_data, timeout_millis=timeout_millis, **kwargs)

    def _with_ours(self, data: MetricsData) -> MetricsData:
        if not self._pipeline.running or not data.resource_metrics:
            return data
        if self._in_registry is not None and _metrics.ACTIVE.prometheus_name in self._in_registry._names_to_collectors:
            return _without_ours(data)
        figures, now_ns = self._pipeline.figures, time.time_ns()
        if _metrics.ACTIVE in figures and not any(map(_is_ours, data.resource_metrics[0].scope_metrics)):
            return data  # a view dropped them all
        start_ns = {CUMULATIVE: _metrics.STARTED_NS, DELTA: self._before_ns}
        histograms = [
            Metric(metric.name, metric.description, metric.unit, Histogram(points, self._temporality))
            for metric in _HISTOGRAMS
            if (points := list(self._points(metric, figures, start_ns[self._temporality], now_ns)))
        ]
        first, *others = data.resource_metrics
        scopes = list(_with_histograms(first, histograms, partial(_timed, start_ns, self._before_ns, now_ns)))
        self._before, self._before_ns = figures, now_ns
        return replace(data, resource_metrics=[replace(first, scope_metrics=scopes), *others])

    def _points(
        self, metric: _metrics.Metric, figures: Table, start_ns: int, now_ns: int
    ) -> Iterable[HistogramDataPoint]:
        before = self._before.get(metric, {}) if self._temporality is DELTA else {}
        for labels, value in figures.get(metric, {}).items():
            recorded = _since(before.get(labels), value)
            if count := sum(recorded.counts):
                yield HistogramDataPoint(
                    exemplars=_exemplars_of(metric, labels, self._before_ns),
                    attributes=attributes(metric, labels),
                    start_time_unix_nano=start_ns,
                    time_unix_nano=now_ns,
                    count=count,
                    sum=recorded.total,
                    bucket_counts=recorded.counts,
                    explicit_bounds=recorded.bounds,
                    min=None,  # type: ignore[arg-type]  # optional in the protocol, and left out by its encoder
                    max=None,  # type: ignore[arg-type]  # as above
                )


def _registry_of(reader: Any) -> CollectorRegistry | None:
    """The Prometheus registry that a reader of OpenTelemetry's writes to under our names; None for all others."""
    if getattr(reader, "_prefix", ""):
        return None
    registry: CollectorRegistry = getattr(reader, "_registry", prometheus_client.REGISTRY)  # older ones know no other
    return registry if getattr(reader, "_collector", None) in registry._collector_to_names else None


def _without_ours(data: MetricsData) -> MetricsData:
    first, *others = data.resource_metrics
    kept = [scope for scope in first.scope_metrics if not _is_ours(scope)]
    return replace(data, resource_metrics=[replace(first, scope_metrics=kept), *others])


def _is_ours(scope: ScopeMetrics) -> bool:
    return scope.scope.name == SCOPE


def _since(before: Value | None, value: Value) -> _series.Histogram:
    """The histogram of the values recorded since `before`; all of `value` where there is none."""
    assert isinstance(value, _series.Histogram)
    return since(before, value) if isinstance(before, _series.Histogram) else value


def _with_histograms(
    found: ResourceMetrics, histograms: list[Metric], timed: Callable[[Metric], Metric]
) -> Iterable[ScopeMetrics]:
    """The scopes of a resource, ours with its histograms."""
    for scope in found.scope_metrics:
        if _is_ours(scope):
            yield replace(scope, metrics=[*map(timed, scope.metrics), *histograms])
            histograms = []
        else:
            yield scope
    if histograms:
        yield ScopeMetrics(InstrumentationScope(SCOPE, VERSION), histograms, "")


def _timed(start_ns: Mapping[AggregationTemporality, int], before_ns: int, now_ns: int, metric: Metric) -> Metric:
    """A sum with its exemplars, and the start it counts from: the SDK takes an observable's first collection for it."""
    data, row = metric.data, _BY_NAME.get(metric.name)
    if not isinstance(data, Sum) or row is None:
        return metric  # a view made something else of it
    points = [
        replace(
            point,
            start_time_unix_nano=start_ns[data.aggregation_temporality],
            time_unix_nano=now_ns,
            exemplars=_exemplars_of(row, _labels(row, point), before_ns),
        )
        for point in data.data_points
    ]
    return replace(metric, data=replace(data, data_points=points))


def _exemplars_of(metric: _metrics.Metric, labels: Labels, since_ns: int) -> list[sdk.Exemplar]:
    """The exemplars that are new: the SDK's own reservoirs start anew with each collection too."""
    return [
        sdk.Exemplar({}, value, time_ns, span.span_id, span.trace_id)
        for span, value, unix_time in list(_exemplars.kept(metric, labels).values())
        if (time_ns := round(unix_time * 1e9)) >= since_ns
    ]


def _labels(metric: _metrics.Metric, point: NumberDataPoint) -> Labels:
    attributes = point.attributes or {}
    return tuple(str(attributes.get(label)) for label in metric.labels)

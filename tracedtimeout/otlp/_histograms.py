"""The core's histograms in what the readers of OpenTelemetry's SDK receive, as its own data classes."""

from __future__ import annotations

import math
import os
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, cast

import prometheus_client
from opentelemetry.sdk import metrics as sdk
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Histogram,
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

from tracedtimeout._core.figures import _metrics, _process
from tracedtimeout._core.figures._process import Labels, Table
from tracedtimeout._shared.once import Once
from tracedtimeout._version import VERSION

from . import _meters, _views
from ._meters import SCOPE, Pipeline
from ._points import exemplars_of, merged, point, recorded_since

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
        self._reader = weakref.ref(reader)
        self.ended: Table | None = None  # the ending that it has taken
        self.begin_anew(*_born)
        pipeline.takers.add(self)
        _joins.add(self)
        self._complain = Once()
        self._in_registry = _registry_of(reader)
        self._receive = reader._receive_metrics
        reader._receive_metrics = self  # type: ignore[method-assign]  # undone by nobody: it passes on what it is given

    def begin_anew(self, figures: Table, now_ns: int) -> None:
        """Tell of what is counted beyond `figures`, from now on."""
        self._parents: Table = getattr(self, "_before", {})  # what the SDK takes its next differences from
        self._before, self._before_ns, self._started_ns = figures, now_ns, now_ns

    def __call__(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> None:
        try:
            metrics_data = self._with_ours(metrics_data)
        except Exception as exc:
            self._complain("the histograms of timeouts could not be exported", exc)
        self._receive(metrics_data, timeout_millis=timeout_millis, **kwargs)

    def _with_ours(self, data: MetricsData) -> MetricsData:
        if not data.resource_metrics:
            return data
        ending = self._pipeline.ending
        if ending is None and not self._pipeline.running:
            return data
        known, self.ended = self.ended, ending
        self._pipeline.taken()
        if self._shows_elsewhere(ending) or (ending is not None and known is ending):
            return _without_ours(data)
        figures, now_ns = self._pipeline.figures, time.time_ns()
        self._started_ns = min(self._started_ns, now_ns)  # the system's clock may have been put back,
        self._before_ns = min(self._before_ns, now_ns)  # and no point may end before it starts
        start_ns = {CUMULATIVE: self._started_ns, DELTA: self._before_ns}
        histograms = list(self._built(figures, start_ns[self._temporality], now_ns))
        first, *others = data.resource_metrics
        with_exemplars = _views.wants_exemplars(self._pipeline.provider)
        parents, self._parents = self._parents, {}
        timed = partial(_timed, start_ns, self._before_ns if with_exemplars else math.inf, now_ns, parents)
        scopes = list(_with_histograms(first, histograms, timed))
        self._before, self._before_ns = figures, now_ns
        return replace(data, resource_metrics=[replace(first, scope_metrics=scopes), *others])

    def _shows_elsewhere(self, ending: Table | None) -> bool:
        """True if the registry that its reader writes to has our families anyway, or had them until the end."""
        registry = self._in_registry
        return registry is not None and (
            ending is not None or _metrics.ACTIVE.prometheus_name in registry._names_to_collectors
        )

    def _built(self, figures: Table, start_ns: int, now_ns: int) -> Iterator[Metric]:
        """The histograms, as the views of the provider have them."""
        provider, reader = self._pipeline.provider, self._reader()
        since_ns = self._before_ns if _views.wants_exemplars(provider) else math.inf
        for metric in _HISTOGRAMS:
            recorded = self._recorded(metric, figures)
            if not recorded or reader is None:
                continue
            for stream in _views.streams(provider, reader, metric):
                points = [
                    point(kept, histogram, exemplars, start_ns, now_ns)
                    for kept, histogram, exemplars in merged(metric, recorded, stream.keys, since_ns)
                ]
                yield Metric(stream.name, stream.description, metric.unit, Histogram(points, self._temporality))

    def _recorded(self, metric: _metrics.Metric, figures: Table) -> dict[Labels, _process.Histogram]:
        """The values of a histogram to export, by label values."""
        if self._temporality is not DELTA:
            return {labels: recorded_since(None, value) for labels, value in figures.get(metric, {}).items()}
        before = self._before.get(metric, {})
        new = {labels: recorded_since(before.get(labels), value) for labels, value in figures.get(metric, {}).items()}
        return {labels: value for labels, value in new.items() if any(value.counts)}


_joins: weakref.WeakSet[_Join] = weakref.WeakSet()
_born: tuple[Table, int] = {}, _metrics.STARTED_NS
"""The figures as this process began, and the time of that."""


def _in_child() -> None:
    """In a forked child: what its figures hold as it begins is its parent's to tell."""
    global _born
    _born = _process.snapshot(), time.time_ns()
    for each in list(_joins):
        each.begin_anew(*_born)


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_in_child)


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


def _timed(
    start_ns: Mapping[AggregationTemporality, int], before_ns: float, now_ns: int, parents: Table, metric: Metric
) -> Metric:
    """A sum with its exemplars and the start of its count, for which the SDK takes an observable's first collection.

    `parents` are the figures that the SDK still holds from before a fork, and takes a delta's difference from.
    """
    data, row = metric.data, _BY_NAME.get(metric.name)
    if not isinstance(data, Sum) or row is None:
        return metric  # a view made something else of it
    taken = parents.get(row, {}) if data.aggregation_temporality is DELTA else {}
    points = [
        replace(
            point,
            value=point.value + cast("int", taken.get(_labels(row, point), 0)),
            start_time_unix_nano=start_ns[data.aggregation_temporality],
            time_unix_nano=now_ns,
            exemplars=exemplars_of(row, _labels(row, point), before_ns),
        )
        for point in data.data_points
    ]
    return replace(metric, data=replace(data, data_points=points))


def _labels(metric: _metrics.Metric, point: NumberDataPoint) -> Labels:
    attributes = point.attributes or {}
    return tuple(str(attributes.get(label)) for label in metric.labels)

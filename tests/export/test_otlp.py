"""OTel metrics: the same figures as everywhere, in the application's pipeline, cumulative and delta."""

from __future__ import annotations

import asyncio
import gc
import gzip
import threading
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, NamedTuple

import grpc
import pytest
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpExporter
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as service
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc as service_grpc
from opentelemetry.sdk import metrics as sdk
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, MeterProvider, TraceBasedExemplarFilter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    HistogramDataPoint,
    InMemoryMetricReader,
    Metric,
    MetricExporter,
    MetricExportResult,
    MetricReader,
    NumberDataPoint,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.metrics.view import (
    Aggregation,
    DropAggregation,
    ExplicitBucketHistogramAggregation,
    ExponentialBucketHistogramAggregation,
    LastValueAggregation,
    View,
)
from opentelemetry.sdk.resources import Resource
from prometheus_client.registry import CollectorRegistry

from tests.export.test_prometheus import every_metric
from tests.support.telemetry import Spans, python, run
from tracedtimeout import _exemplars, otlp, timeout
from tracedtimeout._core import _observers
from tracedtimeout._core._hot import IMPLEMENTATION
from tracedtimeout._core.figures import _metrics, _process
from tracedtimeout._shared import build
from tracedtimeout._version import VERSION
from tracedtimeout.otlp import _histograms, _views
from tracedtimeout.otlp._meters import SCOPE, pipeline_at
from tracedtimeout.prometheus import Collector
from tracedtimeout.spans import SpanObserver


@pytest.fixture(autouse=True)
def _no_exemplars() -> Iterator[None]:
    _exemplars.reset()
    yield
    _exemplars.reset()


DELTAS: dict[type, AggregationTemporality] = dict.fromkeys(
    (sdk.Histogram, sdk.ObservableCounter), AggregationTemporality.DELTA
)


class Point(NamedTuple):
    """A figure as a test compares it."""

    metric: str
    labels: tuple[str, ...]
    value: float
    """Of a histogram its sum."""
    buckets: dict[float, int] | None = None
    """Those that are not empty, by upper bound."""


@contextmanager
def exported(*readers: MetricReader, **options: Any) -> Iterator[MeterProvider]:
    """A provider with `readers`, and our metrics in it."""
    provider = MeterProvider(readers, Resource({"service.name": "shop"}), shutdown_on_exit=False, **options)
    undo = otlp.instrument(provider)
    yield provider
    undo()
    with suppress(RuntimeError):
        provider.shutdown()


def read(reader: InMemoryMetricReader) -> list[Metric]:
    """What a reader has of our scope."""
    data = reader.get_metrics_data()
    if data is None:
        return []
    (resource,) = data.resource_metrics
    return [metric for scope in resource.scope_metrics if scope.scope.name == SCOPE for metric in scope.metrics]


def points(metrics: list[Metric], *names: str) -> list[Point]:
    """The figures of the metrics of those names, by label; histograms that stand at 0 are left out."""
    found = [
        _point(metric.name.removeprefix("tracedtimeout."), point)
        for metric in metrics
        if metric.name.removeprefix("tracedtimeout.") in names
        for point in sorted(metric.data.data_points, key=_labels)
    ]
    return [point for point in found if point.buckets != {}]


def _labels(point: Any) -> tuple[str, ...]:
    return tuple(map(str, (point.attributes or {}).values()))


def _point(name: str, point: Any) -> Point:
    labels = _labels(point)
    if isinstance(point, NumberDataPoint):
        return Point(name, labels, point.value)
    assert isinstance(point, HistogramDataPoint)
    counts = zip((*point.explicit_bounds, float("inf")), point.bucket_counts, strict=True)
    assert point.count == sum(point.bucket_counts)
    return Point(name, labels, point.sum, {bound: count for bound, count in counts if count})


def work(seconds: float = 0.25, name: str = "t") -> None:
    """One timeout of a second that takes `seconds`, on virtual time."""

    async def main() -> None:
        async with timeout(1.0, name=name):
            await asyncio.sleep(seconds)

    with suppress(TimeoutError):
        run(main())
    gc.collect()


def test_histograms_and_counters_are_exported_together() -> None:
    """One collection has the counters, `active` and the histograms of what happened."""
    reader = InMemoryMetricReader()
    with exported(reader):
        work(0.25)
        work(3.0)
        seen = read(reader)
    assert {metric.name for metric in seen} == {
        f"tracedtimeout.{name}"
        for name in ("expirations", "active", "duration", "limit", "utilization", "unwind", "timer_lag", "build.info")
    }
    assert points(seen, "expirations", "active", "duration", "limit", "utilization") == [
        Point("expirations", ("t", "expired"), 1),
        Point("active", ("t",), 0),
        Point("duration", ("t", "completed"), 0.25, {0.25: 1}),
        Point("duration", ("t", "expired"), 1.0, {1.0: 1}),
        Point("limit", ("t",), 2.0, {1.0: 2}),
        Point("utilization", ("t",), 1.25, {0.25: 1, 1.0: 1}),
    ]


def test_expiries_stand_at_0_from_the_first_entry() -> None:
    """Cumulative data show what a first burst rises from; of deltas the sum alone does."""
    cumulative, delta = InMemoryMetricReader(), InMemoryMetricReader(preferred_temporality=DELTAS)

    async def main() -> list[dict[str, list[float]]]:
        async with timeout(1.0, name="t"):
            return [_expired(read(reader)) for reader in (cumulative, delta)]

    with exported(cumulative, delta):
        assert run(main()) == [{"expirations": [0], "duration": [0]}, {"expirations": [0]}]


def _expired(metrics: list[Metric]) -> dict[str, list[float]]:
    """How many expired, by metric: the values of sums, the counts of histograms."""
    found: dict[str, list[float]] = {}
    for metric in metrics:
        for point in metric.data.data_points:
            if "expired" in _labels(point):
                number = point.value if isinstance(point, NumberDataPoint) else point.count
                found.setdefault(metric.name.removeprefix("tracedtimeout."), []).append(number)
    return found


def test_an_open_timeout_is_active() -> None:
    """The up-down counter is 1 in the body, while the limit alone is recorded."""
    reader = InMemoryMetricReader()

    async def main() -> list[Point]:
        async with timeout(1.0, name="t"):
            return points(read(reader), "active", "limit", "duration")

    with exported(reader):
        assert run(main()) == [Point("active", ("t",), 1), Point("limit", ("t",), 1.0, {1.0: 1})]
        assert points(read(reader), "active") == [Point("active", ("t",), 0)]


def test_each_metric_has_the_unit_and_words_of_the_table() -> None:
    """Name, unit, description and attribute keys are those of the table of metrics, for every row of it."""
    reader = InMemoryMetricReader()
    work()
    for metric in _metrics.METRICS:
        labels = tuple(f"a {label}" for label in metric.labels)
        if metric.kind == "histogram":
            _process.record(metric, labels, 0.5)
        else:
            _process.count(metric, labels)
    with exported(reader):
        seen = read(reader)
    assert {(found.name, found.unit, found.description) for found in seen} == {
        (metric.name, metric.unit, metric.description) for metric in build.METRICS
    }
    by_name = {found.name: found.data.data_points for found in seen}
    assert {name: tuple(data[-1].attributes or ()) for name, data in by_name.items()} == {
        metric.name: metric.labels for metric in build.METRICS
    }


def test_the_build_is_a_gauge() -> None:
    """The version and the implementation are told from the first collection on, in a gauge of value 1."""
    reader = InMemoryMetricReader()
    with exported(reader):
        (found,) = [metric for metric in read(reader) if metric.name == "tracedtimeout.build.info"]
    assert isinstance(found.data, Gauge)
    (point,) = found.data.data_points
    assert (point.value, dict(point.attributes or {})) == (1, {"version": VERSION, "implementation": IMPLEMENTATION})


def test_cumulative_figures_count_from_the_start_of_the_process() -> None:
    """Cumulative data keep their start, before the first timeout, and grow; what happened before is in them."""
    reader = InMemoryMetricReader()
    work(0.25)
    with exported(reader):
        first = read(reader)
        work(0.5)
        second = read(reader)
    assert points(first, "duration") == [Point("duration", ("t", "completed"), 0.25, {0.25: 1})]
    assert points(second, "duration") == [Point("duration", ("t", "completed"), 0.75, {0.25: 1, 0.5: 1})]
    counted = [metric for metric in (*first, *second) if not isinstance(metric.data, Gauge)]
    starts = {point.start_time_unix_nano for metric in counted for point in metric.data.data_points}
    assert starts == {_metrics.STARTED_NS}


def test_delta_figures_are_what_is_new() -> None:
    """Delta data hold what came since the last collection, and start where that ended; nothing new is no point."""
    reader = InMemoryMetricReader(preferred_temporality=DELTAS)
    with exported(reader):
        work(3.0)
        first = read(reader)
        work(0.5)
        second = read(reader)
        third = read(reader)
    assert points(first, "expirations", "duration") == [
        Point("expirations", ("t", "expired"), 1),
        Point("duration", ("t", "expired"), 1.0, {1.0: 1}),
    ]
    assert points(second, "expirations", "duration", "limit") == [
        Point("expirations", ("t", "expired"), 0),
        Point("duration", ("t", "completed"), 0.5, {0.5: 1}),
        Point("limit", ("t",), 1.0, {1.0: 1}),
    ]
    assert points(third, "duration", "limit", "utilization") == []
    assert _spans(first, "duration")[0][0] == _spans(first, "expirations")[0][0] == _metrics.STARTED_NS
    assert _spans(second, "duration")[0][0] == _spans(first, "duration")[0][1]
    assert _spans(second, "duration") == _spans(second, "expirations")
    assert _spans(third, "active")[0][0] == _metrics.STARTED_NS


def _spans(metrics: list[Metric], name: str) -> list[tuple[int, int]]:
    """From when to when the points of a metric count."""
    return [
        (point.start_time_unix_nano, point.time_unix_nano)
        for metric in metrics
        if metric.name == f"tracedtimeout.{name}"
        for point in metric.data.data_points
    ]


FORKED = """
import os
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from tests.export.test_otlp import DELTAS, exported, points, read, work
readers = InMemoryMetricReader(), InMemoryMetricReader(preferred_temporality=DELTAS)
with exported(*readers):
    for _ in range(3):
        work(3.0)
    list(map(read, readers))
    child = os.fork()
    if not child:
        work(3.0)
        print([points(read(reader), "expirations", "duration") for reader in readers], flush=True)
        os._exit(0)
    os.waitpid(child, 0)
"""


@pytest.mark.slow
def test_the_child_of_a_fork_counts_from_zero() -> None:
    """Neither cumulative nor delta data of a forked child hold what its parent counted. (A process of its own.)"""
    once = [Point("expirations", ("t", "expired"), 1), Point("duration", ("t", "expired"), 1.0, {1.0: 1})]
    assert python(FORKED) == f"{[once, once]}\n"


def test_two_readers_have_each_their_own_deltas() -> None:
    """A delta reader and a cumulative one, at one provider, do not disturb each other."""
    cumulative, delta = InMemoryMetricReader(), InMemoryMetricReader(preferred_temporality=DELTAS)
    with exported(cumulative, delta):
        work(0.25)
        seen = [points(read(reader), "duration") for reader in (delta, cumulative)]
        work(0.5)
        seen += [points(read(reader), "duration") for reader in (cumulative, delta)]
    labels = ("t", "completed")
    assert seen == [
        [Point("duration", labels, 0.25, {0.25: 1})],
        [Point("duration", labels, 0.25, {0.25: 1})],
        [Point("duration", labels, 0.75, {0.25: 1, 0.5: 1})],
        [Point("duration", labels, 0.5, {0.5: 1})],
    ]


def test_buckets_and_expirations_lead_to_their_spans() -> None:
    """Durations and expirations carry the last sampled span as exemplar, once; other metrics carry none."""
    reader, spans = InMemoryMetricReader(), Spans()
    observer = SpanObserver(tracer_provider=spans.provider)
    _observers.add(observer)
    with exported(reader):
        work(0.25)
        work(3.0)
        first, second = read(reader), read(reader)
    completed, expired = (span.context for span in spans.ended)
    assert completed is not None
    assert expired is not None
    assert _exemplars_in(first) == [
        ("expirations", 1.0, expired.trace_id, expired.span_id),
        ("duration", 0.25, completed.trace_id, completed.span_id),
        ("duration", 1.0, expired.trace_id, expired.span_id),
    ]
    assert _exemplars_in(second) == []


def _exemplars_in(metrics: list[Metric]) -> list[tuple[str, float, int | None, int | None]]:
    return [
        (metric.name.removeprefix("tracedtimeout."), exemplar.value, exemplar.trace_id, exemplar.span_id)
        for metric in metrics
        for point in sorted(metric.data.data_points, key=_labels)
        if isinstance(point, NumberDataPoint | HistogramDataPoint)
        for exemplar in point.exemplars
    ]


def test_what_the_application_measures_is_untouched() -> None:
    """The application's own metrics, in scopes of their own, and its resource, pass as they are."""
    reader = InMemoryMetricReader()
    with exported(reader) as provider:
        provider.get_meter("app").create_counter("orders").add(3)
        work()
        data = reader.get_metrics_data()
    assert data is not None
    (resource,) = data.resource_metrics
    assert resource.resource.attributes == {"service.name": "shop"}
    assert [(scope.scope.name, len(scope.metrics)) for scope in resource.scope_metrics] == [
        ("app", 1),
        (SCOPE, 6),
    ]
    (orders,) = resource.scope_metrics[0].metrics
    assert points([orders], "orders") == [Point("orders", (), 3)]


def test_histograms_come_without_their_counters() -> None:
    """Where no instrument of ours has anything to say, the histograms still join what there is."""
    reader = InMemoryMetricReader()
    no_build = View(instrument_name=build.BUILD_INFO.name, aggregation=DropAggregation())
    with exported(reader, views=[no_build]) as provider:
        provider.get_meter("app").create_counter("orders").add(3)
        _process.record(_metrics.SCRAPE_DURATION, (), 0.25)
        seen = read(reader)
        assert _scopes(reader) == [("app", None), (SCOPE, VERSION)]
    assert [metric.name for metric in seen] == ["tracedtimeout.scrape.duration"]


def test_a_view_that_drops_all_our_instruments_drops_the_histograms() -> None:
    """Who wants none of our metrics in a pipeline has none."""
    reader = InMemoryMetricReader()
    with exported(reader, views=[View(meter_name=SCOPE, aggregation=DropAggregation())]) as provider:
        provider.get_meter("app").create_counter("orders").add(3)
        work(3.0)
        assert _scopes(reader) == [("app", None)]


def test_the_scope_has_our_version() -> None:
    """The instrumentation scope says which release of the package counted, the one that is installed."""
    reader = InMemoryMetricReader()
    with exported(reader):
        work()
        assert _scopes(reader) == [(SCOPE, VERSION)]


def _scopes(reader: InMemoryMetricReader) -> list[tuple[str, str | None]]:
    """Name and version of each scope that a reader has something of."""
    data = reader.get_metrics_data()
    assert data is not None
    (resource,) = data.resource_metrics
    return [(scope.scope.name, scope.scope.version) for scope in resource.scope_metrics]


def test_what_a_view_makes_of_our_sums_is_left() -> None:
    """A view that turns a sum into something else, or renames it, has the last word."""
    reader = InMemoryMetricReader()
    gauge = View(instrument_name="tracedtimeout.active", aggregation=LastValueAggregation())
    renamed = View(instrument_name="tracedtimeout.expirations", name="gone")
    with exported(reader, views=[gauge, renamed]):
        work(3.0)
        seen = read(reader)
    kinds = {metric.name: type(metric.data).__name__ for metric in seen}
    assert (kinds["tracedtimeout.active"], kinds["gone"]) == ("Gauge", "Sum")


def test_undone_it_exports_nothing_and_again_it_does() -> None:
    """What `instrument` returns undoes it; asked for twice it exports once, until both have undone it."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    first, second = otlp.instrument(provider), otlp.instrument(provider)
    work()
    once = [Point("active", ("t",), 0), Point("duration", ("t", "completed"), 0.25, {0.25: 1})]
    assert points(read(reader), "active", "duration") == once
    first()
    first()
    assert points(read(reader), "active", "duration") == once
    second()
    assert points(read(reader), "active", "duration") == once
    assert read(reader) == []
    provider.get_meter("app").create_counter("orders").add(3)
    assert read(reader) == []
    otlp.instrument(provider)
    assert points(read(reader), "active", "duration") == once


def test_what_was_counted_before_an_undo_is_exported_once_to_each_reader() -> None:
    """The last figures reach every reader at its next collection, whatever is counted after that."""
    total, delta = InMemoryMetricReader(), InMemoryMetricReader(preferred_temporality=DELTAS)
    provider = MeterProvider([total, delta], shutdown_on_exit=False)
    undo = otlp.instrument(provider)
    work()
    assert len(read(delta)) == len(read(total)) > 0
    work(0.5)
    undo()
    work(0.5)
    assert points(read(total), "duration") == [Point("duration", ("t", "completed"), 0.75, {0.25: 1, 0.5: 1})]
    assert points(read(delta), "duration") == [Point("duration", ("t", "completed"), 0.5, {0.5: 1})]
    assert (read(total), read(delta)) == ([], [])


class _Kept(MetricExporter):
    """Keeps what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[list[Point]] = []

    def export(self, metrics_data: Any, timeout_millis: float = 0, **kwargs: Any) -> Any:
        found = [metric for one in metrics_data.resource_metrics for s in one.scope_metrics for metric in s.metrics]
        self.seen.append(points(found, "duration"))
        return MetricExportResult.SUCCESS

    def shutdown(self, timeout_millis: float = 0, **kwargs: Any) -> None: ...

    def force_flush(self, timeout_millis: float = 0) -> bool:
        return True


@pytest.mark.parametrize("undone_first", [True, False])
@pytest.mark.parametrize("collected", [True, False])
def test_nothing_is_lost_in_whatever_order_all_ends(undone_first: bool, collected: bool) -> None:
    """What was counted since the last export, if there was any, is exported by the provider's shutdown."""
    exporter = _Kept()
    provider = MeterProvider([PeriodicExportingMetricReader(exporter, 600_000)], shutdown_on_exit=False)
    undo = otlp.instrument(provider)
    work()
    if collected:
        provider.force_flush()
    work(0.5)
    first, second = (undo, provider.shutdown) if undone_first else (provider.shutdown, undo)
    first()
    second()
    assert exporter.seen[-1] == [Point("duration", ("t", "completed"), 0.75, {0.25: 1, 0.5: 1})]


VIEWS: list[tuple[list[View], set[str]]] = [
    (
        [View(instrument_name="tracedtimeout.active", aggregation=DropAggregation())],
        {"build.info", "duration", "limit", "utilization"},
    ),
    (
        [View(instrument_name="tracedtimeout.limit", aggregation=DropAggregation())],
        {"active", "build.info", "duration", "utilization"},
    ),
    ([View(instrument_unit="s", aggregation=DropAggregation())], {"active", "build.info", "utilization"}),
    ([View(instrument_type=sdk.Histogram, aggregation=DropAggregation())], {"active", "build.info"}),
    (
        [View(meter_name="other", aggregation=DropAggregation())],
        {"active", "build.info", "duration", "limit", "utilization"},
    ),
    (
        [View(meter_name=SCOPE, aggregation=DropAggregation()), View(instrument_name="tracedtimeout.limit")],
        {"limit"},
    ),
    (
        [View(instrument_name="tracedtimeout.limit", name="granted")],
        {"active", "build.info", "duration", "granted", "utilization"},
    ),
]


@pytest.mark.parametrize(("views", "left"), VIEWS)
def test_a_view_takes_what_it_names_and_nothing_else(views: list[View], left: set[str]) -> None:
    """By name, unit, kind or meter: the histograms obey views as the SDK's own instruments do."""
    reader = InMemoryMetricReader()
    with exported(reader, views=views) as provider:
        provider.get_meter("other").create_counter("orders").add(1)
        work()
        seen = {metric.name.removeprefix("tracedtimeout.") for metric in read(reader)}
        assert seen - {"expirations"} == left


def test_a_view_chooses_the_attributes_of_a_histogram() -> None:
    """Series that differ in nothing else are one."""
    reader = InMemoryMetricReader()
    views = [View(instrument_name="tracedtimeout.duration", attribute_keys={"timeout"})]
    with exported(reader, views=views):
        work(0.25)
        work(3.0)
        assert points(read(reader), "duration") == [Point("duration", ("t",), 1.25, {0.25: 1, 1.0: 1})]


@pytest.mark.parametrize(
    ("aggregation", "said"),
    [
        (ExponentialBucketHistogramAggregation(), "ExponentialBucketHistogramAggregation is asked for"),
        (ExplicitBucketHistogramAggregation([1, 2]), "bounds are chosen"),
    ],
)
def test_what_is_not_honoured_is_said_once(
    aggregation: Aggregation, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Other buckets than those counted in cannot be had: ours are exported, and the log says so, once."""
    _views._told.clear()
    reader = InMemoryMetricReader()
    with exported(reader, views=[View(instrument_name="tracedtimeout.duration", aggregation=aggregation)]):
        work()
        assert points(read(reader), "duration") == points(read(reader), "duration") != []
    (message,) = caplog.messages
    assert message.startswith(said)


def test_a_reader_that_prefers_exponential_histograms_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """The preference may come from OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION: it is not kept silent."""
    _views._told.clear()
    reader = InMemoryMetricReader(preferred_aggregation={sdk.Histogram: ExponentialBucketHistogramAggregation()})
    with exported(reader):
        work()
        assert points(read(reader), "duration")
    assert len(caplog.messages) == 3  # duration, limit and utilization


@pytest.mark.parametrize(("chosen", "shown"), [(AlwaysOffExemplarFilter(), 0), (TraceBasedExemplarFilter(), 1)])
def test_the_exemplar_filter_decides(chosen: Any, shown: int) -> None:
    """Where no exemplar is wanted there is none, of the histograms and of the sums."""
    spans, reader = Spans(), InMemoryMetricReader()
    observer = SpanObserver(tracer_provider=spans.provider)
    _observers.add(observer)
    with exported(reader, exemplar_filter=chosen):
        work(3.0)
        seen = {metric.name: metric for metric in read(reader)}
    _observers.remove(observer)
    found = [seen[f"tracedtimeout.{name}"].data.data_points[0].exemplars for name in ("duration", "expirations")]
    assert [len(exemplars) for exemplars in found] == [shown, shown]


SECOND = """
from opentelemetry import metrics
from opentelemetry.metrics import _internal
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.util._once import Once
from tests.export.test_otlp import points, read, work
from tracedtimeout import install
readers = []
for _ in range(2):
    readers.append(InMemoryMetricReader())
    _internal._METER_PROVIDER, _internal._METER_PROVIDER_SET_ONCE = None, Once()
    metrics.set_meter_provider(MeterProvider([readers[-1]]))
    install(registry=None, spans="off")
    work()
    print([len(points(read(reader), "duration")) for reader in readers])
"""


@pytest.mark.slow
def test_a_second_global_provider_gets_the_metrics() -> None:
    """After the next `install`; the first has the last figures once more, and then no more. (A process of its own.)"""
    assert python(SECOND) == "[1]\n[1, 1]\n"


DISABLED = """
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from tests.export.test_otlp import read, work
from tracedtimeout import install, timeout
reader = InMemoryMetricReader()
metrics.set_meter_provider(MeterProvider([reader]))
trace.set_tracer_provider(TracerProvider())
install(registry=None)
work()
print(read(reader), trace.get_current_span().get_span_context().is_valid)
"""


@pytest.mark.slow
def test_a_disabled_sdk_gets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """OTEL_SDK_DISABLED holds for ours as for all else. (A process of its own.)"""
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert python(DISABLED) == "[] False\n"


UNCOLLECTED = """
import os, warnings
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from tests.export.test_otlp import DELTAS, points, read, work
from tracedtimeout import otlp
reader = InMemoryMetricReader(preferred_temporality=DELTAS)
otlp.instrument(MeterProvider([reader]))
work()
warnings.simplefilter("ignore")
if child := os.fork():
    os.waitpid(child, 0)
work()
print(points(read(reader), "duration"), flush=True)
os._exit(0)
"""


@pytest.mark.slow
def test_a_forked_child_tells_of_its_own(capfd: pytest.CaptureFixture[str]) -> None:
    """The deltas of a child leave out what its parent counted before. (Processes.)"""
    child, parent = python(UNCOLLECTED).splitlines()
    assert child == str([Point("duration", ("t", "completed"), 0.25, {0.25: 1})])
    assert parent == str([Point("duration", ("t", "completed"), 0.5, {0.25: 2})])


def test_readers_can_be_named() -> None:
    """With `readers=` the histograms join the data of those alone."""
    first, second = InMemoryMetricReader(), InMemoryMetricReader()
    provider = MeterProvider([first, second], shutdown_on_exit=False)
    otlp.instrument(provider, readers=[second])
    work()
    assert [len(points(read(reader), "active", "duration")) for reader in (first, second)] == [1, 2]


class _Older:
    """What of a provider of OpenTelemetry 1.30 matters here."""

    class _sdk_config:  # noqa: N801  # the SDK's name
        metric_readers = (InMemoryMetricReader(),)


def test_readers_are_found_in_older_sdks() -> None:
    """OpenTelemetry 1.30 keeps the readers of a provider elsewhere."""
    assert _histograms._readers_of(_Older()) == _Older._sdk_config.metric_readers


def test_a_provider_of_another_make_is_no_error() -> None:
    """A provider that is not the SDK's is given the counters; it has no readers to join."""
    otlp.instrument(NoOpMeterProvider())()


def test_a_failure_of_ours_is_logged_once_and_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """Where the histograms cannot be built, the application's own metrics and our counters are still exported."""
    reader = InMemoryMetricReader()
    with exported(reader) as provider:
        provider.get_meter("app").create_counter("orders").add(3)
        _process.record(_metrics.SCRAPE_DURATION, ("stray",), 0.25)  # a label that the metric has not
        exports = [reader.get_metrics_data(), reader.get_metrics_data()]
    assert [data and len(data.resource_metrics[0].scope_metrics) for data in exports] == [2, 2]
    assert caplog.messages == ["the histograms of timeouts could not be exported; not logged again"]


GLOBAL = """
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from tests.export.test_otlp import points, read, work
from tracedtimeout import install, otlp
reader = InMemoryMetricReader()
provider = MeterProvider([reader])
{}
work()
print(points(read(reader), "active", "duration"))
"""

SET = "metrics.set_meter_provider(provider); "

ONCE = [Point("active", ("t",), 0), Point("duration", ("t", "completed"), 0.25, {0.25: 1})]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("calls", "seen"),
    [
        ("otlp.instrument(); " + SET, ONCE),
        ("install(); " + SET, ONCE),
        (SET + "install()", ONCE),
        ("install(); " + SET + "otlp.instrument(); otlp.instrument(provider)", ONCE),
        ("otlp.instrument(provider); " + SET + "install()", ONCE),
        ("otlp.instrument(provider); install(); " + SET, ONCE),
        ("otlp.instrument(provider)(); install(); " + SET, ONCE),
        (SET + "install(); install()", ONCE),
        (SET + "undo = install(); otlp.instrument(provider); undo()", ONCE),
        (SET + "otlp.instrument(provider)(); install()()", []),
    ],
)
def test_the_global_provider_is_found_when_it_is_set(calls: str, seen: list[Point]) -> None:
    """`install` and `instrument` export through the global provider, set before or after; once. (Processes.)"""
    assert python(GLOBAL.format(calls)) == f"{seen}\n"


@pytest.mark.slow
def test_no_registry_has_our_families_twice() -> None:
    """A reader of OpenTelemetry's at the registry where `install` put them leaves ours out. (A process of its own.)"""
    program = (
        "from opentelemetry import metrics\n"
        "from opentelemetry.exporter.prometheus import PrometheusMetricReader\n"
        "from opentelemetry.sdk.metrics import MeterProvider\n"
        "from prometheus_client import REGISTRY\n"
        "from tests.export.test_otlp import work\n"
        "from tracedtimeout import install\n"
        "metrics.set_meter_provider(MeterProvider([PrometheusMetricReader()]))\n"
        "metrics.get_meter('app').create_counter('orders').add(1)\n"
        "def seen():\n"
        "    names = [family.name for family in REGISTRY.collect() if family.samples]\n"
        "    return names.count('orders'), names.count('tracedtimeout_active'), len(names) - len(set(names))\n"
        "undo = install(spans='off')\n"
        "work()\n"
        "print(seen())\n"
        "install(spans='off', registry=None)\n"
        "print(seen())\n"
    )
    assert python(program) == "(1, 1, 0)\n(1, 1, 0)\n"


def workload() -> None:
    """Something for every family that timeouts themselves count."""

    async def main() -> None:
        for seconds in (0.001, 0.25, 0.5, 3.0):
            with suppress(TimeoutError):
                async with timeout(1.0, name="pay") as outer:
                    outer.reschedule(asyncio.get_running_loop().time() + 1.5)
                    async with timeout(2.0, name="bank"):
                        await asyncio.sleep(seconds)
        with suppress(TimeoutError):
            async with timeout(0.5, name="pay"), timeout(1.0, name="refund", at_least=0.75):
                pytest.fail("not rejected")
        async with timeout(None, name="open"):
            _process.record(_metrics.RECEIVED, ("grpc-timeout",), 0.3)
            _process.count(_metrics.HEADERS_IGNORED, ("grpc-timeout", "malformed"), 2)

    run(main())
    gc.collect()


def test_both_pipelines_show_the_same() -> None:
    """The native collector and OTel's own Prometheus exporter agree: families, types, help, labels, buckets, values."""
    run(every_metric())
    workload()
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    ours.register(Collector())
    with exported(PrometheusMetricReader(registry=theirs)):
        seen = _families(theirs)
    assert seen == _families(ours)
    assert len(seen) == len(build.METRICS)


def _families(registry: CollectorRegistry) -> dict[str, Any]:
    """Families that have samples: type, help and samples, `otel_scope_*` and `target_info` apart."""
    return {
        family.name: (
            family.type,
            family.documentation,
            {
                (
                    sample.name,
                    tuple(sorted((key, value) for key, value in sample.labels.items() if "otel_scope" not in key)),
                    sample.value,
                )
                for sample in family.samples
            },
        )
        for family in registry.collect()
        if family.samples and family.name != "target"
    }


def test_a_reader_with_a_prefix_is_not_left_out() -> None:
    """Under other names ours are no doubles, also in a registry that has them."""
    registry = CollectorRegistry()
    registry.register(Collector())
    work()
    with exported(PrometheusMetricReader(prefix="otel", registry=registry)):
        names = [family.name for family in registry.collect() if family.samples and "active" in family.name]
    assert names == ["tracedtimeout_active", "otel_tracedtimeout_active"]


def test_histograms_that_cannot_join_are_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    """The counters are exported all the same."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    pipeline_at(provider, lambda _: 1 / 0).start("test")  # type: ignore[arg-type]  # it never returns
    work()
    assert [points(read(reader), "active", "duration") for _ in range(2)] == [[Point("active", ("t",), 0)]] * 2
    assert caplog.messages == ["the histograms of timeouts cannot be exported; not logged again"]


@pytest.mark.slow
def test_otlp_over_http_and_grpc_carries_them() -> None:
    """What OTLP exporters put on the wire, read back from its protobufs, is what was counted. (Real servers.)"""
    spans = Spans()
    _observers.add(SpanObserver(tracer_provider=spans.provider))
    workload()
    with _http_receiver() as (port, over_http):
        _export(HttpExporter(f"http://127.0.0.1:{port}/v1/metrics"))
    with _grpc_receiver() as (port, over_grpc):
        _export(GrpcExporter(f"http://127.0.0.1:{port}", insecure=True))
    expected = {
        (metric.name, labels): value if isinstance(value, int) else (value.counts, value.total)
        for metric, values in _process.snapshot().items()
        for labels, value in values.items()
    }
    assert [_decoded(requests) for requests in (over_http, over_grpc)] == [expected, expected]
    known = {span.context.trace_id.to_bytes(16, "big") for span in spans.ended if span.context is not None}
    (expirations,) = [each for each in _metrics_of(over_http[0]) if each.name == "tracedtimeout.expirations"]
    exemplars = [exemplar for point in expirations.sum.data_points for exemplar in point.exemplars]
    assert len(exemplars) == 1
    assert exemplars[0].trace_id in known


@pytest.mark.slow
def test_an_application_with_no_other_metrics_exports_ours() -> None:
    """A periodic reader exports by itself when ours are the only metrics; min and max are left out. (Real time.)"""
    work()
    with _http_receiver() as (port, received):
        exporter = HttpExporter(f"http://127.0.0.1:{port}/v1/metrics", preferred_temporality=DELTAS)
        reader = PeriodicExportingMetricReader(exporter, export_interval_millis=20)
        with exported(reader):
            assert _arrived.wait(10)
    _arrived.clear()
    (histogram,) = [metric.histogram for metric in _metrics_of(received[0]) if metric.name == "tracedtimeout.duration"]
    assert histogram.aggregation_temporality == AggregationTemporality.DELTA.value
    (point,) = histogram.data_points
    assert (point.HasField("min"), point.HasField("max"), point.sum) == (False, False, 0.25)


def _export(exporter: MetricExporter) -> None:
    with exported(PeriodicExportingMetricReader(exporter, float("inf"))) as provider:
        provider.force_flush()


def _metrics_of(request: service.ExportMetricsServiceRequest) -> list[Any]:
    (resource,) = request.resource_metrics
    assert [(each.key, each.value.string_value) for each in resource.resource.attributes] == [("service.name", "shop")]
    (scope,) = resource.scope_metrics
    assert scope.scope.name == SCOPE
    return list(scope.metrics)


def _decoded(requests: list[service.ExportMetricsServiceRequest]) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    for metric in _metrics_of(requests[0]):
        histogram = metric.HasField("histogram")
        for point in (metric.histogram if histogram else metric.sum).data_points:
            labels = tuple(each.value.string_value for each in point.attributes)
            found[metric.name, labels] = (list(point.bucket_counts), point.sum) if histogram else point.as_int
    return found


_arrived = threading.Event()


@contextmanager
def _http_receiver() -> Iterator[tuple[int, list[service.ExportMetricsServiceRequest]]]:
    received: list[service.ExportMetricsServiceRequest] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            received.append(service.ExportMetricsServiceRequest.FromString(body))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()
            _arrived.set()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class's name
            """Not to stderr."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_port, received
        server.shutdown()
        thread.join()
    _arrived.clear()


@contextmanager
def _grpc_receiver() -> Iterator[tuple[int, list[service.ExportMetricsServiceRequest]]]:
    received: list[service.ExportMetricsServiceRequest] = []

    class Servicer(service_grpc.MetricsServiceServicer):
        def Export(self, request: Any, context: Any) -> Any:  # noqa: N802  # the protocol's name
            received.append(request)
            return service.ExportMetricsServiceResponse()

    server = grpc.server(futures.ThreadPoolExecutor(1))
    service_grpc.add_MetricsServiceServicer_to_server(  # type: ignore[no-untyped-call]  # generated
        Servicer(), server
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield port, received
    server.stop(None).wait()

"""The core's figures as Prometheus families."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache

from opentelemetry.trace import format_span_id, format_trace_id
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.samples import Exemplar
from prometheus_client.utils import floatToGoString

from tracedtimeout import _exemplars
from tracedtimeout._core.figures import _metrics, _process
from tracedtimeout._shared import build

Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily

_KINDS: Mapping[str, type[Family]] = {
    "counter": CounterMetricFamily,
    "updowncounter": GaugeMetricFamily,
    "histogram": HistogramMetricFamily,
}


def family_of(metric: _metrics.Metric, figures: Mapping[_process.Labels, _process.Value]) -> Family:
    """The family of a metric with its series, in the order of their labels."""
    unit = "seconds" if metric.unit == "s" else ""
    family = _KINDS[metric.kind](metric.prometheus_name, metric.description, labels=metric.labels, unit=unit)
    for labels, value in sorted(figures.items()):
        exemplars = _exemplars.kept(metric, labels)
        if isinstance(family, HistogramMetricFamily):
            assert isinstance(value, _process.Histogram)
            family.add_metric(labels, _buckets(value, exemplars), value.total)
        elif isinstance(family, CounterMetricFamily):
            assert isinstance(value, int)
            family.add_metric(labels, value, exemplar=_shown(exemplars.get(0)))
        else:
            assert isinstance(value, int)
            family.add_metric(labels, value)
    return family


def announced() -> Iterator[Family]:
    """Every family, with no figures."""
    return (family_of(metric, {}) for metric in build.METRICS)


@lru_cache(maxsize=len(build.METRICS))
def les(bounds: tuple[float, ...]) -> tuple[str, ...]:
    """The values of the label ``le``."""
    return (*map(floatToGoString, bounds), "+Inf")


def _buckets(
    histogram: _process.Histogram, exemplars: Mapping[int, _exemplars.Exemplar]
) -> list[tuple[str, float] | tuple[str, float, Exemplar]]:
    """The count up to each bound."""
    buckets: list[tuple[str, float] | tuple[str, float, Exemplar]] = []
    seen = 0
    for bucket, (le, count) in enumerate(zip(les(histogram.bounds), histogram.counts, strict=True)):
        seen += count
        exemplar = _shown(exemplars.get(bucket))
        buckets.append((le, seen) if exemplar is None else (le, seen, exemplar))
    return buckets


def _shown(exemplar: _exemplars.Exemplar | None) -> Exemplar | None:
    """The exemplar as OpenMetrics has it; the older text format leaves exemplars out."""
    if exemplar is None:
        return None
    span, value, unix_time = exemplar
    labels = {"trace_id": format_trace_id(span.trace_id), "span_id": format_span_id(span.span_id)}
    return Exemplar(labels, value, unix_time)

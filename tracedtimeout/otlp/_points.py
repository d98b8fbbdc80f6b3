"""Figures as the data points of OpenTelemetry's SDK, with their exemplars."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from opentelemetry.sdk import metrics as sdk
from opentelemetry.sdk.metrics.export import HistogramDataPoint

from tracedtimeout import _exemplars
from tracedtimeout._core.figures import _metrics, _process
from tracedtimeout._core.figures._process import Labels, Value
from tracedtimeout._shared.histograms import since

from ._meters import attributes


def merged(
    metric: _metrics.Metric, recorded: Mapping[Labels, _process.Histogram], keys: frozenset[str] | None, since_ns: float
) -> Iterator[tuple[dict[str, str], _process.Histogram, list[sdk.Exemplar]]]:
    """Histograms by the attributes that a view keeps, with their exemplars."""
    if keys is None:
        for labels, histogram in recorded.items():
            yield attributes(metric, labels), histogram, exemplars_of(metric, labels, since_ns)
        return
    merged: dict[tuple[tuple[str, str], ...], tuple[_process.Histogram, list[sdk.Exemplar]]] = {}
    for labels, histogram in recorded.items():
        kept = tuple((key, value) for key, value in attributes(metric, labels).items() if key in keys)
        exemplars = exemplars_of(metric, labels, since_ns)
        if kept in merged:
            merged[kept][0].add(histogram)
            merged[kept][1].extend(exemplars)
        else:
            merged[kept] = histogram.copy(), exemplars
    for kept, (histogram, exemplars) in merged.items():
        yield dict(kept), histogram, exemplars


def point(
    kept: dict[str, str],
    recorded: _process.Histogram,
    exemplars: list[sdk.Exemplar],
    start_ns: int,
    now_ns: int,
) -> HistogramDataPoint:
    return HistogramDataPoint(
        exemplars=exemplars,
        attributes=kept,
        start_time_unix_nano=start_ns,
        time_unix_nano=now_ns,
        count=sum(recorded.counts),
        sum=recorded.total,
        bucket_counts=recorded.counts,
        explicit_bounds=recorded.bounds,
        min=None,  # type: ignore[arg-type]  # optional in the protocol, and left out by its encoder
        max=None,  # type: ignore[arg-type]  # as above
    )


def exemplars_of(metric: _metrics.Metric, labels: Labels, since_ns: float) -> list[sdk.Exemplar]:
    """The exemplars that are new: the SDK's own reservoirs start anew with each collection too."""
    return [
        sdk.Exemplar({}, value, time_ns, span.span_id, span.trace_id)
        for span, value, unix_time in list(_exemplars.kept(metric, labels).values())
        if (time_ns := round(unix_time * 1e9)) >= since_ns
    ]


def recorded_since(before: Value | None, value: Value) -> _process.Histogram:
    """The histogram of the values recorded since `before`; all of `value` where there is none."""
    assert isinstance(value, _process.Histogram)
    return since(before, value) if isinstance(before, _process.Histogram) else value

"""OpenTelemetry metrics: the core's numbers in the application's own metric pipeline.

`tracedtimeout.install()` exports them through the global meter provider, set before or after. This is for any other:

    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from tracedtimeout import otlp

    provider = MeterProvider(metric_readers=[PeriodicExportingMetricReader(OTLPMetricExporter())])
    otlp.instrument(provider)

That is all, for every reader of the provider: OTLP, console, Prometheus, in memory. A record into one of the SDK's
histograms costs 6-12 us, so nothing is recorded there. Counters and `tracedtimeout.active` are observable
instruments; histograms join what a reader receives, built from the core's numbers with the SDK's data classes. Views
apply to both: they may rename, describe, drop, and choose attributes. ``OTEL_METRICS_EXEMPLAR_FILTER`` and
``OTEL_SDK_DISABLED`` hold too. Not honoured, and logged once: other bounds and exponential histograms, by a view, a
reader or ``OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION``. Buckets are chosen with ``install(buckets=)``.
`min` and `max` are not known, and not sent.

A reader of OpenTelemetry's that writes to the Prometheus registry where `install` put our families is left out: each
would be there twice, and every sum over it double.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

from opentelemetry.metrics import MeterProvider

from tracedtimeout._core._arguments import shown

from ._meters import pipeline_at

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricReader

__all__ = ["instrument"]


def instrument(
    meter_provider: MeterProvider | None = None, *, readers: Iterable[MetricReader] | None = None
) -> Callable[[], None]:
    """Export the metrics of all timeouts through `meter_provider`; what it returns undoes it.

    They are exported once, however often that is asked for (`install` asks too, for the global one), and until all who
    asked have undone it; what was counted then reaches each reader at its next collection, the last one. Figures
    count from the start of the process, whenever this is called.

    Args:
        meter_provider: by default the global one, whenever it is set.
        readers: those whose data the histograms join; by default the provider's, if it is the SDK's.

    Raises:
        ImportError: OpenTelemetry's SDK is not installed.
        TypeError: `meter_provider` is no MeterProvider.
    """
    if meter_provider is not None and not callable(getattr(meter_provider, "get_meter", None)):
        raise TypeError(f"meter_provider must be a MeterProvider, not {shown(meter_provider)}")
    try:
        from . import _histograms  # noqa: PLC0415  # `install` takes of this package what needs no SDK
    except ImportError as exc:
        message = f"tracedtimeout.otlp needs an extra: pip install 'tracedtimeout[otlp]' ({exc})"
        raise ImportError(message, name=exc.name) from exc

    pipeline = pipeline_at(meter_provider, _histograms.join)
    if readers is not None:
        _histograms.named[pipeline] = tuple(readers)
    asker = object()
    pipeline.start(asker)
    return partial(pipeline.stop, asker)

"""OpenTelemetry's instruments: the counters and `tracedtimeout.active`, observed in the core's figures. API only."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from functools import partial

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation

from tracedtimeout._core import _metrics, _series
from tracedtimeout._core._series import Labels, Table
from tracedtimeout._shared.once import Once
from tracedtimeout._version import VERSION

SCOPE = "tracedtimeout"

OBSERVABLES = tuple(metric for metric in _metrics.METRICS if metric.kind != "histogram")


class Pipeline:
    """The instruments at one provider, and the figures of the collection under way.

    Args:
        provider: None for the global one, whenever it is set.
        join: called with this in each collection, before readers receive what was collected.
    """

    def __init__(self, provider: MeterProvider | None, join: Callable[[Pipeline], None]) -> None:
        self.figures: Table = {}
        self._join = join
        self._complain = Once()
        self.askers: set[object] = set()
        self._provider = None if provider is None else weakref.ref(provider)
        meter = metrics.get_meter(SCOPE, VERSION, provider)
        for metric in OBSERVABLES:
            counts = metric.kind == "counter"
            create = meter.create_observable_counter if counts else meter.create_observable_up_down_counter
            create(metric.name, [partial(self._observe, metric)], metric.unit, metric.description)

    @property
    def running(self) -> bool:
        """Whether it is to export.

        A provider that became the global one after it was given a pipeline by name has two. The SDK leaves out an
        instrument's second callback, so the first speaks for both.
        """
        provider = self.provider
        both = (None if provider is None else _pipelines.get(provider), _of_global)
        here = [each for each in both if each is not None and each.provider is provider]
        return here[:1] == [self] and any(each.askers for each in here)

    @property
    def provider(self) -> MeterProvider | None:
        """The one that it is at now; None if that is gone."""
        return metrics.get_meter_provider() if self._provider is None else self._provider()

    def start(self, asker: object) -> None:
        """Export for `asker`, once however many ask."""
        self.askers.add(asker)

    def stop(self, asker: object) -> None:
        """Export no more, unless others ask for it.

        (OpenTelemetry cannot take an instrument back: they stay, and have nothing to say.)
        """
        self.askers.discard(asker)

    def _observe(self, metric: _metrics.Metric, _: CallbackOptions) -> Iterable[Observation]:
        """One instrument's values. The first one asked takes the figures for all, and for the histograms."""
        if not self.running:
            return
        if metric is OBSERVABLES[0]:
            self.figures = _series.snapshot()
            self._have_joined()
        for labels, value in self.figures.get(metric, {}).items():
            assert isinstance(value, int)
            yield Observation(value, attributes(metric, labels))

    def _have_joined(self) -> None:
        try:
            self._join(self)
        except Exception as exc:
            self._complain("the histograms of timeouts cannot be exported", exc)


_pipelines: weakref.WeakKeyDictionary[MeterProvider, Pipeline] = weakref.WeakKeyDictionary()
_of_global: Pipeline | None = None


def pipeline_at(provider: MeterProvider | None, join: Callable[[Pipeline], None]) -> Pipeline:
    """The only pipeline at `provider`, made if there is none; None for the global one, whenever it is set."""
    global _of_global
    in_force = metrics.get_meter_provider()
    asked = in_force if provider is None else provider
    pipeline = _pipelines.get(asked) or (_of_global if asked is in_force else None)
    if pipeline is None:
        pipeline = _pipelines[asked] = Pipeline(provider, join)
        if provider is None:
            _of_global = pipeline
    return pipeline


def attributes(metric: _metrics.Metric, labels: Labels) -> dict[str, str]:
    return dict(zip(metric.labels, labels, strict=True))

"""OpenTelemetry's instruments: the counters and `tracedtimeout.active`, observed in the core's figures. API only."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider, Observation
from opentelemetry.metrics._internal import _ProxyMeterProvider

from tracedtimeout._core.figures import _metrics
from tracedtimeout._core.figures._process import Labels, Table
from tracedtimeout._shared import build
from tracedtimeout._shared.once import Once
from tracedtimeout._version import VERSION

SCOPE = "tracedtimeout"

OBSERVABLES = tuple(metric for metric in build.METRICS if metric.kind != "histogram")


class Pipeline:
    """The instruments at one provider, and the figures of the collection under way.

    Args:
        provider: None for the global one, whenever it is set.
        join: called with this in each collection, before readers receive what was collected.
    """

    def __init__(self, provider: MeterProvider | None, join: Callable[[Pipeline], None]) -> None:
        self.figures: Table = {}
        self.ending: Table | None = None  # what stood there as the last asker left: readers take it once more
        self.takers: weakref.WeakSet[Any] = weakref.WeakSet()  # what joined readers, and takes figures for them
        self._join = join
        self._complain = Once()
        self.askers: set[object] = set()
        self._provider = None if provider is None else weakref.ref(provider)
        meter = metrics.get_meter(SCOPE, VERSION, provider)
        for metric in OBSERVABLES:
            _creator(meter, metric)(metric.name, [partial(self._observe, metric)], metric.unit, metric.description)

    @property
    def running(self) -> bool:
        """True while the pipeline is to export.

        A provider that became the global one after it was given a pipeline by name has two. The SDK leaves out an
        instrument's second callback, so the first speaks for both.
        """
        here = self._here()
        return here[:1] == [self] and any(each.askers for each in here)

    def _here(self) -> list[Pipeline]:
        """The pipelines at the provider of this one; the first is the one that exports."""
        provider = self.provider
        both = (None if provider is None else _pipelines.get(provider), _of_global)
        here = [each for each in both if each is not None and each.provider is provider]
        return list(dict.fromkeys(here))

    @property
    def provider(self) -> MeterProvider | None:
        """The provider that the pipeline exports to now; None if that is gone."""
        if self._provider is None:
            provider = metrics.get_meter_provider()
            if isinstance(provider, _ProxyMeterProvider):
                return provider
            self._provider = weakref.ref(provider)  # where its instruments are from now on, whatever is set later
        return self._provider()

    def start(self, asker: object) -> None:
        """Export for `asker`, once however many ask."""
        self.askers.add(asker)
        for each in self._here():
            each.ending = None

    def stop(self, asker: object) -> None:
        """Export no more, unless others ask for it, but what is counted now: to each reader, when it collects next.

        So nothing is lost that was counted since the last collection, whether the provider is shut down before this or
        after. (OpenTelemetry cannot take an instrument back: they stay, and have nothing to say.)
        """
        first = next(iter(self._here()), self)
        ran = first.running
        self.askers.discard(asker)
        if ran and not first.running:
            first.ending = figures if (figures := build.snapshot()).keys() > {build.BUILD_INFO} else None

    def taken(self) -> None:
        """Forget the ending if every reader has it."""
        if self.ending is not None and all(taker.ended is self.ending for taker in self.takers):
            self.ending = None

    def _observe(self, metric: _metrics.Metric, _: CallbackOptions) -> Iterable[Observation]:
        """One instrument's values. The first one asked takes the figures for all, and for the histograms."""
        ending = self.ending
        if ending is None and not self.running:
            return
        if metric is OBSERVABLES[0]:
            self.figures = build.snapshot() if ending is None else ending
            self._have_joined()
            if not self.takers:  # another SDK's provider: this is the last that it gets
                self.ending = None
        for labels, value in self.figures.get(metric, {}).items():
            assert isinstance(value, int)
            yield Observation(value, attributes(metric, labels))

    def _have_joined(self) -> None:
        try:
            self._join(self)
        except Exception as exc:
            self._complain("the histograms of timeouts cannot be exported", exc)


def _creator(meter: Meter, metric: _metrics.Metric) -> Callable[..., object]:
    """The method of `meter` that makes the instrument of a metric."""
    if metric is build.BUILD_INFO:
        return meter.create_observable_gauge
    return meter.create_observable_counter if metric.kind == "counter" else meter.create_observable_up_down_counter


_pipelines: weakref.WeakKeyDictionary[MeterProvider, Pipeline] = weakref.WeakKeyDictionary()
_of_global: Pipeline | None = None


def pipeline_at(provider: MeterProvider | None, join: Callable[[Pipeline], None]) -> Pipeline:
    """The only pipeline at `provider`, made if there is none; None for the global one, whenever it is set."""
    global _of_global
    in_force = metrics.get_meter_provider()
    asked = in_force if provider is None else provider
    of_global = _of_global if _of_global is not None and _of_global.provider is in_force else None
    pipeline = _pipelines.get(asked) or (of_global if asked is in_force else None)
    if pipeline is None:
        pipeline = _pipelines[asked] = Pipeline(provider, join)
        if provider is None:
            _of_global = pipeline
    return pipeline


def attributes(metric: _metrics.Metric, labels: Labels) -> dict[str, str]:
    return dict(zip(metric.labels, labels, strict=True))

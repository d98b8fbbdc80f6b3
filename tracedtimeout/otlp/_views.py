"""The views and the exemplar filter of OpenTelemetry's SDK, applied to our histograms."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter
from opentelemetry.sdk.metrics import Histogram as SdkHistogram
from opentelemetry.sdk.metrics.export import MetricReader
from opentelemetry.sdk.metrics.view import DefaultAggregation, DropAggregation, ExplicitBucketHistogramAggregation, View
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from tracedtimeout._core.figures._metrics import Metric
from tracedtimeout._version import VERSION

from ._meters import SCOPE

_log = logging.getLogger("tracedtimeout")
_told: set[str] = set()


@dataclass(frozen=True, slots=True)
class Stream:
    """The form in which one histogram is exported."""

    name: str
    description: str
    keys: frozenset[str] | None
    """The attributes that are kept; None for all."""


def streams(provider: Any, reader: MetricReader, metric: Metric) -> Iterator[Stream]:
    """The streams that the views of `provider`, and the preference of `reader`, make of a histogram: maybe none.

    Names, descriptions, attribute keys and `DropAggregation` are honoured. Another aggregation than buckets, or other
    bounds, cannot be had of what was counted: the first time, the log says so.
    """
    preferred = _preferred(reader)
    views = _views_of(provider, metric)
    if not views and _keeps(preferred, metric):
        yield Stream(metric.name, metric.description, None)
    for view in views:
        wanted = view._aggregation
        if _keeps(preferred if isinstance(wanted, DefaultAggregation) else wanted, metric):
            keys = None if view._attribute_keys is None else frozenset(view._attribute_keys)
            yield Stream(view._name or metric.name, view._description or metric.description, keys)


def wants_exemplars(provider: Any) -> bool:
    """True if the provider's filter lets exemplars pass: ``OTEL_METRICS_EXEMPLAR_FILTER``, or the argument."""
    chosen = getattr(getattr(provider, "_sdk_config", None), "exemplar_filter", None)
    return not isinstance(chosen, AlwaysOffExemplarFilter)


def _views_of(provider: Any, metric: Metric) -> Sequence[View]:
    views: Sequence[View] = getattr(getattr(provider, "_sdk_config", None), "views", ())
    if not views:
        return ()
    looks = _Looks(metric)
    return [view for view in views if view._match(looks)]


class _Looks(SdkHistogram):
    """One of our histograms as views look at it."""

    def __init__(self, metric: Metric) -> None:
        self.name = metric.name
        self.unit = metric.unit
        self.instrumentation_scope = InstrumentationScope(SCOPE, VERSION)

    def record(self, *args: Any, **kwargs: Any) -> None:
        """Nothing is recorded here."""


def _preferred(reader: Any) -> object:
    """The aggregation that a reader prefers for histograms, by argument or environment; the default if none."""
    chosen = getattr(reader, "_instrument_class_aggregation", {})
    return next((chosen[kind] for kind in chosen if issubclass(kind, SdkHistogram)), DefaultAggregation())


def _keeps(aggregation: object, metric: Metric) -> bool:
    """True unless a view drops `metric`; logs a view whose aggregation or bounds are not followed."""
    if isinstance(aggregation, DropAggregation):
        return False
    if isinstance(aggregation, ExplicitBucketHistogramAggregation):
        bounds = getattr(aggregation, "_boundaries", None)
        if bounds is not None and bounds != _DEFAULT_BOUNDS and tuple(bounds) != metric.bounds:
            _say(f"bounds are chosen for {metric.name} by a view: they are those of install(buckets=), and stay")
    elif not isinstance(aggregation, DefaultAggregation):
        asked = type(aggregation).__name__
        _say(f"{asked} is asked for {metric.name}, which is counted in explicit buckets and keeps them")
    return True


_DEFAULT_BOUNDS = getattr(ExplicitBucketHistogramAggregation(), "_boundaries", None)


def _say(message: str) -> None:
    if message not in _told:
        _told.add(message)
        _log.warning("%s; not logged again", message)

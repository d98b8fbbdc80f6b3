"""Exemplars: for each bucket of the durations, and each count of expiries, the last span that fell into it.

Written by who ends spans, read by who shows figures. Only spans that are sampled: one can follow no other.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from time import time

from opentelemetry.trace import SpanContext, TraceFlags

from ._core._outcome import Outcome
from ._core._view import View
from ._core.figures import _metrics, _process

Exemplar = tuple[SpanContext, float, float]
"""The span of a timeout, the seconds it took (of an expiry: 1.0) and when it ended, in unix time. A bare tuple: one is
made for every sampled span."""

Kept = dict[tuple[str, ...], dict[int, Exemplar]]

_durations: Kept = {}
_expirations: Kept = {}
# By label values, then bucket: as many as there are series, whose names are capped.

_NONE: dict[int, Exemplar] = {}


def keep(timeout: View, span: SpanContext) -> None:
    """Take the `span` of a timeout that has closed for the exemplar of what it was counted in, if it is sampled."""
    if not span.trace_flags & TraceFlags.SAMPLED:
        return
    outcome, elapsed, now = timeout.outcome, timeout.elapsed, time()
    assert outcome is not None
    labels = (_process.label(timeout.name), outcome._value_)  # `value` is a descriptor of Python's: 0.3 us
    buckets = _durations.get(labels)
    if buckets is None:
        buckets = _durations[labels] = {}
    buckets[bisect_left(_metrics.DURATION.bounds, elapsed)] = (span, elapsed, now)
    if outcome is not Outcome.COMPLETED and timeout.expired() and timeout.owner == timeout.name:
        _expirations[labels] = {0: (span, 1.0, now)}


def kept(metric: _metrics.Metric, labels: tuple[str, ...]) -> dict[int, Exemplar]:
    """The exemplars of a series by bucket; a counter's is at 0."""
    if metric is _metrics.DURATION:
        return _durations.get(labels, _NONE)
    if metric is _metrics.EXPIRATIONS:
        return _expirations.get(labels, _NONE)
    return _NONE


def reset() -> None:
    """Forget all exemplars (in a forked child, and for tests)."""
    _durations.clear()
    _expirations.clear()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=reset)

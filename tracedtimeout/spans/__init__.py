"""Spans: one OpenTelemetry span for every timeout, or only for those that something went wrong with.

API only; the SDK, its processors and exporters are the application's. Two habits of OTel's own helpers are avoided:
`start_as_current_span` costs 5 us even without an SDK, and `record_exception` 55-115 us.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Literal

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import TracerProvider
from opentelemetry.util.types import AttributeValue

from tracedtimeout._core._arguments import shown
from tracedtimeout._core._facts import Usual, usual
from tracedtimeout._core._observers import Closer, Noting, Unhurried
from tracedtimeout._core._timeout import Timeout
from tracedtimeout._core._view import View
from tracedtimeout._version import VERSION

from ._inside import Inside, keeper, standing
from ._told import AtStart, at_start, end, end_anyway, source_afterwards, usual_start

__all__ = ["SpanObserver"]

TRACER = "tracedtimeout"

STARTS = 1000
"""The most names and limits that the beginning of a span is kept for."""

Start = tuple[str, Mapping[str, AttributeValue]]
"""The title of a span, and its attributes as it begins."""
Policy = Literal["always", "late"]


class SpanObserver(Noting):
    """An observer that makes each timeout a span, current inside its body.

    With policy ``late`` there is no span until something expires or overruns; then one is created, with its true start
    time and under the span that was current on entry. Spans begun inside attach to that one too, as without us.

    Args:
        policy: ``always`` or ``late``.
        tracer_provider: by default the global one, whenever it is set.
    """

    def __init__(self, policy: Policy = "always", tracer_provider: TracerProvider | None = None) -> None:
        if policy not in ("always", "late"):
            raise ValueError(f"policy must be 'always' or 'late', not {shown(policy)}")
        self._late = policy == "late"
        self._current, self._attach = keeper()
        plainly = self._late and type(self) is SpanObserver  # else `__call__` may be another
        super().__init__(self._afterwards, self._current if plainly else None, Context)
        self._tracer = trace.get_tracer(TRACER, VERSION, tracer_provider)
        self._starts: dict[Usual, Start] = {}

    def __call__(self, timeout: View, /) -> Closer | None:
        before = standing(self._current())
        if self._late:
            return Unhurried(self.closer, before)
        span = None
        try:
            if timeout.__class__ is Timeout and (facts := usual(timeout)) is not None:
                title, attributes = self._starts.get(facts) or self._start(facts)
            else:
                title, attributes = f"timeout {timeout.name}", AtStart(timeout)
            span = self._tracer.start_span(title, before, attributes=attributes)
            if not span.get_span_context().is_valid:
                return None  # no SDK
            return Inside(before, span, self._current, self._attach).leave
        except BaseException:
            end_anyway(span)
            raise

    def _start(self, facts: Usual) -> Start:
        """The title and the attributes of a usual timeout's span, kept for the next one."""
        if len(self._starts) >= STARTS:
            self._starts.clear()
        start = self._starts[facts] = f"timeout {facts[0]}", usual_start(facts)
        return start

    def _afterwards(self, before: Context, timeout: View) -> None:
        """Create the span of a timeout that is over, if its end is worth one."""
        outcome = timeout.outcome
        if outcome is None or not outcome.is_overdue:
            return
        start = time.time_ns() - round(timeout.elapsed * 1e9)
        attributes = at_start(timeout, source_afterwards(timeout))
        span = None
        try:
            span = self._tracer.start_span(f"timeout {timeout.name}", before, attributes=attributes, start_time=start)
            end(span, timeout)
        finally:
            end_anyway(span)

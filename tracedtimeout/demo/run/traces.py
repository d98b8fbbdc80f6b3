"""The spans of recent traces, kept in memory: where there is no collector to send them to."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import TypedDict

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import format_span_id, format_trace_id

from tracedtimeout import Outcome
from tracedtimeout.spans import NAME, OUTCOME

RECENT = 300
"""Traces that are kept."""


class Span(TypedDict):
    """A finished span of a timeout; `parent` is empty for the first of a trace, times are in seconds."""

    service: str
    trace: str
    id: str
    parent: str
    name: str
    outcome: str
    start: float
    end: float


class Traces(SpanExporter):
    """Keeps recent traces, and for good the one with the longest expired span."""

    def __init__(self) -> None:
        self._recent: OrderedDict[str, list[Span]] = OrderedDict()
        self._slowest: list[Span] = []
        self._longest = 0.0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        for span in spans:
            self._keep(_plain(span))
        return SpanExportResult.SUCCESS

    def find(self, trace: str | None) -> list[Span]:
        """The spans of a trace, or of the slowest expired one, by start."""
        spans = self._slowest if trace is None else self._recent.get(trace, [])
        return sorted(spans, key=lambda span: span["start"])

    def _keep(self, span: Span) -> None:
        spans = self._recent.setdefault(span["trace"], [])
        spans.append(span)
        if len(self._recent) > RECENT:
            self._recent.popitem(last=False)
        length = span["end"] - span["start"]
        if span["outcome"] == Outcome.EXPIRED and length > self._longest:
            self._longest, self._slowest = length, spans  # spans that end later join this list


def _plain(span: ReadableSpan) -> Span:
    attributes, context = span.attributes or {}, span.get_span_context()
    assert context is not None
    return Span(
        service=str(span.resource.attributes.get("service.name", "")).removeprefix("demo-"),
        trace=format_trace_id(context.trace_id),
        id=format_span_id(context.span_id),
        parent=format_span_id(span.parent.span_id) if span.parent else "",
        name=str(attributes.get(NAME, span.name)),
        outcome=str(attributes.get(OUTCOME, "")),
        start=(span.start_time or 0) / 1e9,
        end=(span.end_time or 0) / 1e9,
    )

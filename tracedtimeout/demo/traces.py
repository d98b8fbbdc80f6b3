"""The spans of recent traces, kept in memory: where there is no collector to send them to."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from tracedtimeout import Outcome
from tracedtimeout.spans import NAME, OUTCOME

RECENT = 200
"""Traces kept while their spans come in."""

Span = dict[str, str | float]
"""``name``, ``outcome``, ``id``, ``parent`` (empty for none), ``start`` and ``end`` in seconds."""


class SlowestExpired(SpanExporter):
    """Keeps the trace with the longest expired span."""

    def __init__(self) -> None:
        self._traces: OrderedDict[int, list[ReadableSpan]] = OrderedDict()
        self._longest = 0
        self._slowest: list[ReadableSpan] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        for span in spans:
            self._keep(span)
        return SpanExportResult.SUCCESS

    def trace(self) -> list[Span]:
        """The spans of the slowest expired trace, by start."""
        return sorted(map(_plain, self._slowest), key=lambda span: span["start"])

    def _keep(self, span: ReadableSpan) -> None:
        spans = self._traces.setdefault(span.context.trace_id, [])
        spans.append(span)
        if len(self._traces) > RECENT:
            self._traces.popitem(last=False)
        if (span.attributes or {}).get(OUTCOME) == Outcome.EXPIRED and _length(span) > self._longest:
            self._longest, self._slowest = _length(span), spans  # spans that end later join the same list


def _length(span: ReadableSpan) -> int:
    return (span.end_time or 0) - (span.start_time or 0)


def _plain(span: ReadableSpan) -> Span:
    attributes = span.attributes or {}
    return {
        "name": str(attributes.get(NAME, span.name)),
        "outcome": str(attributes.get(OUTCOME, "")),
        "id": f"{span.context.span_id:016x}",
        "parent": f"{span.parent.span_id:016x}" if span.parent else "",
        "start": (span.start_time or 0) / 1e9,
        "end": (span.end_time or 0) / 1e9,
    }

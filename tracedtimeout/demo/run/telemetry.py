"""The telemetry of a service, and the memory that the demo's summary is made from: last spans, others' requests."""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable
from contextvars import ContextVar
from typing import TypedDict

from opentelemetry import context, propagate, trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import format_span_id, format_trace_id
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tracedtimeout import Outcome, View, install

from .load import LOAD

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"

BUCKETS = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.125, 0.15, 0.2, 0.25, 0.29, 0.31, 0.35, 0.39, 0.41, 0.45),
    *(0.49, 0.51, 0.6, 0.8, 0.99, 1.01, 1.25, 1.5, 2.0, 2.49, 2.51, 3.0, 5.0, 10.0),
)
"""Close around the limits in use: a percentile is told no finer than the bucket it falls in."""

SPANS = 2000
"""Spans that are kept: the last half minute."""

MISSED = (b"deadline-missed", b"1")
"""The header of an answer that a handler made after the request's deadline."""

AFTER = {Outcome.LATE, Outcome.SUPPRESSED, Outcome.REPLACED}


class Span(TypedDict):
    """A finished span; `parent` is empty for the first of a trace, times are in seconds."""

    service: str
    trace: str
    id: str
    parent: str
    name: str
    outcome: str
    start: float
    end: float


class Telemetry:
    """The spans and requests that one service remembers."""

    def __init__(self, service: str) -> None:
        self._spans = _Spans(service)
        self._others: Counter[tuple[str, str]] = Counter()
        provider = TracerProvider(resource=Resource.create({"service.name": f"demo-{service}"}))
        provider.add_span_processor(_exporting() if os.environ.get(ENDPOINT) else self._spans)
        trace.set_tracer_provider(provider)
        install(observers=[_observe], buckets={"tracedtimeout.duration": BUCKETS})

    async def recent(self, request: Request) -> Response:
        """The last spans; and how the handlers of others than the load ended: its ledger is exact, whoever calls."""
        others = [[*key, count] for key, count in self._others.items()]
        return JSONResponse({"others": others, "spans": list(self._spans.kept)})

    def entered(self, app: ASGIApp) -> ASGIApp:
        """`app`, its spans in the trace of the caller, and each of its requests noted."""

        async def enter(scope: Scope, receive: Receive, send: Send) -> None:
            ended: list[View] = []
            headers = Headers(scope=scope)

            async def answer(message: Message) -> None:
                if message["type"] == "http.response.start" and any(each.outcome in AFTER for each in ended):
                    message["headers"] = [*message["headers"], MISSED]
                await send(message)

            token, noting = context.attach(propagate.extract(headers)), _handlers.set(ended)
            try:
                await app(scope, receive, answer)
            finally:
                _handlers.reset(noting)
                context.detach(token)
                if headers.get("user-agent") != LOAD:
                    self._others.update((each.name, str(each.outcome)) for each in ended)

        return enter


_handlers: ContextVar[list[View] | None] = ContextVar("handlers", default=None)
"""The timeouts of the handlers that ended in this request."""


def _observe(timeout: View) -> Callable[[View], object] | None:
    ended = _handlers.get()
    return ended.append if ended is not None and timeout.kind == "with_timeout" else None


class _Spans(SpanProcessor):
    """Keeps the last spans in memory: where there is no collector to send them to."""

    def __init__(self, service: str) -> None:
        self.kept: deque[Span] = deque(maxlen=SPANS)
        self._service = service

    def on_end(self, span: ReadableSpan) -> None:
        attributes, own = span.attributes or {}, span.get_span_context()
        assert own is not None
        self.kept.append(
            Span(
                service=self._service,
                trace=format_trace_id(own.trace_id),
                id=format_span_id(own.span_id),
                parent=format_span_id(span.parent.span_id) if span.parent else "",
                name=str(attributes.get("tracedtimeout.name", span.name)),
                outcome=str(attributes.get("tracedtimeout.outcome", "")),
                start=(span.start_time or 0) / 1e9,
                end=(span.end_time or 0) / 1e9,
            )
        )


def _exporting() -> SpanProcessor:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415  # if asked for

    return BatchSpanProcessor(OTLPSpanExporter())

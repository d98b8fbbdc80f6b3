"""The telemetry of a service: metrics, spans and log lines, and the little that the terminal shows of them."""

from __future__ import annotations

import logging
import os
from collections import deque

from opentelemetry import context, propagate, trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from tracedtimeout import install
from tracedtimeout.logs import LogObserver

from .traces import Traces
from .visits import Visits, observe

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"

BUCKETS = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.125, 0.15, 0.2, 0.25, 0.29, 0.31, 0.35, 0.39, 0.41, 0.45),
    *(0.49, 0.51, 0.6, 0.8, 0.99, 1.01, 1.25, 1.5, 2.0, 2.49, 2.51, 3.0, 5.0, 10.0),
)
"""Close around the limits in use: a percentile is told no finer than the bucket it falls in."""


class Telemetry:
    """What one service tells of itself."""

    def __init__(self, service: str) -> None:
        self.visits = Visits()
        self._messages: deque[tuple[float, str]] = deque(maxlen=20)
        self._traces = Traces()
        provider = TracerProvider(resource=Resource.create({"service.name": f"demo-{service}"}))
        provider.add_span_processor(_exporting(self._traces))
        trace.set_tracer_provider(provider)
        _keep_lines(self._messages)
        install(observers=[LogObserver(), observe], buckets={"tracedtimeout.duration": BUCKETS})

    async def recent(self, request: Request) -> Response:
        """The last messages, what others than the load did, and a trace: ``?trace=id``, or the slowest expired."""
        others = [[*key, count] for key, count in self.visits.others.items()]
        spans = self._traces.find(request.query_params.get("trace"))
        return JSONResponse({"messages": list(self._messages), "others": others, "trace": spans})


def continued(app: ASGIApp) -> ASGIApp:
    """`app`, its spans in the trace of the caller."""

    async def in_trace(scope: Scope, receive: Receive, send: Send) -> None:
        token = context.attach(propagate.extract(Headers(scope=scope)))
        try:
            await app(scope, receive, send)
        finally:
            context.detach(token)

    return in_trace


def _exporting(recent: Traces) -> SpanProcessor:
    """To a collector if there is one, else into memory."""
    if not os.environ.get(ENDPOINT):
        return SimpleSpanProcessor(recent)
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415  # if asked for

    return BatchSpanProcessor(OTLPSpanExporter())


def _keep_lines(messages: deque[tuple[float, str]]) -> None:
    """Have what tracedtimeout logs kept in place of printed: there may be several lines a second."""
    log = logging.getLogger("tracedtimeout")
    log.addHandler(_Keep(messages))
    log.propagate = False


class _Keep(logging.Handler):
    def __init__(self, messages: deque[tuple[float, str]]) -> None:
        super().__init__()
        self._messages = messages

    def emit(self, record: logging.LogRecord) -> None:
        self._messages.append((record.created, record.getMessage()))

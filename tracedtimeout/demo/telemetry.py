"""The telemetry of a service: metrics, spans and log lines, and the little that the terminal shows of them."""

from __future__ import annotations

import logging
import os
from collections import deque

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from tracedtimeout import install
from tracedtimeout.logs import LogObserver
from tracedtimeout.prometheus import metrics_app

from .traces import SlowestExpired
from .visits import Watch, observe

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


class Telemetry(Watch):
    """What the terminal asks a service for, beside its metrics."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: deque[tuple[float, str]] = deque(maxlen=20)
        self.slowest = SlowestExpired()

    async def recent(self, request: Request) -> Response:
        """The last messages, the slowest expired trace, and what others than the load asked for."""
        others = [[*key, count] for key, count in self.others.items()]
        return JSONResponse({"messages": list(self.messages), "trace": self.slowest.trace(), "others": others})


def start(service: str) -> Telemetry:
    """Wire everything, in this process."""
    watch = Telemetry()
    provider = TracerProvider(resource=Resource.create({"service.name": f"demo-{service}"}))
    if os.environ.get(ENDPOINT):
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415  # optional

        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    else:
        provider.add_span_processor(SimpleSpanProcessor(watch.slowest))
    trace.set_tracer_provider(provider)
    _collect(watch.messages)
    install(observers=[LogObserver(), observe])
    return watch


def beside(app: ASGIApp, watch: Telemetry) -> ASGIApp:
    """`app`, with ``/metrics`` and ``/recent`` in front of it."""
    routes = [Route("/metrics", metrics_app()), Route("/recent", watch.recent), Mount("/", app)]
    outside = Starlette(routes=routes)

    async def serve(scope, receive, send):  # lifespan is the application's own
        await (app if scope["type"] == "lifespan" else outside)(scope, receive, send)

    return serve


def _collect(messages: deque[tuple[float, str]]) -> None:
    """Have the lines that tracedtimeout logs kept in place of printed: there may be several a second."""
    log = logging.getLogger("tracedtimeout")
    log.addHandler(_Keep(messages))
    log.propagate = False


class _Keep(logging.Handler):
    def __init__(self, messages: deque[tuple[float, str]]) -> None:
        super().__init__()
        self._messages = messages

    def emit(self, record: logging.LogRecord) -> None:
        self._messages.append((record.created, record.getMessage()))

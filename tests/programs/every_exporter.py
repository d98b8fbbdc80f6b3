"""Every exporter once, with whatever releases are installed: run with the lowest ones that pyproject.toml allows.

``python -m tests.programs.every_exporter``; with ``PROMETHEUS_MULTIPROC_DIR`` set, as one process of several.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import urllib.request
from contextlib import suppress
from typing import Any

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tracedtimeout import install, timeout
from tracedtimeout.instrument import TracedTimeoutInstrumentor
from tracedtimeout.live import live_app
from tracedtimeout.logs import LogObserver
from tracedtimeout.prometheus import metrics_app, start_metrics_server

PACKAGES = ("opentelemetry-api", "opentelemetry-sdk", "opentelemetry-instrumentation", "prometheus-client")

COUNT = 'tracedtimeout_duration_seconds_count{outcome="expired",timeout="late"} 1.0'


async def ask(app: Any, path: str, **headers: str) -> str:
    """The body that an application answers with."""
    sent: list[Any] = []

    async def receive() -> Any:
        await asyncio.sleep(60.0)

    async def send(message: Any) -> None:
        sent.append(message)

    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": pairs}
    await app(scope, receive, send)
    assert sent[0]["status"] == 200, sent
    return str(sent[1]["body"].decode())


async def work() -> None:
    for _ in range(50):
        async with timeout(1.0, name="ok"):
            await asyncio.sleep(0)
    with suppress(TimeoutError):
        async with timeout(0.01, name="late"):
            await asyncio.sleep(1.0)
    await asyncio.wait_for(asyncio.sleep(0), 1.0)


async def main() -> None:
    scraped, live = metrics_app(), live_app()
    await work()
    assert COUNT in (await ask(scraped, "/metrics")).splitlines()
    page = await ask(scraped, "/metrics", accept="application/openmetrics-text;version=1.0.0")
    assert len(list(text_string_to_metric_families(page))) > 10  # type: ignore[no-untyped-call]  # prometheus_client's
    assert '"late"' in await ask(live, "/json")
    assert "late" in await ask(live, "/")


def names_of(reader: InMemoryMetricReader) -> set[str]:
    data = reader.get_metrics_data()
    assert data is not None
    return {metric.name for one in data.resource_metrics for scope in one.scope_metrics for metric in scope.metrics}


if __name__ == "__main__":
    reader, exporter, provider = InMemoryMetricReader(), InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    metrics.set_meter_provider(MeterProvider([reader]))
    TracedTimeoutInstrumentor().instrument()
    undo = install(observers=[LogObserver()])
    asyncio.run(main())
    with start_metrics_server(0) as server, urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics") as page:
        assert COUNT in page.read().decode().splitlines()
    assert {"tracedtimeout.duration", "tracedtimeout.expirations", "tracedtimeout.active"} <= names_of(reader)
    assert [span.status.status_code.name for span in exporter.get_finished_spans() if "late" in span.name] == ["ERROR"]
    undo()
    print("every exporter works with", *(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES))  # noqa: T201  # its result

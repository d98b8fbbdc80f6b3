"""Prometheus: the core's numbers as a Collector, and two ways to serve a registry.

Nothing is counted here. A scrape reads what the core counted, in a thread: collecting and encoding 1,600 series on the
event loop, as prometheus_client's own ASGI app does, made 20 ms timeouts overrun by 216 ms in the median.
"""

from __future__ import annotations

import asyncio
import gzip
import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self
from urllib.parse import parse_qs

import prometheus_client
from prometheus_client.exposition import choose_encoder, start_wsgi_server
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector as AnyCollector
from prometheus_client.registry import CollectorRegistry

from tracedtimeout._core import _metrics, _series
from tracedtimeout._shared.asgi import Headers, Receive, Scope, Send, reply, serve

from . import _multiprocess
from ._families import family_of

__all__ = ["Collector", "MetricsApp", "MetricsServer", "metrics_app", "start_metrics_server"]


class Collector:
    """The core's numbers as metric families, for ``registry.register(Collector())``.

    Every family is announced from the first scrape on; its series appear with their first event. `install` registers
    one. Under ``PROMETHEUS_MULTIPROC_DIR`` prometheus_client ignores collectors; `install` then does otherwise.
    """

    def collect(self) -> Iterator[Metric]:
        figures = _series.snapshot()
        return (family_of(metric, figures.get(metric, {})) for metric in _metrics.METRICS)

    def describe(self) -> Iterator[Metric]:
        """The families with no figures: what a registry checks names against, in place of a collection."""
        return (family_of(metric, {}) for metric in _metrics.METRICS)


def metrics_app(*, registry: CollectorRegistry | None = None) -> MetricsApp:
    """An ASGI application that serves `registry` at any path: mount it at ``/metrics``.

    Collecting, encoding and compressing happen in a thread of its own, one scrape at a time. The client chooses
    OpenMetrics (which shows exemplars), gzip and, by ``?name[]=``, families.

    Args:
        registry: by default prometheus_client's, or with ``PROMETHEUS_MULTIPROC_DIR`` set one that sums all processes.
    """
    return MetricsApp(_source(registry))


class MetricsApp:
    """The ASGI application that `metrics_app` makes."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._process = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await serve(scope, receive, send, self._answer, "the metrics endpoint")

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        loop = asyncio.get_running_loop()
        body, headers = await loop.run_in_executor(self._own_thread(), self._encode, scope)
        await reply(scope, send, 200, headers, body)

    def _own_thread(self) -> ThreadPoolExecutor:
        """One for each process: in the child of a fork no thread of its parent runs."""
        if self._process != os.getpid():
            self._process = os.getpid()
            self._scraper = ThreadPoolExecutor(1, thread_name_prefix="tracedtimeout-scrape")
        return self._scraper

    def _encode(self, scope: Scope) -> tuple[bytes, Headers]:
        """Collect and encode the families that a request asks for. Runs in the thread."""
        encoder, content_type = choose_encoder(_header(scope, b"accept"))
        names = parse_qs(scope["query_string"].decode("latin-1")).get("name[]")
        timed = _Timed(self._source)
        body: bytes = encoder(timed.restricted_registry(names) if names else timed)
        headers = [(b"content-type", content_type.encode()), (b"vary", b"accept, accept-encoding")]
        if _accepts_gzip(_header(scope, b"accept-encoding")):
            body = gzip.compress(body, compresslevel=1)
            headers.append((b"content-encoding", b"gzip"))
        return body, headers


def _header(scope: Scope, name: bytes) -> str:
    return ",".join(value.decode("latin-1") for key, value in scope["headers"] if key.lower() == name)


def _accepts_gzip(header: str) -> bool:
    for coding in header.lower().split(","):
        name, *parameters = (part.strip() for part in coding.split(";"))
        if name == "gzip":
            return not any(parameter in ("q=0", "q=0.0", "q=0.00", "q=0.000") for parameter in parameters)
    return False


def start_metrics_server(
    port: int, addr: str = "127.0.0.1", *, registry: CollectorRegistry | None = None
) -> MetricsServer:
    """Serve `registry` at ``http://addr:port/metrics`` from threads of its own, for programs without a web server.

    Args:
        port: 0 for a free one; the result's `port` tells.
        registry: as for `metrics_app`.

    Raises:
        OSError: the port is taken.
    """
    server, thread = start_wsgi_server(port, addr, registry=_Timed(_source(registry)))

    def close() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return MetricsServer(server.server_port, close)


@dataclass(slots=True)
class MetricsServer:
    """A running metrics server; also a context manager that closes it."""

    port: int
    _close: Callable[[], None] | None

    def close(self) -> None:
        """Stop serving and free the port. Once is enough, more does no harm."""
        close, self._close = self._close, None
        if close is not None:
            close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        self.close()


class Source(Protocol):
    """What can be scraped: a registry, or a part of one."""

    def collect(self) -> Iterable[Metric]: ...


@dataclass(frozen=True, slots=True)
class _Timed:
    """A registry that records how long a scrape takes: encoders write each family before they ask for the next."""

    source: Any

    def collect(self) -> Iterator[Metric]:
        started = time.perf_counter()
        yield from self.source.collect()
        _series.record(_metrics.SCRAPE_DURATION, (), time.perf_counter() - started)

    def restricted_registry(self, names: Iterable[str]) -> _Timed:
        return _Timed(self.source.restricted_registry(names))


def _source(registry: CollectorRegistry | None) -> CollectorRegistry:
    if registry is not None:
        return registry
    if _multiprocess.VARIABLE not in os.environ:
        return prometheus_client.REGISTRY
    together = CollectorRegistry(support_collectors_without_names=True)
    together.register(_Processes())
    return together


class _Processes(AnyCollector):
    """What all processes counted, and the families that none has anything for yet."""

    def __init__(self) -> None:
        self._files = MultiProcessCollector(None)  # type: ignore[no-untyped-call]  # prometheus_client's

    def collect(self) -> Iterator[Metric]:
        _multiprocess.transfer()
        missing = {metric.name: metric for metric in Collector().describe()}
        for family in self._files.collect():  # type: ignore[no-untyped-call]  # as above
            missing.pop(family.name, None)
            yield family
        yield from missing.values()

"""Prometheus: the core's numbers as a Collector, and two ways to serve a registry.

Nothing is counted here. A scrape reads what the core counted, in a thread: collecting and encoding 1,600 series on the
event loop, as prometheus_client's own ASGI app does, made 20 ms timeouts overrun by 216 ms in the median.
"""

from __future__ import annotations

import gzip
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self
from urllib.parse import parse_qs

import prometheus_client
from prometheus_client.exposition import choose_encoder, start_wsgi_server
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import CollectorRegistry

from tracedtimeout._core.figures import _metrics, _process
from tracedtimeout._shared import build
from tracedtimeout._shared.asgi import Headers, Receive, Scope, Send, reply, serve
from tracedtimeout._shared.off_loop import OffLoop

from . import _multiprocess
from ._families import announced, family_of
from ._processes import Processes

__all__ = ["Collector", "MetricsApp", "MetricsServer", "metrics_app", "start_metrics_server"]


class Collector:
    """The core's numbers as metric families, for ``registry.register(Collector())``.

    Every family is announced from the first scrape on; its series appear with their first event. `install` registers
    one. Under ``PROMETHEUS_MULTIPROC_DIR`` prometheus_client ignores collectors; `install` then does otherwise.
    """

    installed = False
    """True if `install` registered the collector, and not a user."""

    def collect(self) -> Iterator[Metric]:
        figures = build.snapshot()
        return (family_of(metric, figures.get(metric, {})) for metric in build.METRICS)

    def describe(self) -> Iterator[Metric]:
        """The families with no figures: what a registry checks names against, in place of a collection."""
        return announced()


def metrics_app(*, registry: CollectorRegistry | None = None) -> MetricsApp:
    """An ASGI application that serves `registry` at any path: ``Route("/metrics", metrics_app())``.

    Collecting, encoding and compressing happen in a thread of its own, one scrape at a time; requests for the same that
    come while it runs are answered with it. The client chooses OpenMetrics (which shows exemplars), gzip and, by
    ``?name[]=``, families.

    Args:
        registry: by default prometheus_client's, or with ``PROMETHEUS_MULTIPROC_DIR`` set one that sums all processes.
    """
    return MetricsApp(_source(registry))


Page = tuple[bytes, Headers]
"""The body of a scrape, and its headers."""


class MetricsApp:
    """The ASGI application that `metrics_app` makes. No `DeadlineMiddleware` ends its requests."""

    __tracedtimeout_exempt__ = True

    def __init__(self, source: Source) -> None:
        self._source = source
        self._off_loop = OffLoop("tracedtimeout-scrape")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await serve(scope, receive, send, self._answer, "the metrics endpoint")

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        gzipped = _accepts_gzip(_header(scope, b"accept-encoding"))
        asked = (_header(scope, b"accept"), gzipped, bytes(scope["query_string"]))
        body, headers = await self._off_loop.run(asked, self._encode, *asked)
        await reply(scope, send, 200, headers, body)

    def _encode(self, accepted: str, gzipped: bool, query: bytes) -> Page:
        """Collect and encode the families that a request asks for. Runs in the thread."""
        encoder, content_type = _encoder(accepted)
        names = parse_qs(query.decode("latin-1")).get("name[]")
        timed = _Timed(self._source)
        body: bytes = encoder(timed.restricted_registry(names) if names else timed)
        headers = [(b"content-type", content_type.encode()), (b"vary", b"accept, accept-encoding")]
        if gzipped:
            body = gzip.compress(body, compresslevel=1)
            headers.append((b"content-encoding", b"gzip"))
        return body, headers


def _encoder(accepted: str) -> tuple[Callable[[Any], bytes], str]:
    """The encoder for an ``Accept`` header, and its content type; for one that cannot be read, as for none."""
    try:
        return choose_encoder(accepted)
    except Exception:  # prometheus_client's reading of "version=" raises what it likes
        return choose_encoder("")


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
    """A source of families: a registry, or a part of one."""

    def collect(self) -> Iterable[Metric]: ...


@dataclass(frozen=True, slots=True)
class _Timed:
    """A registry that records how long a scrape takes: encoders write each family before they ask for the next."""

    source: Any
    whole: bool = True
    """False of some families that were asked for by name."""

    def collect(self) -> Iterator[Metric]:
        started = time.perf_counter()
        missing = self.whole
        for family in self.source.collect():
            missing = missing and family.name != _NAME
            yield family
        if missing:
            yield Metric(_NAME, _NOT_INSTALLED, "gauge")  # its HELP: other comments are an error in OpenMetrics
        _process.record(_metrics.SCRAPE_DURATION, (), time.perf_counter() - started)

    def restricted_registry(self, names: Iterable[str]) -> _Timed:
        return _Timed(self.source.restricted_registry(names), whole=False)


_NAME = _metrics.ACTIVE.prometheus_name
_NOT_INSTALLED = "No timeouts are shown: tracedtimeout.install() has not been called, or with another registry."


def _source(registry: CollectorRegistry | None) -> Any:
    """The source of a scrape: a registry, or all processes together."""
    if registry is not None:
        return registry
    folder = os.environ.get(_multiprocess.VARIABLE)
    return prometheus_client.REGISTRY if folder is None else Processes(Path(folder))

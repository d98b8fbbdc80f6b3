"""The budget in httpx: transports, asynchronous and synchronous, that wrap any other."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Collection, Iterator
from types import TracebackType
from typing import Any, Self

from tracedtimeout import checkpoint, remaining
from tracedtimeout.propagation import EMITTED, outgoing

from ._extra import extra
from ._outgoing import Hosts, ended_by_budget, least, seconds_to_send, time_to_send

with extra("httpx"):
    import httpx

__all__ = ["AsyncDeadlineTransport", "DeadlineTransport"]

_PHASES = ("connect", "read", "write", "pool")
_SENDING = ".send_request_headers.started"
"""What httpcore's trace extension says when a connection is there and the request is about to be written."""
_SOONEST = 0.001
"""Seconds of a phase that begins with the budget spent: with 0 a socket does not wait, and so does not time out."""


class AsyncDeadlineTransport(httpx.AsyncBaseTransport):
    """Sends with each request what is left of the budget, and lets no phase of it take longer.

    ``httpx.AsyncClient(transport=AsyncDeadlineTransport())``. A request whose budget is spent is not sent. Each attempt
    and redirect carries what is left then.

    Args:
        transport: what sends; by default a new `httpx.AsyncHTTPTransport`.
        hosts: the host names that are told of the budget, ``*.example.org`` for all beneath one; by default all. Of no
            account where OpenTelemetry's instrumentation carries the budget as well: that tells all.
        headers: the headers that tell it.

    Raises (of a request):
        DeadlineExceeded: the budget was spent before it was sent, or while it was under way.
    """

    def __init__(
        self,
        transport: httpx.AsyncBaseTransport | None = None,
        *,
        hosts: Collection[str] | None = None,
        headers: Collection[str] = EMITTED,
    ) -> None:
        self._transport = httpx.AsyncHTTPTransport() if transport is None else transport
        self._hosts = Hosts(hosts)
        self._headers = tuple(headers)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        left = await time_to_send()
        sent = _bounded(request, left)
        if left < math.inf and request.url.host in self._hosts:
            own, headers = request.extensions.get("trace"), self._headers

            async def trace(event: str, info: dict[str, Any]) -> None:
                if event.endswith(_SENDING):
                    _tell(info["request"], await time_to_send(), headers)
                if own is not None:
                    await own(event, info)

            sent.headers.update(outgoing(left, headers=headers))
            sent.extensions["trace"] = trace
        try:
            response = await self._transport.handle_async_request(sent)
        except httpx.TimeoutException:
            await ended_by_budget()
            raise
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = _AsyncBody(response.stream)
        return response

    async def __aenter__(self) -> Self:
        await self._transport.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self._transport.__aexit__(exc_type, exc_value, traceback)

    async def aclose(self) -> None:
        await self._transport.aclose()


class DeadlineTransport(httpx.BaseTransport):
    """As `AsyncDeadlineTransport`, for `httpx.Client`; by default around a new `httpx.HTTPTransport`.

    No timer ends a blocking call: it looks at the budget before each phase and between the chunks of the body. So one
    that stalls within a body takes up to what was left when the body began.
    """

    def __init__(
        self,
        transport: httpx.BaseTransport | None = None,
        *,
        hosts: Collection[str] | None = None,
        headers: Collection[str] = EMITTED,
    ) -> None:
        self._transport = httpx.HTTPTransport() if transport is None else transport
        self._hosts = Hosts(hosts)
        self._headers = tuple(headers)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        left = seconds_to_send()
        sent = _bounded(request, left)
        if left < math.inf and request.url.host in self._hosts:
            own, headers = request.extensions.get("trace"), self._headers

            def trace(event: str, info: dict[str, Any]) -> None:
                if event.endswith(_SENDING):
                    _tell(info["request"], seconds_to_send(), headers)
                if own is not None:
                    own(event, info)

            sent.headers.update(outgoing(left, headers=headers))
            sent.extensions["trace"] = trace
        try:
            response = self._transport.handle_request(sent)
        except httpx.TimeoutException:
            checkpoint()
            raise
        assert isinstance(response.stream, httpx.SyncByteStream)
        response.stream = _Body(response.stream)
        return response

    def __enter__(self) -> Self:
        self._transport.__enter__()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self._transport.__exit__(exc_type, exc_value, traceback)

    def close(self) -> None:
        self._transport.close()


def _bounded(request: httpx.Request, left: float) -> httpx.Request:
    """What is sent in place of `request`, which stays as it is: httpx makes redirects and retries of it."""
    return httpx.Request(
        request.method,
        request.url,
        headers=request.headers,
        stream=request.stream,
        extensions={**request.extensions, "timeout": _Phases(request.extensions.get("timeout") or {}, left)},
    )


def _tell(request: Any, left: float, headers: Collection[str]) -> None:
    """Put what is `left` into httpcore's `request`, in the place of what it was as that was made: it may have waited
    for a connection since, and tried for one several times."""
    told = {header.encode(): value.encode() for header, value in outgoing(left, headers=headers).items()}
    request.headers = [(name, told.get(name.lower(), value)) for name, value in request.headers]


class _Phases(dict[str, Any]):
    """The timeouts of a request by phase: of a phase that is asked for as it begins, with what is left then."""

    def __init__(self, own: dict[str, float | None], left: float) -> None:
        super().__init__({phase: least(own.get(phase), left) for phase in _PHASES})
        self._own = own

    def get(self, phase: str, default: Any = None) -> Any:
        return least(self._own.get(phase), max(remaining(), _SOONEST)) if phase in self else default


class _AsyncBody(httpx.AsyncByteStream):
    def __init__(self, stream: httpx.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._stream:
                await ended_by_budget()
                yield chunk
        except httpx.TimeoutException:
            await ended_by_budget()
            raise

    async def aclose(self) -> None:
        await self._stream.aclose()


class _Body(httpx.SyncByteStream):
    def __init__(self, stream: httpx.SyncByteStream) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        try:
            for chunk in self._stream:
                checkpoint()
                yield chunk
        except httpx.TimeoutException:
            checkpoint()
            raise

    def close(self) -> None:
        self._stream.close()

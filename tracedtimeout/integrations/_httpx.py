"""The doors of httpx and httpx2, which have the same names: all of them but what makes them classes of either."""

from __future__ import annotations

import contextlib
import math
from collections.abc import AsyncIterator, Collection, Iterator
from types import TracebackType
from typing import Any, Self

from tracedtimeout import checkpoint, remaining

from ._outgoing import (
    cut_short,
    ended_by_budget,
    ended_by_budget_here,
    ended_there,
    ended_there_here,
    least,
    seconds_to_send,
    time_to_send,
)
from ._telling import Changes, Origin, Telling, Told

_PHASES = ("connect", "read", "write", "pool")
_SENDING = ".send_request_headers.started"
"""The event of httpcore's trace extension when a connection is there and the request is about to be written."""
_SOONEST = 0.001
"""Seconds of a phase that begins with the budget spent: with 0 a socket does not wait, and so does not time out."""


class Door:
    """The part that both transports of a library share."""

    library: Any
    """httpx or httpx2."""
    body: Any
    """The class of the bodies that responses are read from."""

    def __init__(self, transport: Any, hosts: Collection[str] | None, headers: Collection[str]) -> None:
        self._transport = transport
        self._telling = Telling(hosts, headers)

    def _begin(self, request: Any, left: float) -> tuple[Any, Told]:
        """The request that is sent in place of `request`, which stays: httpx makes redirects and retries of it."""
        if not isinstance(request, self.library.Request):
            sort, name = type(request), self.library.__name__
            raise TypeError(f"a door of {name} was given a {sort.__name__} of {sort.__module__}: each has its own")
        own = request.extensions.get("timeout") or {}
        told = self._telling.begin(_origin(request.url), request.headers.multi_items(), patience=own.get("read"))
        sent = self.library.Request(
            request.method,
            request.url,
            headers=request.headers,
            stream=request.stream,
            extensions={**request.extensions, "timeout": _Phases(own, left)},
        )
        for header, value in told.changes(left).items():
            sent.headers.pop(header, None)
            if value is not None:
                sent.headers[header] = value
        return sent, told

    def _redirected(self, request: Any, response: Any, told: Told) -> None:
        if response.has_redirect_location:
            with contextlib.suppress(self.library.InvalidURL):
                told.redirects(_origin(request.url.join(response.headers["location"])))


class AsyncDoor(Door):
    """An asynchronous transport around another."""

    async def handle_async_request(self, request: Any) -> Any:
        left = await time_to_send()
        sent, told = self._begin(request, left)
        if left < math.inf:
            own = request.extensions.get("trace")

            async def trace(event: str, info: dict[str, Any]) -> None:
                if event.endswith(_SENDING):
                    _tell(info["request"], told.changes(await time_to_send()))
                if own is not None:
                    await own(event, info)

            sent.extensions["trace"] = trace
        try:
            response = await self._transport.handle_async_request(sent)
        except self.library.TimeoutException:
            await cut_short(left)
            raise
        self._redirected(request, response, told)
        try:
            await ended_there(response.status_code, response.headers, told.origin.hop)
        except BaseException:
            await response.aclose()
            raise
        response.stream = self.body(response.stream, left)
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


class SyncDoor(Door):
    """A synchronous transport around another."""

    def handle_request(self, request: Any) -> Any:
        left = seconds_to_send()
        sent, told = self._begin(request, left)
        if left < math.inf:
            own = request.extensions.get("trace")

            def trace(event: str, info: dict[str, Any]) -> None:
                if event.endswith(_SENDING):
                    _tell(info["request"], told.changes(seconds_to_send()))
                if own is not None:
                    own(event, info)

            sent.extensions["trace"] = trace
        try:
            response = self._transport.handle_request(sent)
        except self.library.TimeoutException:
            ended_by_budget_here()
            raise
        self._redirected(request, response, told)
        try:
            ended_there_here(response.status_code, response.headers, told.origin.hop)
        except BaseException:
            response.close()
            raise
        response.stream = self.body(response.stream)
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


class AsyncBody:
    """The body of a response: a budget without a timer ends its reading too."""

    library: Any

    def __init__(self, stream: Any, left: float) -> None:
        self._stream = stream
        self._left = left

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._stream:
                await ended_by_budget()
                yield chunk
        except self.library.TimeoutException:
            await cut_short(self._left)
            raise

    async def aclose(self) -> None:
        await self._stream.aclose()


class SyncBody:
    """A response's body of a blocking client: see `AsyncBody`."""

    library: Any

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        try:
            for chunk in self._stream:
                checkpoint()
                yield chunk
        except self.library.TimeoutException:
            ended_by_budget_here()
            raise

    def close(self) -> None:
        self._stream.close()


def _origin(url: Any) -> Origin:
    return Origin(url.scheme, url.host, url.port)


def _tell(request: Any, changes: Changes) -> None:
    """Make `changes` to httpcore's `request`, in the place of what was written as that was made: it may have waited for
    a connection since, and OpenTelemetry's instrumentation of the transport within ours has had its turn."""
    if request.method == b"CONNECT":  # to a proxy: not the request, whose turn comes when the tunnel is there
        return
    told = {header.encode(): value for header, value in changes.items()}
    kept = [(name, value) for name, value in request.headers if name.lower() not in told]
    request.headers = kept + [(name, value.encode()) for name, value in told.items() if value is not None]


class _Phases(dict[str, Any]):
    """The timeouts of a request by phase: of a phase that is asked for as it begins, with what is left then."""

    def __init__(self, own: dict[str, float | None], left: float) -> None:
        super().__init__({phase: least(own.get(phase), left) for phase in _PHASES})
        self._own = own

    def get(self, phase: str, default: Any = None) -> Any:
        return least(self._own.get(phase), max(remaining(), _SOONEST)) if phase in self else default

"""The budget in gRPC's clients: interceptors for grpc.aio, and one for blocking channels."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Generator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from tracedtimeout._disabled import DISABLED
from tracedtimeout.propagation import DEADLINE_BUDGET, GRPC_TIMEOUT, decode, outgoing

from ._extra import extra
from ._outgoing import ended_by_budget, ended_by_budget_here, least, noting, seconds_to_send, time_to_send

with extra("grpc"):
    import grpc
    import grpc.aio

CENTURY = 100 * 365 * 86400.0
"""Seconds, and more is no deadline: grpc reports none as None, or as 9.2e18 where it is not asynchronous."""
_OWN_DETAILS = "Deadline Exceeded"
"""grpc's, of a deadline that passed on this side of the call; servers have others."""


def client_interceptors() -> list[grpc.aio.ClientInterceptor]:
    """Sends with each call, of all four kinds, the seconds left of the budget, and lets none take longer.

    ``grpc.aio.insecure_channel(target, interceptors=client_interceptors())``. The least holds of a call's ``timeout=``,
    a ``grpc-timeout`` in its metadata (which grpc ignores beside the first) and the budget. A call whose budget is
    spent is not sent: it raises `DeadlineExceeded`, and so does one that the budget ends.
    """
    return [_UnaryUnary(), _UnaryStream(), _StreamUnary(), _StreamStream()]


# grpc takes an interceptor for the first kind of call that its class is made for, and for no other: hence four.


class _UnaryUnary(grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        call = await continuation(await _bounded(client_call_details), request)
        return await _answered(call, client_call_details.method)


class _UnaryStream(grpc.aio.UnaryStreamClientInterceptor):
    async def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        call = await continuation(await _bounded(client_call_details), request)
        return _answers(call, client_call_details.method)


class _StreamUnary(grpc.aio.StreamUnaryClientInterceptor):
    async def intercept_stream_unary(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        call = await _written(continuation, await _bounded(client_call_details), request_iterator)
        return _Answered(call, client_call_details.method)


class _StreamStream(grpc.aio.StreamStreamClientInterceptor):
    async def intercept_stream_stream(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        call = await _written(continuation, await _bounded(client_call_details), request_iterator)
        return _answers(call, client_call_details.method)


async def _bounded(details: Any) -> Any:
    """The details of a call as it is sent: under the least of its limits, and saying so.

    Raises:
        DeadlineExceeded: the budget is spent.
    """
    if DISABLED:
        return details
    limit, metadata = _limited(details, await time_to_send())
    return grpc.aio.ClientCallDetails(
        details.method, limit, grpc.aio.Metadata(*metadata), details.credentials, details.wait_for_ready
    )


def _limited(details: Any, left: float) -> tuple[float | None, list[tuple[str, Any]]]:
    """The timeout and the metadata of a call when `left` seconds of the budget are left."""
    limit = least(details.timeout, left)
    told: list[tuple[str, Any]] = []
    for key, value in details.metadata or ():
        asked = _asked_for(key, value)
        if asked is not None:
            limit = least(limit, asked)
        if key != GRPC_TIMEOUT or asked is None:
            told.append((key, value))
    if limit is not None and limit >= CENTURY:
        limit = None
    if limit is not None:
        told = [line for line in told if line[0] != DEADLINE_BUDGET]
        told += outgoing(max(0.0, limit), headers=(DEADLINE_BUDGET,)).items()
    return limit, told


def _asked_for(key: str, value: object) -> float | None:
    """Seconds that a line of metadata grants, which the caller put there; None if it grants none."""
    if key not in (GRPC_TIMEOUT, DEADLINE_BUDGET):
        return None
    try:
        granted = decode(key, value if isinstance(value, str) else "")
    except ValueError:
        return None
    return None if granted is None else granted / 1e9


async def _written(continuation: Any, details: Any, requests: Any) -> Any:
    """A call that `requests` are written to, and that ends them as it ends.

    grpc waits for the next one for ever, in a task of its own: of a call that a deadline ended, that task would be
    destroyed with a word to the log when the loop is closed ("aclose(): asynchronous generator is already running").
    """
    if not hasattr(requests, "__anext__"):
        return await continuation(details, requests)
    read = _Requests(requests)
    call = await continuation(details, read)
    if hasattr(call, "add_done_callback"):  # an interceptor after this one may give something else
        call.add_done_callback(read.stop)
    return call


class _Requests:
    """The requests of a call, and who waits for them."""

    def __init__(self, requests: Any) -> None:
        self._requests = requests
        self._reader: asyncio.Task[Any] | None = None

    def __aiter__(self) -> _Requests:
        return self

    def __anext__(self) -> Awaitable[Any]:
        self._reader = asyncio.current_task()
        following: Awaitable[Any] = self._requests.__anext__()
        return following

    def stop(self, _: Any) -> None:
        if self._reader is not None:
            self._reader.cancel()


async def _answered(call: Any, method: Any) -> Any:
    """`call`, once it has ended; raises `DeadlineExceeded` if the budget ended it."""
    try:
        await call
    except grpc.aio.AioRpcError as exc:
        await _by_budget(exc, method)
    return call


class _Answered:
    """A call that is still to be written to, and that raises `DeadlineExceeded` when awaited if the budget ended it."""

    def __init__(self, call: Any, method: Any) -> None:
        self._call = call
        self._method = method

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)

    def __await__(self) -> Generator[Any, None, Any]:
        yield from _answered(self._call, self._method).__await__()
        return (yield from self._call.__await__())


async def _answers(call: Any, method: Any) -> AsyncIterator[Any]:
    try:
        async for response in call:
            yield response
    except grpc.aio.AioRpcError as exc:
        await _by_budget(exc, method)
        raise


async def _by_budget(exc: grpc.aio.AioRpcError, method: Any) -> None:
    if exc.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        with _naming(exc, method):
            await ended_by_budget()


def _naming(exc: Any, method: Any) -> Any:
    """Have a `DeadlineExceeded` name `method`, if that is where the deadline was found to have passed."""
    details = exc.details()
    name = method.decode() if isinstance(method, bytes) else method
    return nullcontext() if details == _OWN_DETAILS else noting(f"{name} answered DEADLINE_EXCEEDED: {details}")


@dataclass(frozen=True, slots=True)
class _Details:
    """The facts of a call that grpc reads, by name: it has no class of its own for them."""

    method: Any
    timeout: float | None
    metadata: Any
    credentials: Any
    wait_for_ready: bool | None
    compression: Any


class DeadlineClientInterceptor(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """The interceptor of blocking channels, which does what `client_interceptors` do.

    ``grpc.intercept_channel(channel, DeadlineClientInterceptor())``. A call under a `budget()`, or under the deadline
    that its job's context brought to the thread, carries what is left, takes no longer, and raises `DeadlineExceeded`
    when that is spent: unsent, if it was before.
    """

    def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return self._call(continuation, client_call_details, request)

    def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return self._call(continuation, client_call_details, request)

    def intercept_stream_unary(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        return self._call(continuation, client_call_details, request_iterator)

    def intercept_stream_stream(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        return self._call(continuation, client_call_details, request_iterator)

    def _call(self, continuation: Any, details: Any, requests: Any) -> Any:
        if DISABLED:
            return continuation(details, requests)
        limit, metadata = _limited(details, seconds_to_send())
        compression = getattr(details, "compression", None)
        bounded = _Details(details.method, limit, metadata, details.credentials, details.wait_for_ready, compression)
        return _Blocking(continuation(bounded, requests), details.method)


class _Blocking:
    """A call whose result, or whose next response, is waited for with the thread blocked."""

    def __init__(self, call: Any, method: Any) -> None:
        self._call = call
        self._method = method

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)

    def __iter__(self) -> _Blocking:
        return self

    def __next__(self) -> Any:
        try:
            return next(self._call)
        except grpc.RpcError as exc:
            self._ended(exc)
            raise

    def result(self, timeout: float | None = None) -> Any:
        try:
            return self._call.result(timeout)
        except grpc.RpcError as exc:
            self._ended(exc)
            raise

    def _ended(self, exc: Any) -> None:
        if exc.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            with _naming(exc, self._method):
                ended_by_budget_here()

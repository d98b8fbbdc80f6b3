"""The budget in gRPC: interceptors for its clients, and one for the servers of grpc.aio."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Iterator
from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING, Any

from tracedtimeout import DeadlineExceeded, remaining
from tracedtimeout.propagation import GRPC_TIMEOUT, HEADERS, encode

from ._extra import extra
from ._grpc_client import CENTURY, DeadlineClientInterceptor, client_interceptors
from ._naming import note_endpoint
from ._opened import Opened
from .door import Door

with extra("grpc"):
    import grpc.aio

__all__ = ["DeadlineClientInterceptor", "DeadlineServerInterceptor", "client_interceptors"]

if TYPE_CHECKING:
    Handler = grpc.RpcMethodHandler[Any, Any]  # generic in its stubs alone
    Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]]

_DETAILS = "The deadline has passed."


class DeadlineServerInterceptor(grpc.aio.ServerInterceptor):
    """Ends each call at its deadline with DEADLINE_EXCEEDED; what is expired on arrival no handler sees.

    The deadline is the least that the call's own timeout and its ``deadline-budget`` metadata grant, and no later than
    `maximum`; with neither it is `default`. A call is named by its service and method. A handler that is not async
    runs in a thread: it sees the budget (`remaining`, `checkpoint`), and nothing but itself can end it.

    Args:
        default: seconds for a call that came with no deadline; None for none.
        maximum: seconds that no call gets more than; None for no such bound.
        accept: the headers believed, ``grpc-timeout`` being the call's own.
        at_least: seconds; with less than these left on arrival the handler does not run.
        dark: what would be refused on arrival, or ended by `default`, is counted, and runs.

    Raises:
        TypeError, ValueError: bad input; the message names the parameter and the value.
    """

    def __init__(
        self,
        *,
        default: float | None = None,
        maximum: float | None = None,
        accept: Collection[str] = HEADERS,
        at_least: float = 0.0,
        dark: bool = False,
    ) -> None:
        self._door = Door(default=default, maximum=maximum, accept=accept, at_least=at_least, dark=dark)

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler | None:
        found = await continuation(handler_call_details)
        if found is None:  # no such method: the name that a client chose is none of ours
            return None
        handler: Any = found
        name = str(handler_call_details.method).lstrip("/")
        kind = "_".join("stream" if s else "unary" for s in (handler.request_streaming, handler.response_streaming))
        behaviour = getattr(handler, kind)
        note_endpoint(name, behaviour)
        guarded = functools.partial(_guard_for(behaviour, kind), self._door, name, behaviour)
        wrapped: Handler = getattr(grpc, f"{kind}_rpc_method_handler")(
            guarded, handler.request_deserializer, handler.response_serializer
        )
        return wrapped


def _guard_for(behaviour: Any, kind: str) -> Callable[..., Any]:
    """The function that runs a handler in its place, of the same sort: grpc tells by that how to run it."""
    if inspect.isasyncgenfunction(behaviour):
        return _generating
    if inspect.iscoroutinefunction(behaviour):
        return _awaited
    return _generating_in_thread if kind.endswith("stream") else _in_thread


async def _awaited(door: Door, name: str, behaviour: Any, request: Any, context: Any) -> Any:
    opened = door.open(name, _Lines(context))
    try:
        try:
            opened.enter()
        except DeadlineExceeded:
            return await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, _DETAILS)
        in_time, answer = await _guarded(opened, behaviour, request, context)
    finally:
        opened.close()
    return answer if in_time else await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, _DETAILS)


async def _guarded(opened: Opened, behaviour: Any, request: Any, context: Any) -> tuple[bool, Any]:
    """True, and what the handler answers; False if the call's deadline has ended it."""
    try:
        answer = await behaviour(request, context)
    except BaseException as exc:
        if opened.leave(exc) is None:
            _keep_in(exc)
            raise
        return False, None
    opened.leave()
    return True, answer


async def _generating(door: Door, name: str, behaviour: Any, request: Any, context: Any) -> AsyncIterator[Any]:
    """A generator in form alone: it writes what the handler yields, so that a deadline that passes while the client
    reads slowly ends the handler as any other does, and not grpc's loop around it."""

    async def write(request: Any, context: Any) -> None:
        async with aclosing(behaviour(request, context)) as responses:
            async for response in responses:
                await context.write(response)

    await _awaited(door, name, write, request, context)
    nothing: tuple[Any, ...] = ()
    for response in nothing:
        yield response


def _in_thread(door: Door, name: str, behaviour: Any, request: Any, context: Any) -> Any:
    with _bound_in_thread(door, name, context):
        return behaviour(request, context)


def _generating_in_thread(door: Door, name: str, behaviour: Any, request: Any, context: Any) -> Iterator[Any]:
    with _bound_in_thread(door, name, context):
        yield from behaviour(request, context)


@contextmanager
def _bound_in_thread(door: Door, name: str, context: Any) -> Iterator[None]:
    entered = spent = False
    try:
        with door.open(name, _Lines(context)):
            entered = True
            try:
                yield
            finally:
                spent = remaining() <= 0.0
    except DeadlineExceeded as exc:
        if spent or not entered:
            context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, _DETAILS)
        _keep_in(exc)
        raise


def _keep_in(exc: BaseException) -> None:
    """Raise another in the place of a timeout's of the handler's own: grpc sends what an exception says to the client,
    and ours says names and places. The log has it, as the cause."""
    if isinstance(exc, DeadlineExceeded):
        raise TimeoutError("a timeout of the handler's own") from exc


class _Lines(Iterable[tuple[Any, Any]]):
    """The lines of a call's metadata, and the timeout that grpc has read off it, as the line it was; read if asked."""

    def __init__(self, context: Any) -> None:
        self._context = context

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        yield from self._context.invocation_metadata() or ()
        left = self._context.time_remaining()
        if left is not None and left < CENTURY:
            yield GRPC_TIMEOUT, encode(GRPC_TIMEOUT, int(left * 1e9)) if left > 0.0 else "0n"

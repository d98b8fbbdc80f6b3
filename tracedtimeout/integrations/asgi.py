"""Deadlines for ASGI applications: each request under a timeout, bounded by what its caller granted."""

from __future__ import annotations

from asyncio import get_running_loop
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any, TypeVar

from tracedtimeout import DeadlineExceeded, _received
from tracedtimeout._core._timeout import Timeout
from tracedtimeout._disabled import DISABLED
from tracedtimeout._wire import HEADERS

from . import _threads
from ._admission import Admission, left_with
from ._answers import Answer, Response, Socket
from ._disconnect import Watch
from ._naming import EXEMPT, MARK, Namer
from ._overdue import Open

__all__ = ["EXEMPT", "DeadlineMiddleware", "exempt"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[..., Awaitable[Any]]
"""Frameworks type the scope, the messages and the functions each in a way of their own."""
E = TypeVar("E")


def exempt(endpoint: E) -> E:
    """Mark an endpoint that no deadline shall end: a stream, a WebSocket, a long poll.

    Found where routes are resolved for you; a `route_of` of your own returns `EXEMPT`.
    """
    setattr(endpoint, MARK, True)
    return endpoint


class DeadlineMiddleware:
    """Ends each request at its deadline: 504 if the response has not started, else the connection is cut.

    The deadline is the least that the caller's headers grant, and no later than `maximum`; with no such header it is
    `default`. Sits inside the middlewares of OpenTelemetry and Prometheus, so that they see the 504. An application's
    own TimeoutError is left alone. A WebSocket is ended only by the deadline of a header that came with its handshake.

    Args:
        app: the application.
        default: seconds for a request that came with no deadline; None for none.
        maximum: seconds that no request gets more than; None for no such bound.
        accept: the headers believed; ``()`` at an edge that strangers reach.
        at_least: seconds; with less than these left on arrival the application does not run.
        dark: what would be refused on arrival is counted, and runs; if expired, as if it had come with no deadline.
        cancel_on_disconnect: cancel the application when its peer goes away before the response is complete.
        route_of: the route's template for a scope (None: no match); by default asked of Starlette, FastAPI or Litestar.

    Raises:
        TypeError, ValueError: bad input; the message names the parameter and the value.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        default: float | None = None,
        maximum: float | None = None,
        accept: Collection[str] = HEADERS,
        at_least: float = 0.0,
        dark: bool = False,
        cancel_on_disconnect: bool = False,
        route_of: Callable[[Scope], str | None] | None = None,
    ) -> None:
        self.app = app
        self._terms = Admission(default=default, maximum=maximum, accept=accept, at_least=at_least, dark=dark)
        self._cancel_on_disconnect = cancel_on_disconnect
        self._name_of = Namer(app, route_of)
        self._open: Open | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        lines = [] if kind == "lifespan" else [line for line in scope["headers"] if line[0] in _received.KNOWN]
        if DISABLED or (not lines and kind != "http"):
            await self.app(scope, receive, send)
            return
        name = self._name_of(scope)
        if name == EXEMPT:
            await self.app(scope, receive, send)
            return
        request, bound = self._terms.admit(name, lines, stays=kind != "http")
        try:
            await self._guard(request, scope, receive, send)
        finally:
            if bound is not None:
                bound.close()

    async def _guard(self, request: Timeout, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application under `request`, and answer for it if that ends it."""
        answer: Answer = Response(send, scope["method"]) if scope["type"] == "http" else Socket(send, scope)
        try:
            request._enter()
        except DeadlineExceeded as refusal:
            await answer.expire(refusal)
            return
        still_open = self._open_here()
        still_open.add(request, answer, scope)
        watch = Watch(receive, answer) if self._cancel_on_disconnect else None
        try:
            await self.app(scope, receive if watch is None else watch.receive, answer.send)
        except BaseException as exc:
            expiry = left_with(request, exc)
            if expiry is not None:
                _threads.count_abandoned(request.name, exc)
                await answer.expire(expiry)
            elif watch is None or not watch.accounts_for(exc):
                raise
        else:
            request._exit(None)
        finally:
            if watch is not None:
                watch.stop()
            still_open.remove(request)
            if answer.late is not None:
                await answer.late

    def _open_here(self) -> Open:
        """The requests open on this loop; kept for the loop that was last asked for."""
        found = self._open
        if found is None or found.loop is not get_running_loop():
            found = self._open = Open(self._name_of.in_thread)
        return found

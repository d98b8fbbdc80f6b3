"""Deadlines for ASGI applications: each request under a timeout, bounded by what its caller granted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any, TypeVar

from tracedtimeout import DeadlineExceeded, Timeout, _received, remaining, timeout
from tracedtimeout._core import _metrics, _series
from tracedtimeout._core._budget import REMOTE, Budget, seconds_of
from tracedtimeout._wire import HEADERS

from . import _threads
from ._answers import Answer, Response, Socket
from ._disconnect import Watch
from ._naming import EXEMPT, MARK, Namer
from ._overdue import Request

__all__ = ["EXEMPT", "DeadlineMiddleware", "exempt"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[..., Awaitable[Any]]
"""Frameworks type the scope, the messages and the functions each in a way of their own."""
E = TypeVar("E")

_ANY = 1e-9
"""Seconds that must be left on arrival for the application to run at all."""


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
        for parameter, value in (("default", default), ("maximum", maximum), ("at_least", at_least)):
            if value is not None and seconds_of(parameter, value) < 0.0:
                raise ValueError(f"{parameter} must not be negative, not {value!r}")
        if isinstance(accept, str) or not set(accept) <= set(HEADERS):
            raise ValueError(f"accept must be some of {HEADERS}, not {accept!r}")
        bounds = [bound for bound in (default, maximum) if bound is not None]
        self.app = app
        self._default = min(bounds, default=None)
        self._maximum = maximum
        self._accept = frozenset(accept)
        self._at_least = 0.0 if dark else at_least
        self._dark_below = max(at_least, _ANY) if dark else None
        self._cancel_on_disconnect = cancel_on_disconnect
        self._name_of = Namer(app, route_of)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        lines = [] if kind == "lifespan" else [line for line in scope["headers"] if line[0] in _received.KNOWN]
        if not lines and kind != "http":
            await self.app(scope, receive, send)
            return
        name = self._name_of(scope)
        if name == EXEMPT:
            await self.app(scope, receive, send)
            return
        granted = _received.seconds(lines, accept=self._accept) if lines else None
        if granted is not None and self._dark_below is not None:
            granted = self._let_in(granted, name, self._dark_below)
        if granted is None:
            own = self._default if kind == "http" else None
            await self._guard(timeout(own, name=name, at_least=self._at_least), scope, receive, send)
            return
        needed = max(self._at_least, _ANY)
        refused = granted < needed and self._dark_below is None
        bound = Budget(granted, name=REMOTE)
        bound.open()
        try:
            made = timeout(self._maximum, name=name, at_least=needed if refused else 0.0)
            await self._guard(made, scope, receive, send)
        finally:
            bound.close()

    async def _guard(self, made: Timeout, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application under the timeout `made` for it, and answer for it if that ends it."""
        answer: Answer = Response(send, scope["method"]) if scope["type"] == "http" else Socket(send, scope)
        request = Request.of(made, answer, lambda: self._name_of.in_thread(scope))
        try:
            request._enter()
        except DeadlineExceeded as refusal:
            await answer.expire(refusal)
            return
        watch = Watch(receive, answer) if self._cancel_on_disconnect else None
        try:
            await self.app(scope, receive if watch is None else watch.receive, answer.send)
        except BaseException as exc:
            expiry = _left(request, exc)
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
            if answer.late is not None:
                request.came_back()
                await answer.late

    def _let_in(self, granted: float, name: str, below: float) -> float | None:
        """What a request runs under that is not refused though it would be, which is counted."""
        left = min(granted, remaining())
        if left >= below:
            return granted
        reason = "at_least" if left > 0.0 else "expired"
        _series.count(_metrics.REJECTIONS, (_series.label(name), reason, "dark"))
        return granted if left > 0.0 else None


def _left(request: Timeout, exc: BaseException) -> DeadlineExceeded | None:
    """Leave `request` with `exc`; what it raises in its stead, if its deadline ended it."""
    try:
        request._exit(exc, "")
    except DeadlineExceeded as expiry:
        return expiry
    return None

"""Deadlines for ASGI applications: each request under a timeout, bounded by what its caller granted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import Any, TypeVar

from tracedtimeout import DeadlineExceeded
from tracedtimeout._asgi import Receive, Scope, Send
from tracedtimeout._disabled import DISABLED
from tracedtimeout._received import KNOWN
from tracedtimeout._wire import HEADERS

from . import _threads
from ._admission import Admission, left_with
from ._answers import Answer, Response, Socket
from ._disconnect import Watch
from ._naming import EXEMPT, MARK, Namer
from ._overdue import Open

__all__ = ["EXEMPT", "DeadlineMiddleware", "exempt"]

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
        self._names = self._name_of.kept
        self._open: Open | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. In one piece, since each call saved is a twentieth of what this adds to a request."""
        kind = scope["type"]
        lines: list[tuple[object, object]] = []
        if kind != "lifespan":
            for line in scope["headers"]:
                if line[0] in KNOWN:  # of most requests none is
                    lines = [line for line in scope["headers"] if line[0] in KNOWN]
                    break
        if DISABLED or (not lines and kind != "http"):
            await self.app(scope, receive, send)
            return
        key = scope.get("method"), scope["path"], scope.get("root_path")
        name = (self._names.get(key) if kind == "http" else None) or self._name_of(scope)
        if name == EXEMPT:
            await self.app(scope, receive, send)
            return

        if lines:
            request, bound = self._terms.admit(name, lines, stays=kind != "http")
        else:
            request, bound = self._terms.admit_unasked(name), None
        answer: Answer = Response(send, scope, request) if kind == "http" else Socket(send, scope, request)
        still_open: Open | None = None
        watch: Watch | None = None
        try:
            await request.__aenter__()
            still_open = self._open
            if still_open is None or still_open.here is not request._here:
                still_open = self._open = Open(request._here, self._name_of.in_thread)
            still_open.answers.add(answer)
            if not still_open.looking:
                still_open.look_later()
            if self._cancel_on_disconnect:
                watch = Watch(receive, answer)
                receive = watch.receive
            await self.app(scope, receive, answer.send)
            await request.__aexit__(None, None, None)
        except BaseException as exc:
            if not await (_refused(answer, exc) if still_open is None else _ended(answer, exc, watch)):
                raise
        finally:
            if watch is not None:
                watch.stop()
            if still_open is not None:
                still_open.answers.remove(answer)
                if still_open.overdue:
                    still_open.forget(answer)
            if bound is not None:
                bound.close()
            if answer.late is not None:
                await answer.late


async def _refused(answer: Answer, exc: BaseException) -> bool:
    """Whether the request was not let in, which its peer has been told."""
    if isinstance(exc, DeadlineExceeded):
        await answer.expire(exc)
    return isinstance(exc, DeadlineExceeded)


async def _ended(answer: Answer, exc: BaseException, watch: Watch | None) -> bool:
    """Leave the request with `exc`; whether that is its deadline's or its disconnect's doing, and its peer told."""
    expiry = left_with(answer.request, exc)
    if expiry is None:
        return watch is not None and watch.accounts_for(exc)
    _threads.count_abandoned(answer.request.name, exc)
    await answer.expire(expiry)
    return True

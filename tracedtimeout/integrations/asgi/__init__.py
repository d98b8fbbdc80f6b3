"""Deadlines for ASGI applications: each request under a timeout, bounded by what its caller granted."""

from __future__ import annotations

import reprlib
from collections.abc import Awaitable, Callable, Collection
from typing import Any, TypeVar

from tracedtimeout import DeadlineExceeded
from tracedtimeout._shared.asgi import Receive, Scope, Send
from tracedtimeout.integrations._admission import leave_plainly
from tracedtimeout.integrations._naming import MARK
from tracedtimeout.integrations._opened import Opened
from tracedtimeout.integrations.door import Door, plainly
from tracedtimeout.propagation import HEADERS

from ._answers import Response, ResponseToBody, Socket
from ._disconnect import Watch
from ._namer import EXEMPT, Namer
from ._overdue import answers, come_back, give_up, late

__all__ = ["EXEMPT", "DeadlineMiddleware", "exempt"]

ASGIApp = Callable[..., Awaitable[Any]]
"""Frameworks type the scope, the messages and the functions each in a way of their own."""
E = TypeVar("E")

SCOPE = "tracedtimeout"
"""The key of the request in ASGI's scope: the doors of mounted applications inherit it, in whatever task they run."""


def exempt(endpoint: E) -> E:
    """Mark an endpoint that no deadline shall end: a stream, a WebSocket, a long poll.

    Found where routes are resolved for you; a `route_of` of your own returns `EXEMPT`.

    Raises:
        TypeError: it takes no attributes: it is a bound method, whose function is to be marked, or no endpoint at all.
    """
    try:
        setattr(endpoint, MARK, True)
    except (AttributeError, TypeError):
        raise TypeError(f"exempt goes on a function or a class, not on {reprlib.repr(endpoint)}") from None
    return endpoint


class DeadlineMiddleware:
    """Ends each request at its deadline: 504 if the response has not started, else the connection is cut.

    A response that is complete stays so: what runs on behind it is ended, and its client hears nothing of that.

    The deadline is the least that the caller's headers grant, and no later than `maximum`; with no such header it is
    `default`. Sits inside the middlewares of OpenTelemetry and Prometheus, so that they see the 504. An application's
    own TimeoutError is left alone. A WebSocket is ended only by the deadline of a header that came with its handshake.

    Args:
        app: the application.
        default: seconds for a request that came with no deadline; None for none.
        maximum: seconds that no request gets more than; by default those of `default`, so that a client can shorten a
            deadline and never lengthen it; ``math.inf`` for no such bound.
        accept: the headers believed; ``()`` at an edge that strangers reach.
        at_least: seconds; with less than these left on arrival the application does not run.
        dark: what would be refused on arrival, or cut by `default`, is counted, and runs; if expired on arrival, as if
            it had come with no deadline.
        cancel_on_disconnect: cancel the application when its client goes away before the response is complete.
        route_of: the route's template for a scope (None: no match); by default asked of the framework's own table:
            Starlette, FastAPI, Litestar, Quart, Flask behind an adapter, Django and Sanic.

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
        if not (route_of is None or callable(route_of)):
            raise TypeError(f"route_of must be a function of the scope, not {reprlib.repr(route_of)}")
        self.app = app
        self._door = Door(default=default, maximum=maximum, accept=accept, at_least=at_least, dark=dark)
        self._enter_plainly = plainly(self._door)
        self._cancel_on_disconnect = cancel_on_disconnect
        self._name_of = Namer(app, route_of, self._door.announce)
        self._names = self._name_of.kept

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. In one piece, since each call saved is a twentieth of what this adds to a request."""
        if scope["type"] != "http":
            await self._serve_other(scope, receive, send)
            return
        try:
            name = self._names[scope["method"], scope["path"], scope["root_path"]]
        except KeyError:
            name = self._name_of(scope)
            if name is EXEMPT:
                await self.app(scope, receive, send)
                return

        if scope["method"] in _WITHOUT_A_BODY:
            answer = Response(send, scope, name)
        else:
            answer = with_body = ResponseToBody(send, scope, name, receive)
            receive = with_body.receive
        request: Any = None
        opened = outer = watch = None
        lines, left, done = None, False, False
        for line in scope["headers"]:  # of one or a dozen, by a fifth to a half cheaper than what C has for it
            if line[0] in _OURS:
                lines = _ours(scope)
                break
        try:
            try:
                if SCOPE not in scope:
                    request = self._enter_plainly(name, lines)
                if request is None:
                    outer = scope.get(SCOPE)
                    opened = self._door.open(name, lines, outer=outer)
                    request = opened.enter()
                answers[request] = answer
                scope[SCOPE] = request
                if self._cancel_on_disconnect:
                    watch = Watch(receive, answer)
                    receive = watch.receive
                    watch.start()
                await self.app(scope, receive, answer.send)
                if opened is None:
                    leave_plainly(request)
                else:
                    opened.leave()
                left = True
            except BaseException as exc:
                if request is None:
                    if not (isinstance(exc, DeadlineExceeded) and await answer.expire()):
                        raise
                    return
                if opened is None:
                    opened = self._door.open(name, None).of(request)
                if not await _ended(opened, answer, exc) and not (watch is not None and watch.accounts_for(exc)):
                    raise
            finally:
                answers.pop(request, None)
                if outer is not None:
                    scope[SCOPE] = outer
                if watch is not None:
                    watch.stop()
                if late:
                    await come_back(request)
                done = left
        finally:
            if not done and request is not None:  # a signal's exception came in between
                (opened or self._door.open(name, None).of(request)).close()
                answers.pop(request, None)
                if outer is not None:
                    scope[SCOPE] = outer
                if watch is not None:
                    watch.stop()
                give_up(request)

    async def _serve_other(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a WebSocket, bounded if a header came with its handshake; by a lifespan all routes are there."""
        if scope["type"] == "lifespan":
            self._name_of.tell_known()
        lines = _ours(scope) if scope["type"] == "websocket" else []
        name = self._name_of(scope) if lines else EXEMPT
        if name is EXEMPT:
            await self.app(scope, receive, send)
            return
        answer = Socket(send, scope)
        opened, request = self._door.open(name, lines, stays=True, outer=scope.get(SCOPE)), None
        try:
            request = opened.enter()
            await self.app(scope, receive, answer.send)
            opened.leave()
        except BaseException as exc:
            if request is None:
                if not isinstance(exc, DeadlineExceeded):
                    raise
                await answer.expire()
            elif not await _ended(opened, answer, exc):
                raise
        finally:
            opened.close()


_OURS = frozenset(header.encode() for header in HEADERS)
_WITHOUT_A_BODY = frozenset({"GET", "HEAD"})
"""Methods of requests without a body, as a rule: the door spares them what only a body needs."""


def _ours(scope: Scope) -> list[tuple[object, object]]:
    """The header lines that may carry a deadline."""
    return [line for line in scope["headers"] if line[0] in _OURS]


async def _ended(opened: Opened, answer: Response | Socket, exc: BaseException) -> bool:
    """Leave the request with `exc`. True if its deadline ended it, and its client has been told.

    Raises:
        DeadlineExceeded: its deadline is, and its client has a part of the response, or takes no 504: the server cuts
            the connection.
    """
    expiry = opened.leave(exc)
    if expiry is None:
        return False
    try:
        if not await answer.expire():
            raise expiry
    finally:
        del expiry  # its traceback leads to this frame, and would keep the request until the garbage collector runs
    return True

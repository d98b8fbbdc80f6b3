"""The budget in aiohttp: a middleware for its clients, and one for its servers."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import math
import weakref
from collections.abc import Awaitable, Callable, Collection, Iterator
from http import HTTPStatus
from itertools import islice
from typing import Any, Protocol

from tracedtimeout import DeadlineExceeded, Timeout, checkpoint, remaining
from tracedtimeout.propagation import HEADERS

from ._extra import extra
from ._hosts import PRIVATE
from ._naming import MARK, method_and_route, note_endpoint
from ._opened import Opened
from ._outgoing import ROUNDING, cut_short, ended_there, least, time_to_send
from ._patience import lose
from ._problem import PROBLEM, PROBLEM_HEADERS
from ._telling import TOLD, Changes, Origin, Telling, Told
from .door import Door

with extra("aiohttp"):
    from aiohttp import ClientHandlerType, ClientMiddlewareType, ClientRequest, ClientResponse, ClientTimeout, web
    from aiohttp.connector import Connection
    from yarl import URL

__all__ = ["PRIVATE", "client_middleware", "server_middleware"]

_REDIRECTS = (301, 302, 303, 307, 308)
"""A handler, as in aiohttp."""
_LAST_LOOK = 0.005
"""Seconds before the deadline of what may become a WebSocket."""
_MOST_KNOWN = 200
"""Routes whose names are told before their first request: GET has HEAD beside it."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class _Middleware(Protocol):  # aiohttp's own names the arguments, too
    def __call__(self, request: web.Request, handler: Handler) -> Awaitable[web.StreamResponse]: ...


def client_middleware(*, hosts: Collection[str] | None = None, headers: Collection[str] = TOLD) -> ClientMiddlewareType:
    """A client middleware that sends with each request the seconds left of the budget, and lets it take no longer.

    ``aiohttp.ClientSession(middlewares=[client_middleware()])``. A request whose budget is spent is not sent: it raises
    `DeadlineExceeded`. Each attempt and redirect carries what is left then: the least of the budget, the total of the
    request's `aiohttp.ClientTimeout`, and a deadline that the caller wrote into the request. The middlewares that retry
    go before it.

    Args:
        hosts: the host names that are told of the budget, ``*.example.org`` for all beneath one, `PRIVATE` for those of
            one's own network. To others goes no header of ours at all, OpenTelemetry's propagator and the caller
            included. By default all are told, but for a redirect to another origin.
        headers: the headers that tell it.

    Raises:
        TypeError, ValueError: bad input; the message names the parameter and the value.
    """
    telling = Telling(hosts, headers)

    async def bounded(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        left = await time_to_send()
        told = _begin(telling, request, handler)
        before = [(name, value) for name, value in request.headers.items() if name.lower() in told.names]
        _tell(request, told.changes(left))
        vars(request)["send"] = functools.partial(_tell_and_send, request, told)
        response, patience = None, asyncio.timeout(None if left == math.inf else left)
        try:
            try:
                async with patience:
                    response = await handler(request)
            except TimeoutError:
                await cut_short(left)
                raise
            finally:
                vars(request).pop("send", None)
                _tell(request, dict.fromkeys(told.names))  # a middleware may try again, with another budget
                request.headers.extend(before)
            _redirected(told, request, response)
            await ended_there(response.status, response.headers, told.origin.hop)
            if left < math.inf and response.status != HTTPStatus.SWITCHING_PROTOCOLS:
                _bound_body(response, left)
        except BaseException:
            lose(patience)
            if response is not None:
                response.close()
            raise
        return response

    return bounded


def _begin(telling: Telling, request: ClientRequest, handler: ClientHandlerType) -> Told:
    limits, call = _limits(handler)
    if limits is None and request.session is not None:
        limits = request.session.timeout
    total = getattr(limits, "total", None) or None  # 0 is none
    return telling.begin(_origin(request.url), request.headers.items(), total=total, call=call)


def _limits(handler: Any) -> tuple[ClientTimeout | None, object]:
    """The limits of the call that `handler` makes a request of, and an object that all its requests share.

    aiohttp tells no middleware of either: its handlers are closures over both, or over the next handler. None where
    they are not, as they may cease to be.
    """
    while handler is not None:
        names = getattr(getattr(handler, "__code__", None), "co_freevars", ())
        cells = dict(zip(names, getattr(handler, "__closure__", None) or (), strict=False))
        if "real_timeout" in cells and "timer" in cells:
            return cells["real_timeout"].cell_contents, cells["timer"].cell_contents
        following = cells.get("next_h") or cells.get("handler")
        handler = None if following is None else following.cell_contents
    return None, None


def _redirected(told: Told, request: ClientRequest, response: ClientResponse) -> None:
    location = response.headers.get("location") or response.headers.get("uri")
    if response.status in _REDIRECTS and location:
        with contextlib.suppress(ValueError):
            told.redirects(_origin(request.url.join(URL(location))))


def _origin(url: URL) -> Origin:
    return Origin(url.scheme, url.raw_host or "", None if url.is_default_port() else url.explicit_port)


def _tell(request: ClientRequest, changes: Changes) -> None:
    for header, value in changes.items():
        if value is None:
            request.headers.popall(header, None)
        else:
            request.headers[header] = value


def _tell_and_send(request: ClientRequest, told: Told, connection: Connection) -> Awaitable[ClientResponse]:
    """`ClientRequest.send`, of what is left now that a connection is there: to wait for one took of the budget, too."""
    _tell(request, told.changes(remaining()))
    return type(request).send(request, connection)


def _bound_body(response: ClientResponse, left: float) -> None:
    """Let no wait for more of the body take longer than what was left, nor all of them together.

    A timeout around it ends them all by itself, and has its turn first; a bare budget has no timer.
    """
    connection = response.connection
    if connection is not None and (protocol := connection.protocol) is not None:
        protocol.read_timeout = least(protocol.read_timeout, left)
        protocol.start_timeout()
    if not response.content.is_eof():
        receiving = weakref.ref(response, lambda _: late.cancel())  # it may be dropped long before, half read
        late = asyncio.get_running_loop().call_later(left + 2 * ROUNDING, _end_body, receiving)
        response.content.on_eof(late.cancel)


def _end_body(response: weakref.ref[ClientResponse]) -> None:
    """The budget that the request was sent with is over; if nothing else has ended its body, and it still binds."""
    receiving = response()
    try:
        checkpoint()
    except DeadlineExceeded as exc:
        if receiving is not None and not receiving.content.is_eof():
            receiving.content.set_exception(exc)


def server_middleware(
    *,
    default: float | None = None,
    maximum: float | None = None,
    accept: Collection[str] = HEADERS,
    at_least: float = 0.0,
    dark: bool = False,
) -> _Middleware:
    """A server middleware that ends each request at its deadline: 504, or a cut connection if that is too late.

    ``web.Application(middlewares=[server_middleware(maximum=30)])``. The arguments are those of the ASGI
    `DeadlineMiddleware`. A handler marked with its `exempt` is left alone; a WebSocket is ended only by the deadline of
    a header that came with its handshake. An application's own TimeoutError stays what it is.
    """
    door = Door(default=default, maximum=maximum, accept=accept, at_least=at_least, dark=dark)
    known: weakref.WeakSet[web.Application] = weakref.WeakSet()

    @web.middleware
    async def deadline(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.app not in known:
            known.add(request.app)
            door.announce(_names(request.app))
        if getattr(request.match_info.handler, MARK, False):
            return await handler(request)
        name = _name(request)
        note_endpoint(name, request.match_info.handler)
        opened = door.open(name, request.headers)
        try:
            try:
                guard = opened.enter()
            except DeadlineExceeded:
                return _gateway_timeout()
            upgrade = request.headers.get("upgrade", "").lower()
            if upgrade == "websocket" and guard.when() is not None and not opened.granted:
                _let_stay(guard, request)
            return await _guarded(opened, request, handler)
        finally:
            opened.close()

    return deadline


def _let_stay(guard: Timeout, request: web.Request, delay: float = 0.001) -> None:
    """Lift the deadline of `guard` once a WebSocket has come of `request`: that it asks for one is a client's word.

    Looked at after `delay`, and then ever more seldom, since aiohttp tells no middleware.
    """

    def look() -> None:
        if guard.outcome is not None or guard.expired():
            return
        if getattr(request.protocol, "_payload_parser", None) is not None:
            guard.reschedule(None)
        elif guard.remaining() > _LAST_LOOK:
            _let_stay(guard, request, 2 * delay)

    asyncio.get_running_loop().call_later(min(delay, max(0.0, guard.remaining() - _LAST_LOOK)), look)


async def _guarded(opened: Opened, request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        response = await handler(request)
    except BaseException as exc:
        expiry = opened.leave(exc)
        if expiry is None:
            raise
        try:
            return _answer(request, expiry)
        finally:
            del expiry  # its traceback leads to this frame, and would keep the request until the garbage collector runs
    opened.leave()
    return response


def _answer(request: web.Request, expiry: BaseException) -> web.StreamResponse:
    """A 504, or a connection that is cut where the response has started."""
    if request.writer.output_size > 0:
        raise expiry
    return _gateway_timeout()


def _gateway_timeout() -> web.Response:
    headers = {name.decode(): value.decode() for name, value in PROBLEM_HEADERS}
    return web.Response(status=504, body=PROBLEM, headers=headers)


def _name(request: web.Request) -> str:
    route = request.match_info.route
    return method_and_route(request.method, None if route.resource is None else route.resource.canonical)


def _names(app: web.Application) -> Iterator[str]:
    """The names of the requests that `app` has routes for, and of some methods alone; of many routes the first."""
    for route in islice(app.router.routes(), _MOST_KNOWN):
        exempt = route.method in ("*", "HEAD") or getattr(route.handler, MARK, False)
        if route.resource is not None and not exempt:
            yield method_and_route(route.method, route.resource.canonical)

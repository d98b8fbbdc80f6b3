"""WebSockets end at the deadline of a header that came with their handshake, and at no other."""

from __future__ import annotations

import asyncio

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.services.asgi_servers import (
    LONG,
    SERVERS,
    SHORT,
    SPENT,
    Receive,
    Recorder,
    Scope,
    Send,
    figures,
    forever,
    middleware,
    outcomes,
    serving,
    status_of,
)
from tracedtimeout import remaining
from tracedtimeout._core.figures._metrics import REJECTIONS
from tracedtimeout.integrations.asgi import EXEMPT, DeadlineMiddleware, exempt

pytestmark = pytest.mark.slow  # real sockets, so the real clock


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] != "websocket.disconnect":
        await send({"type": "websocket.send", "text": f"{message['text']} {remaining() < 100}"})


async def hesitates(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await forever()


def opened(url: str, headers: dict[str, str]) -> connect:
    return connect(url.replace("http", "ws") + "/room", additional_headers=headers, proxy=None)


async def closing(connection: ClientConnection) -> tuple[int | None, str | None]:
    """How the other end closes the connection."""
    with pytest.raises(ConnectionClosed):
        await connection.recv()
    return connection.close_code, connection.close_reason


@pytest.mark.parametrize("server", SERVERS)
async def test_a_websocket_outlives_the_default(server: str) -> None:
    """A connection is no request: without a header of its own it is as open as without us, and not counted."""
    async with serving(middleware(echo, default=0.01, maximum=0.02), server) as url, opened(url, {}) as connection:
        await asyncio.sleep(0.05)
        await connection.send("hello")
        assert await connection.recv() == "hello False"
    assert outcomes() == {}


@pytest.mark.parametrize("server", SERVERS)
async def test_a_websocket_has_its_callers_budget(server: str) -> None:
    """A budget in the handshake is the handler's, for as long as the connection is open."""
    async with serving(middleware(echo), server) as url:
        async with opened(url, LONG) as connection:
            await connection.send("hello")
            assert await connection.recv() == "hello True"
        while not outcomes():
            await asyncio.sleep(0.01)
    assert outcomes() == {("GET /room", "completed"): 1}


@pytest.mark.parametrize("server", SERVERS)
async def test_an_open_websocket_is_closed_at_its_deadline(server: str) -> None:
    """Once accepted it is closed with code 1011, and nothing is raised to the server."""
    recorder = Recorder(middleware(echo))
    async with serving(recorder, server) as url, opened(url, {"deadline-budget": "300"}) as connection:
        await connection.send("hello")
        assert await connection.recv() == "hello True"
        assert await closing(connection) == (1011, "The deadline has passed.")
    assert recorder.raised == []
    assert outcomes() == {("GET /room", "inherited"): 1}


@pytest.mark.parametrize(("headers", "outcome"), [(SHORT, "inherited"), (SPENT, "rejected")])
@pytest.mark.parametrize("server", SERVERS)
async def test_a_websocket_not_yet_accepted_is_refused(server: str, headers: dict[str, str], outcome: str) -> None:
    """Before it is accepted the handshake is answered with 504, where the server can."""
    async with serving(middleware(hesitates), server) as url:
        with pytest.raises(InvalidStatus) as caught:
            async with opened(url, headers):
                pytest.fail("accepted")
    assert caught.value.response.status_code == 504
    assert outcomes() == {("GET /room", outcome): 1}
    assert len(figures(REJECTIONS)) == (outcome == "rejected")


async def test_a_server_that_cannot_answer_a_handshake() -> None:
    """Without the extension for that, the handshake is closed, which is a 403."""

    async def without(scope: Scope, receive: Receive, send: Send) -> None:
        await middleware(hesitates)({**scope, "extensions": None}, receive, send)

    async with serving(without) as url:
        with pytest.raises(InvalidStatus) as caught:
            async with opened(url, SHORT):
                pytest.fail("accepted")
    assert caught.value.response.status_code == 403


async def test_a_websocket_that_the_app_has_closed() -> None:
    """What runs on after the close is ended, and raised to the server: there is nobody to tell."""

    async def closes(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 4000})
        await forever()

    recorder = Recorder(middleware(closes))
    async with serving(recorder) as url, opened(url, SHORT) as connection:
        assert await closing(connection) == (4000, "")
        while not recorder.raised:
            await asyncio.sleep(0.01)
    assert recorder.raised == ["DeadlineExceeded"]


async def test_an_exempt_websocket() -> None:
    """A route that is exempt is not ended by its caller's deadline either."""
    app = DeadlineMiddleware(echo, route_of=lambda scope: EXEMPT)
    async with serving(app) as url, opened(url, SHORT) as connection:
        await asyncio.sleep(0.1)
        await connection.send("hello")
        assert await connection.recv() == "hello False"
    assert outcomes() == {}


async def test_a_websocket_on_the_path_of_a_request() -> None:
    """A WebSocket is named, and exempt or not, by its own route, whatever was asked for at the same path before."""

    @exempt
    async def page(request: Request) -> Response:
        return PlainTextResponse("page")

    async def room(socket: WebSocket) -> None:
        await forever()

    app = DeadlineMiddleware(Starlette(routes=[Route("/{name}", page), WebSocketRoute("/room", room)]))
    async with serving(app) as url:
        assert await status_of(url, "/room") == 200
        with pytest.raises(InvalidStatus):
            async with opened(url, SHORT):
                pytest.fail("accepted")
    assert outcomes() == {("GET /room", "inherited"): 1}

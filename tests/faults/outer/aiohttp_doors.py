"""Scenes of aiohttp's doors: a client and a server of its own, with the wire between them in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import Context
from typing import Any

import aiohttp
from aiohttp import web
from aiohttp.client_proto import ResponseHandler

from tests.faults.scenes import FOR_EVER
from tracedtimeout import DeadlineExceeded, budget, checkpoint, timeout
from tracedtimeout.integrations.aiohttp import client_middleware, server_middleware

from .doors import FILES
from .stage import Stage
from .trial import Room, Scene

# the wire


class Wire(asyncio.Transport):
    """One end of a connection: what is written there comes to the protocol at the other end in the next turn."""

    def __init__(self, protocol: Any) -> None:
        super().__init__()
        self.protocol = protocol
        self.other: Wire
        self.context = Context()
        """What the protocol runs in: nothing comes along a wire."""
        self._closing = False

    def write(self, data: Any) -> None:
        if not self._closing:
            asyncio.get_running_loop().call_soon(self.other.receive, bytes(data), context=self.other.context)

    def receive(self, data: bytes) -> None:
        if not self._closing:
            self.protocol.data_received(data)

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None, context=self.context)
            asyncio.get_running_loop().call_soon(self.other.close, context=self.other.context)

    abort = close

    def is_closing(self) -> bool:
        return self._closing

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        protocol: asyncio.BaseProtocol = self.protocol
        return protocol

    def pause_reading(self) -> None:
        """Nothing here is more than the other end can take."""

    resume_reading = pause_reading


class InMemory(aiohttp.BaseConnector):
    """Connections to a server in this process."""

    def __init__(self, server: web.Server) -> None:
        super().__init__(force_close=True)
        self._server = server

    async def _create_connection(self, *request: object, **options: object) -> ResponseHandler:
        client, server = Wire(ResponseHandler(asyncio.get_running_loop())), Wire(self._server())
        client.other, server.other = server, client
        for each in (client, server):
            each.context.run(each.protocol.connection_made, each)
        protocol: ResponseHandler = client.protocol
        return protocol


# the application


async def hello(request: web.Request) -> web.StreamResponse:
    await request.read()
    return web.Response(text="hello")


async def stuck(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(FOR_EVER)
    raise AssertionError("it never ends")


async def streams(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"some")
    return await stuck(request)


async def found(request: web.Request) -> web.StreamResponse:
    """Code finds the deadline passed."""
    try:
        return await stuck(request)
    finally:
        checkpoint()


async def missing(request: web.Request) -> web.StreamResponse:
    raise web.HTTPNotFound


async def broken(request: web.Request) -> web.StreamResponse:
    raise ValueError("of the application")


async def moved(request: web.Request) -> web.StreamResponse:
    raise web.HTTPFound("/hello")


async def socket(request: web.Request) -> web.StreamResponse:
    websocket = web.WebSocketResponse()
    await websocket.prepare(request)
    await asyncio.sleep(4)
    await websocket.close()
    return websocket


async def gives_up(request: web.Request) -> web.StreamResponse:
    """As a server does whose own door has found the deadline passed."""
    await asyncio.sleep(1)
    return web.Response(status=504, headers={"deadline-expired": "1"})


HANDLERS = (gives_up, hello, stuck, streams, found, missing, broken, moved, socket)


@asynccontextmanager
async def connected(*, told: bool = True, **terms: Any) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of the application: `told` by our door, of a server that has none, or the other way round.

    What both know of each other is off by the milliseconds of the wire, which are real ones.
    """
    app = web.Application(middlewares=[] if told else [server_middleware(**terms)])
    app.add_routes([web.route("*", f"/{each.__name__}", each) for each in HANDLERS])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    assert runner.server is not None
    session = aiohttp.ClientSession(
        "http://test", connector=InMemory(runner.server), middlewares=[client_middleware()] if told else []
    )
    try:
        async with session:
            yield session
    finally:
        await runner.cleanup()


async def ask(session: aiohttp.ClientSession, path: str, **options: Any) -> object:
    """What comes of a request: its status and its body, or the name of the exception."""
    try:
        async with session.get(path, timeout=aiohttp.ClientTimeout(total=20), **options) as response:
            return response.status, (await response.read())[:10]
    except (aiohttp.ClientError, TimeoutError) as exc:
        return type(exc).__name__


# the scenes


def serving(path: str, header: str | None = None, **terms: Any) -> Scene:
    """A request to the server's door alone."""

    async def scene(stage: Stage) -> object:
        async with connected(told=False, **terms) as session:
            return await ask(session, f"/{path}", headers={} if header is None else {"deadline-budget": header})

    scene.__name__ = f"serving_{path}_{header}" + "".join(f"_{each}" for each in terms)
    return scene


def fetching(path: str, seconds: float, *, header: str | None = None) -> Scene:
    """A request of the client, within a budget, and within a timeout."""

    async def scene(stage: Stage) -> object:
        headers = {} if header is None else {"deadline-budget": header}
        async with connected() as session:
            with budget(seconds):
                seen = [await ask(session, f"/{path}", headers=headers)]
            try:
                async with timeout(seconds, name="around"):
                    seen.append(await ask(session, f"/{path}", headers=headers))
            except DeadlineExceeded as exc:
                seen.append(exc.owner)
        return seen

    scene.__name__ = f"fetching_{path}_{seconds}"
    return scene


async def staying(stage: Stage) -> object:
    """A WebSocket is not ended by the default."""
    async with connected(told=False, default=2) as session:
        try:
            async with session.ws_connect("/socket") as websocket:
                return (await websocket.receive()).type.name
        except aiohttp.ClientError as exc:
            return type(exc).__name__


SCENES: tuple[Scene, ...] = (
    serving("hello", "1000"),
    serving("hello", "0"),
    serving("stuck", "1000"),
    serving("stuck", default=3),
    serving("streams", "1000"),
    serving("found", "1000"),
    serving("missing", "1000"),
    serving("broken", "1000"),
    serving("nowhere", "1000"),
    serving("hello", "0", dark=True, default=1, at_least=2),
    staying,
    fetching("moved", 9, header="5000"),
    fetching("stuck", 1),
    fetching("gives_up", 1),
    fetching("streams", 1),
    fetching("hello", 0),
)

AIOHTTP = Room(FILES, SCENES)

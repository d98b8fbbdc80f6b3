"""Scenes of the doors: an ASGI application behind the middleware, `Door` by itself, httpx around an application."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from tests.faults.scenes import FOR_EVER
from tracedtimeout import DeadlineExceeded, budget, checkpoint, timeout
from tracedtimeout.integrations.asgi import DeadlineMiddleware
from tracedtimeout.integrations.door import Door
from tracedtimeout.integrations.httpx import AsyncDeadlineTransport

from .stage import Stage
from .trial import Room, Scene

SHORT = [(b"deadline-budget", b"1000")]
SPENT = [(b"deadline-budget", b"0")]
LONG = [(b"deadline-budget", b"9000")]

Messages = list[str]


# an application


async def hello(request: Request) -> Response:
    await request.body()
    return PlainTextResponse("hello")


async def stuck(request: Request) -> Response:
    await asyncio.sleep(FOR_EVER)
    return PlainTextResponse("it never ends")


async def listens(request: Request) -> Response:
    """It hears of the disconnect, or of what kept that from it."""
    await request.receive()
    await request.receive()
    return await stuck(request)


async def shielded(request: Request) -> Response:
    """It runs on behind its 504."""
    await asyncio.shield(asyncio.sleep(3))
    await asyncio.sleep(0)
    return PlainTextResponse("too late")


async def deaf(request: Request) -> Response:
    try:
        await asyncio.sleep(FOR_EVER)
    except asyncio.CancelledError:
        await asyncio.sleep(2)
        raise
    return PlainTextResponse("it never ends")


async def streams(request: Request) -> Response:
    async def chunks() -> Any:
        yield b"some"
        await asyncio.sleep(FOR_EVER)

    return StreamingResponse(chunks())


async def missing(request: Request) -> Response:
    raise HTTPException(404)


async def broken(request: Request) -> Response:
    raise ValueError("of the application")


async def found(request: Request) -> Response:
    """Code finds the deadline passed."""
    async with timeout(FOR_EVER, name="inner"):
        try:
            await asyncio.sleep(FOR_EVER)
        finally:
            checkpoint()
    return PlainTextResponse("it never ends")


async def socket(websocket: WebSocket) -> None:
    await websocket.accept()
    await asyncio.sleep(FOR_EVER)


def application() -> Starlette:
    endpoints = (hello, stuck, listens, shielded, deaf, streams, missing, broken, found)
    routes = [Route(f"/{each.__name__}", each, methods=["GET", "POST"]) for each in endpoints]
    return Starlette(routes=[*routes, WebSocketRoute("/socket", socket)])


def behind(stage: Stage, **terms: Any) -> DeadlineMiddleware:
    made: DeadlineMiddleware = stage.keep(str(terms), lambda: DeadlineMiddleware(application(), **terms))
    return made


# its server


async def serve(
    app: Any, path: str, headers: Any = (), *, gone: float | None = None, body: int = 0, kind: str = "http"
) -> Messages:
    """One request, as a server makes it; what the server is given to send."""
    sent: Messages = []
    parts = [{"type": "http.request", "body": b"x", "more_body": left > 0} for left in reversed(range(max(1, body)))]
    if kind == "websocket":
        parts = [{"type": "websocket.connect"}]

    async def receive() -> Any:
        if parts:
            return parts.pop(0)
        await asyncio.sleep(FOR_EVER if gone is None else gone)
        return {"type": f"{kind}.disconnect"}

    async def send(message: Any) -> None:
        sent.append(f"{message['type']} {message.get('status', '')}".strip())

    scope: dict[str, Any] = {
        "type": kind, "http_version": "1.1", "method": "POST" if body else "GET", "path": f"/{path}", "root_path": "",
        "query_string": b"", "headers": list(headers), "scheme": "http", "server": ("test", 80), "extensions": {},
    }  # fmt: skip
    try:
        await app(scope, receive, send)
    except DeadlineExceeded:
        sent.append("the connection is cut")
    except ValueError as exc:
        sent.append(f"500: {exc}")
    return sent


def asking(path: str, headers: Any = (), *, terms: Any = None, **request: Any) -> Scene:
    async def scene(stage: Stage) -> object:
        return await serve(behind(stage, **(terms or {})), path, headers, **request)

    scene.__name__ = f"{path}_{len(SCENES)}"
    SCENES.append(scene)
    return scene


SCENES: list[Scene] = []
asking("hello")
asking("hello", LONG, body=2)
asking("stuck", SHORT)
asking("stuck", SHORT, body=2)
asking("stuck", terms={"default": 2})
asking("hello", SPENT)
asking("hello", SPENT, terms={"dark": True, "default": 1})
asking("deaf", terms={"dark": True, "default": 1}, gone=2)
asking("deaf", SHORT)
asking("shielded", SHORT, body=2)
asking("streams", SHORT)
asking("missing", LONG)
asking("broken", LONG)
asking("found", SHORT)
asking("nowhere", LONG)
asking("listens", LONG, terms={"cancel_on_disconnect": True}, gone=1, body=1)
asking("hello", LONG, terms={"cancel_on_disconnect": True}, body=1)
asking("socket", SHORT, kind="websocket")
asking("socket", SPENT, kind="websocket")
asking("hello", LONG, terms={"default": 3, "at_least": 1})
asking("hello", terms={"default": 3, "at_least": 1})


async def nested(stage: Stage) -> object:
    """An application mounted in another: its door inherits the request of the outer one."""
    inner = behind(stage, default=5)
    outer: DeadlineMiddleware = stage.keep("outer", lambda: DeadlineMiddleware(inner, default=2))
    return await serve(outer, "stuck"), await serve(outer, "hello")


async def opened(stage: Stage) -> object:
    """`Door` by itself: messages of a queue, in a loop and in a thread."""
    door: Door = stage.keep("door", lambda: Door(default=3, at_least=0.5))
    seen: list[object] = []
    for carrier in ({"deadline-budget": "1000"}, {"deadline-budget": "0"}, None):
        try:
            async with door.open("job", carrier, queued=True) as request:
                await asyncio.sleep(2)
            seen.append(request.outcome)
        except DeadlineExceeded as exc:
            seen.append(exc.owner)

    def job() -> None:
        with door.open("job", {"deadline-budget": "9000"}):
            checkpoint()

    await asyncio.to_thread(job)
    return seen


async def fetching(stage: Stage) -> object:
    """httpx, to an application in the same process."""
    app = stage.keep("app", application)

    def client(handler: Callable[[httpx.Request], Any] | None = None) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(app) if handler is None else httpx.MockTransport(handler)
        return httpx.AsyncClient(transport=AsyncDeadlineTransport(transport), base_url="http://test")

    async def slow(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(4)
        raise httpx.ReadTimeout("slow")

    async def late(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/moved":
            return httpx.Response(302, headers={"location": "/late"})
        return httpx.Response(504, headers={"deadline-expired": "1"})

    seen: list[object] = []
    async with client() as http:
        async with timeout(5, name="around"):
            seen.append((await http.get("/hello")).text)
        seen.append((await http.get("/hello", headers={"deadline-budget": "500"})).text)
        try:
            with budget(0):
                await http.get("/hello")
        except DeadlineExceeded as exc:
            seen.append(exc.owner)
        try:
            async with timeout(1, name="around"):
                await http.get("/stuck")
        except DeadlineExceeded as exc:
            seen.append(exc.owner)
    for handler, path in ((slow, "/slow"), (late, "/moved")):
        async with client(handler) as http:
            try:
                with budget(3):
                    seen.append((await http.get(path, follow_redirects=True)).status_code)
            except (DeadlineExceeded, httpx.ReadTimeout) as exc:
                seen.append(type(exc).__name__)
    return seen


FILES = ("integrations/", "propagation/", "_shared/trust.py")

DOORS = Room(FILES, (*SCENES, nested, opened, fetching))

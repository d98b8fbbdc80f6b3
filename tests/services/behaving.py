"""An application for every server of the table in docs/servers.md: each path behaves in a way that is hard to end."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.routing import Mount

from tracedtimeout import install, remaining
from tracedtimeout.integrations.asgi import DeadlineMiddleware, exempt
from tracedtimeout.integrations.httpx import AsyncDeadlineTransport
from tracedtimeout.prometheus import metrics_app

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

DEFAULT = 20.0
"""Seconds that a request has of its own."""
BRIEF = 1.0
"""Seconds that a request has of its caller: a server on a busy machine reads a large body in less."""
SLOW = 1.1
"""Seconds that the request after it takes."""
PART = bytes(1 << 16)
"""What a flood consists of."""

install(spans="off")
metrics = metrics_app()


async def respond(send: Send, text: str) -> None:
    """All of a response."""
    body = text.encode()
    head = [(b"content-length", b"%d" % len(body)), (b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": body})


async def forever() -> None:
    await asyncio.Event().wait()


async def left(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the seconds that are left."""
    await respond(send, f"{remaining():.3f}")


async def slow(scope: Scope, receive: Receive, send: Send) -> None:
    """The same, after longer than the request before it had."""
    seconds = remaining()
    await asyncio.sleep(SLOW)
    await respond(send, f"{seconds:.3f}")


async def read(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads the body by and by, answers, and works on a little."""
    while (await receive()).get("more_body"):
        await asyncio.sleep(0)
    await left(scope, receive, send)
    await asyncio.sleep(0.1)


async def half(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads the first part of the body, and answers."""
    await receive()
    await left(scope, receive, send)


async def background(scope: Scope, receive: Receive, send: Send) -> None:
    """Works on behind its response, for ever."""
    await left(scope, receive, send)
    await forever()


async def stream(scope: Scope, receive: Receive, send: Send) -> None:
    """Begins a response, and never ends it."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"first", "more_body": True})
    await forever()


async def flood(scope: Scope, receive: Receive, send: Send) -> None:
    """Sends faster than its client reads."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while True:
        await send({"type": "http.response.body", "body": PART, "more_body": True})
        await asyncio.sleep(0)


async def stuck(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads nothing, and never answers."""
    await forever()


async def in_process(scope: Scope, receive: Receive, send: Send) -> None:
    """What is left of it in this application, asked in its own task, and beneath a gather."""
    transport = AsyncDeadlineTransport(httpx.ASGITransport(app))
    async with httpx.AsyncClient(transport=transport, base_url="http://inside") as http:
        own = (await http.get("/left")).text
        (gathered,) = await asyncio.gather(http.get("/left"))
    await respond(send, f"{own} {gathered.text}")


async def websocket(scope: Scope, receive: Receive, send: Send) -> None:
    """Accepts, but for `/refused`, and never closes; `/flooded` sends faster than its client reads."""
    await receive()
    if path_of(scope) != "/refused":
        await send({"type": "websocket.accept"})
    while path_of(scope) == "/flooded":
        await send({"type": "websocket.send", "bytes": PART})
        await asyncio.sleep(0)
    await forever()


class Passing(BaseHTTPMiddleware):
    """Runs what is behind it in a task of its own."""

    async def dispatch(self, request: Any, call_next: Any) -> Any:
        return await call_next(request)


def path_of(scope: Scope) -> str:
    """`/stuck` of `/stuck.some-dialogue`: each dialogue has figures of its own."""
    return str(scope["path"]).partition(".")[0]


def bounded(app: App, **options: Any) -> DeadlineMiddleware:
    return DeadlineMiddleware(app, default=DEFAULT, route_of=lambda scope: scope["path"], **options)


PATHS: dict[str, App] = {
    "/left": left,
    "/slow": slow,
    "/read": read,
    "/half": half,
    "/unread": left,
    "/background": background,
    "/stream": stream,
    "/flood": flood,
    "/stuck": stuck,
    "/in_process": in_process,
}
MOUNTED = Starlette(routes=[Mount("/mounted", bounded(left))], middleware=[Middleware(Passing)])


async def routed(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await websocket(scope, receive, send)
    else:
        await (PATHS.get(path_of(scope)) or MOUNTED)(scope, receive, send)


DOOR = bounded(routed)
WATCHING = bounded(stuck, cancel_on_disconnect=True)


OPEN: Counter[str] = Counter()
"""Calls of the application that are not over, by path."""


@exempt
async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """The figures at `/metrics`, the open calls at `/open`, and a door that sees to disconnects at `/watched`."""
    if scope["type"] == "lifespan" or scope["path"] == "/metrics":
        await metrics(scope, receive, send)
    elif scope["path"] == "/open":
        await respond(send, str(OPEN[scope["query_string"].decode()]))
    else:
        await _counted(WATCHING if path_of(scope) == "/watched" else DOOR, scope, receive, send)


async def _counted(door: App, scope: Scope, receive: Receive, send: Send) -> None:
    OPEN[scope["path"]] += 1
    try:
        await door(scope, receive, send)
    finally:
        OPEN[scope["path"]] -= 1

"""Real ASGI servers on loopback for the tests, small applications, and what was counted of their requests."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

import httpx
import pytest
import uvicorn
from hypercorn.asyncio import serve as hypercorn_serve
from hypercorn.config import Config as HypercornConfig

from tracedtimeout._core.figures import _process
from tracedtimeout._core.figures._metrics import DURATION, Metric
from tracedtimeout._core.figures._process import Histogram
from tracedtimeout.integrations.asgi import DeadlineMiddleware

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

SERVERS = ("h11", "httptools", "hypercorn")


@contextlib.asynccontextmanager
async def serving(app: Any, server: str = "h11", *, lifespan: bool = False, port: int = 0) -> AsyncIterator[str]:
    """`app` on a port of loopback, by default a free one; gives its base URL.

    Servers: uvicorn with h11 or httptools, and hypercorn.
    """
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", port))
        listening.listen(1024)
        listening.setblocking(False)
        run = _hypercorn if server == "hypercorn" else _uvicorn
        async with run(app if lifespan else without_lifespan(app), listening, server):
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@contextlib.asynccontextmanager
async def client(
    app: Any, server: str = "h11", *, lifespan: bool = False, **options: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of `app`, over HTTP/2 if the server is hypercorn."""
    http2 = server == "hypercorn"
    async with serving(app, server, lifespan=lifespan) as url:
        options = {"timeout": 30.0, "http1": not http2, "http2": http2, **options}
        async with httpx.AsyncClient(base_url=url, **options) as made:
            yield made


def without_lifespan(app: App) -> App:
    """`app`, for servers that ask for a lifespan: it has none, which an app says by raising."""

    async def only_requests(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            raise NotImplementedError
        await app(scope, receive, send)

    return only_requests


@contextlib.asynccontextmanager
async def _uvicorn(app: Any, listening: socket.socket, http: str) -> AsyncIterator[None]:
    config = uvicorn.Config(app, http=http, ws="websockets-sansio", log_level="critical", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        while not server.started and not task.done():
            await asyncio.sleep(0.005)
        yield
    finally:
        server.should_exit = True
        await task


@contextlib.asynccontextmanager
async def _hypercorn(app: Any, listening: socket.socket, _: str) -> AsyncIterator[None]:
    config = HypercornConfig()
    config.bind = [f"fd://{os.dup(listening.fileno())}"]  # it closes what it is given
    config.loglevel = "CRITICAL"
    config.graceful_timeout = 1
    config.keep_alive_timeout = 0.5  # it does not reset the stream of an app that raised: the peer waits this long
    stop = asyncio.Event()
    task = asyncio.create_task(hypercorn_serve(app, config, shutdown_trigger=stop.wait))
    try:
        await asyncio.sleep(0.05)
        yield
    finally:
        stop.set()
        await task


async def status_of(url: str, path: str, *headers: str) -> int:
    """The status that a bare connection gets for GET `path`: a client that costs next to nothing."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    writer.write("\r\n".join([f"GET {path} HTTP/1.1", "host: x", "connection: close", *headers, "", ""]).encode())
    answer = await reader.read()
    writer.close()
    return int(answer.split(None, 2)[1])


def figures(metric: Metric) -> dict[tuple[str, ...], int]:
    """The counts of `metric` by its labels; of a histogram how many values were recorded."""
    values = _process.snapshot().get(metric, {})
    counts = {labels: sum(value.counts) if isinstance(value, Histogram) else value for labels, value in values.items()}
    return {labels: count for labels, count in counts.items() if count}


def outcomes() -> dict[tuple[str, ...], int]:
    """How many timeouts ended how, by name and outcome."""
    return figures(DURATION)


class Recorder:
    """A middleware that notes what passes through it: the types and statuses of messages, and what was raised."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.sent: list[str] = []
        self.raised: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def note(message: Message) -> None:
            self.sent.append(f"{message['type'].removeprefix('http.response.')} {message.get('status', '')}".strip())
            await send(message)

        try:
            await self.app(scope, receive, note)
        except BaseException as exc:
            self.raised.append(type(exc).__name__)
            raise


SHORT = {"deadline-budget": "60"}
LONG = {"deadline-budget": "60000"}
SPENT = {"deadline-budget": "0"}


def path_of(scope: Scope) -> str | None:
    """The route of these tests' plain ASGI apps: the path's first part."""
    return "/" + str(scope["path"]).split("/")[1]


def middleware(app: App, **options: Any) -> DeadlineMiddleware:
    return DeadlineMiddleware(app, route_of=path_of, **options)


async def forever() -> None:
    await asyncio.Event().wait()


async def respond(send: Send, body: bytes = b"ok", *, more: bool = False) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body, "more_body": more})


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(send)


async def stuck(scope: Scope, receive: Receive, send: Send) -> None:
    await forever()


async def stuck_or_hello(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["path"].startswith("/stuck"):
        await forever()
    await respond(send)


async def until(condition: Any) -> None:
    """Wait for what another thread does."""
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    pytest.fail("waited for in vain")

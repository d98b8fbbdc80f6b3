"""Cases of requests: each answers in a few words what an ASGI middleware makes of a request that takes too long."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from prometheus_client import CollectorRegistry

from tests.comparison.blocks import Heard
from tracedtimeout.integrations.asgi import DeadlineMiddleware

App = Callable[..., Awaitable[None]]
Ask = Callable[["Middleware"], Awaitable[str]]

REQUESTS: dict[str, Ask] = {}
"""Each case by what happens in it."""

SCOPE = {
    "type": "http",
    "asgi": {"version": "3.0", "spec_version": "2.4"},
    "http_version": "1.1",
    "method": "GET",
    "scheme": "http",
    "path": "/",
    "raw_path": b"/",
    "root_path": "",
    "query_string": b"",
    "headers": [],
    "server": ("shop", 80),
}


@dataclass(frozen=True, slots=True)
class Middleware:
    """A middleware that ends requests after so many seconds."""

    name: str
    distribution: str
    around: Callable[[App, float], App]


def _ours(app: App, seconds: float) -> App:
    return DeadlineMiddleware(app, default=seconds)


def _fastapi_timeout(app: App, seconds: float) -> App:
    wrapped: App = import_module("fastapi_timeout").TimeoutMiddleware(app, timeout_seconds=seconds)
    return wrapped


def _bare(app: App, seconds: float) -> App:
    """As it is written by hand, in the answers to the question."""

    async def bounded(scope: Any, receive: Any, send: Any) -> None:
        try:
            await asyncio.wait_for(app(scope, receive, send), seconds)
        except TimeoutError:
            await _respond(send, 504)

    return bounded


MIDDLEWARES = [
    Middleware("tracedtimeout", "tracedtimeout", _ours),
    Middleware("fastapi-timeout", "fastapi-timeout", _fastapi_timeout),
    Middleware("`asyncio.wait_for` by hand", "asyncio", _bare),
]


def ask(happens: str) -> Callable[[Ask], Ask]:
    """Enter a case into the table."""

    def enter(function: Ask) -> Ask:
        REQUESTS[happens] = function
        return function

    return enter


@ask("the handler takes too long")
async def _too_long(middleware: Middleware) -> str:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(5)

    return await _sent_by(middleware, app)


@ask("it takes too long, and its response has started")
async def _started(middleware: Middleware) -> str:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a part", "more_body": True})
        await asyncio.sleep(5)

    return await _sent_by(middleware, app)


@ask("the handler raises a `TimeoutError` of a driver, at once")
async def _foreign(middleware: Middleware) -> str:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise TimeoutError("the driver's own")

    return await _sent_by(middleware, app)


@ask("a timeout around the middleware cancels the request")
async def _cancelled(middleware: Middleware) -> str:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(5)

    told = Heard()
    with told:
        try:
            async with asyncio.timeout(0.5):
                await _sent_by(middleware, app)
        except TimeoutError:
            pass
    return f"counted as `{told.outcomes[0]}`" if told.outcomes else "does not count"


async def _sent_by(middleware: Middleware, app: App) -> str:
    """What a server is told by a request of at most one second, and what is raised at it."""
    sent: list[str] = []

    async def send(message: Any) -> None:
        kind = message["type"].removeprefix("http.response.")
        sent.append(f"{message['status']}" if kind == "start" else "")

    async def receive() -> Any:
        await asyncio.Event().wait()

    try:
        await middleware.around(app, 1.0)(dict(SCOPE), receive, send)
    except Exception as error:  # what a server sees
        sent.append(f"the server is told by {type(error).__name__}, and cuts the connection")
    return ", then ".join(filter(None, sent))


async def _respond(send: Any, status: int) -> None:
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def counted_by_instrumentator() -> str:
    """What prometheus-fastapi-instrumentator counts of a request that a timeout around it cancels."""
    fastapi = import_module("fastapi")
    instrumentator = import_module("prometheus_fastapi_instrumentator").Instrumentator
    registry = CollectorRegistry()
    app = fastapi.FastAPI()

    @app.get("/")  # type: ignore[untyped-decorator]  # imported by name
    async def slow() -> None:
        await asyncio.sleep(5)

    instrumentator(registry=registry).instrument(app)
    try:
        async with asyncio.timeout(0.5):
            await _sent_by(Middleware("none", "", lambda app, _: app), app)
    except TimeoutError:
        pass
    samples = [s for family in registry.collect() for s in family.samples if s.name == "http_requests_total"]
    return ", ".join(f"{sample.value:.0f} request, status {sample.labels['status']}" for sample in samples) or "nothing"

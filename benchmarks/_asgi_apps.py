"""Hello, world, behind one middleware or another: servers of one process, for `benchmarks.asgi`."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable, MutableMapping
from typing import Any

import uvicorn
from fastapi import FastAPI
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.sdk.trace import TracerProvider
from prometheus_client import CollectorRegistry
from prometheus_fastapi_instrumentator import Instrumentator
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tracedtimeout.integrations.asgi import DeadlineMiddleware

Scope = MutableMapping[str, Any]


async def hello(request: Request) -> Response:
    return PlainTextResponse("hello, world")


class BareTimeout:
    """The middleware that one writes by hand: asyncio.timeout around the application, and no more."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        async with asyncio.timeout(30.0):
            await self.app(scope, receive, send)


def starlette(wrap: Callable[[Any], Any] = lambda app: app) -> Any:
    return wrap(Starlette(routes=[Route("/hello", hello), Route("/bounded", hello)]))


def instrumentator() -> Any:
    app = FastAPI(routes=[Route("/hello", hello)])
    Instrumentator(registry=CollectorRegistry()).instrument(app)
    return app


APPS: dict[str, Callable[[], Any]] = {
    "nothing": starlette,
    "again": starlette,
    "header": starlette,
    "bare": lambda: starlette(BareTimeout),
    "ours": lambda: starlette(lambda app: DeadlineMiddleware(app, default=30.0)),
    "ours, a budget": lambda: starlette(lambda app: DeadlineMiddleware(app, maximum=30.0)),
    "otel": lambda: starlette(lambda app: OpenTelemetryMiddleware(app, tracer_provider=TracerProvider())),
    "fastapi": lambda: FastAPI(routes=[Route("/hello", hello)]),
    "instrumentator": instrumentator,
}


async def main(served: list[str]) -> None:
    """Serve each app on its socket, given as ``name=descriptor``, until standard input ends."""
    options: dict[str, Any] = {"http": "httptools", "access_log": False, "log_level": "warning"}
    servers = []
    async with asyncio.TaskGroup() as group:
        for name, descriptor in (app.rsplit("=", 1) for app in served):
            server = uvicorn.Server(uvicorn.Config(APPS[name](), timeout_keep_alive=600, **options))
            servers.append(server)
            group.create_task(server.serve([socket.socket(fileno=int(descriptor))]))
        await asyncio.to_thread(sys.stdin.read)
        for server in servers:
            server.should_exit = True


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))

"""A small service behind `DeadlineMiddleware`, its figures exported by OpenTelemetry, and a neighbour that calls it."""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from contextlib import suppress

import httpx
import uvicorn
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from tracedtimeout import install, otlp, timeout
from tracedtimeout.integrations.asgi import DeadlineMiddleware
from tracedtimeout.prometheus import metrics_app

BUDGETS: tuple[dict[str, str], ...] = (
    {"deadline-budget": "900;sent={now}"},
    {"grpc-timeout": "500m"},
    {"deadline-budget": "soon"},
    {"deadline-budget": "900;sent={later}"},
    {"deadline-budget": "0"},
    {},
)
"""Good, good, malformed, from a clock that is ahead, spent, none."""


async def quick(request: Request) -> Response:
    async with timeout(0.5, name="moved") as moved:
        moved.reschedule(asyncio.get_running_loop().time() + 1.0)
    return PlainTextResponse("done")


async def endless(request: Request) -> Response:
    await asyncio.Event().wait()
    raise AssertionError("not ended")


def threaded(request: Request) -> Response:
    time.sleep(0.5)
    return PlainTextResponse("done, for nobody")


async def ask_everything(url: str, seconds: float) -> None:
    """Send every kind of budget, over and over."""
    async with httpx.AsyncClient(base_url=url, timeout=20) as client, asyncio.TaskGroup() as asking:
        for _ in range(int(seconds / 0.5)):
            now = time.time_ns() // 10**6
            for budget in BUDGETS:
                headers = {name: value.format(now=now, later=now + 60_000) for name, value in budget.items()}
                asking.create_task(_ask(client, "/quick", headers))
            for path in ("/endless", "/threaded"):
                asking.create_task(_ask(client, path, {"deadline-budget": "100"}))
            await asyncio.sleep(0.5)


async def _ask(client: httpx.AsyncClient, path: str, headers: dict[str, str]) -> None:
    with suppress(httpx.ReadError):  # a busy server that cannot hand over its 504 within a second cuts the connection
        await client.get(path, headers=headers)


def main(descriptor: str) -> None:
    install(registry=None, spans="off")
    otlp.instrument(MeterProvider([PrometheusMetricReader()]))
    routes = [Route("/quick", quick), Route("/endless", endless), Route("/threaded", threaded)]
    door = DeadlineMiddleware(Starlette(routes=routes), maximum=2.0)
    app = Starlette(routes=[Route("/metrics", metrics_app()), Mount("/", door)])
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
    server.run(sockets=[socket.socket(fileno=int(descriptor))])


if __name__ == "__main__":
    main(*sys.argv[1:])

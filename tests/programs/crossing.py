"""A request by a client, to a server, that OpenTelemetry's own packages instrument: how much of a budget arrives.

``python -m tests.programs.crossing httpx`` prints, as JSON, what was left at the client and what its server's handler
saw: the header, what is left there, and how a timeout opened there ended. Its environment names the propagators.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import aiohttp
import httpx
import requests
from aiohttp import web
from opentelemetry.instrumentation import grpc as instrumented_grpc
from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor
from opentelemetry.instrumentation.aiohttp_server import AioHttpServerInstrumentor
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.instrumentation.requests import RequestsInstrumentor

from tests.services.asgi_servers import Receive, Scope, Send, serving
from tests.services.rpc import Payments, channel
from tracedtimeout import DeadlineExceeded, budget, remaining, timeout

BUDGET = 1.5
SEEN: dict[str, Any] = {}
GRPC: Any = instrumented_grpc


async def handle(headers: dict[str, str]) -> None:
    """What every server here does with a request."""
    SEEN["header"] = headers.get("deadline-budget", "").partition(";")[0]
    SEEN["left"] = remaining()
    if SEEN["left"] > BUDGET:
        return
    t = timeout(60.0)
    try:
        async with t:
            await asyncio.sleep(60.0)
    except DeadlineExceeded:
        pass
    finally:  # a server that has a timer of its own may cancel first
        SEEN["ended"] = [str(t.outcome), t.owner]


async def asgi(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await handle({name.decode(): value.decode() for name, value in scope["headers"]})
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})


async def by_httpx() -> None:
    HTTPXClientInstrumentor().instrument()
    async with serving(OpenTelemetryMiddleware(asgi)) as url, httpx.AsyncClient(timeout=60.0) as client:
        with budget(BUDGET):
            await client.get(url)


async def by_requests() -> None:
    RequestsInstrumentor().instrument()
    async with serving(OpenTelemetryMiddleware(asgi)) as url:
        with budget(BUDGET):
            await asyncio.to_thread(requests.get, url, timeout=60.0)


async def by_aiohttp() -> None:
    AioHttpClientInstrumentor().instrument()
    async with serving(OpenTelemetryMiddleware(asgi)) as url, aiohttp.ClientSession() as client:
        with budget(BUDGET):
            await client.get(url)


async def by_aiohttp_server() -> None:
    """OpenTelemetry's aiohttp server extracts a context and does not attach it: the handler has the header alone."""
    AioHttpServerInstrumentor().instrument()
    AioHttpClientInstrumentor().instrument()

    async def handler(request: web.Request) -> web.Response:
        await handle({name.lower(): value for name, value in request.headers.items()})
        return web.Response()

    app = web.Application()
    app.router.add_get("/", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with aiohttp.ClientSession() as client:
        with budget(BUDGET):
            await client.get(f"http://127.0.0.1:{runner.addresses[0][1]}/")
    await runner.cleanup()


async def by_grpc() -> None:
    class Handled(Payments):
        async def unary_unary(self, request: bytes, context: Any) -> bytes:
            await handle({key: str(value) for key, value in context.invocation_metadata()})
            return request

    instrumented: dict[str, Any] = {"client": GRPC.aio_client_interceptors(), "server": [GRPC.aio_server_interceptor()]}
    async with channel(Handled(), **instrumented) as calling:
        pay: Any = calling.unary_unary("/shop.Payments/unary_unary")
        with budget(BUDGET):
            await pay(b"pay").code()


WAYS = {
    "httpx": by_httpx,
    "requests": by_requests,
    "aiohttp": by_aiohttp,
    "aiohttp-server": by_aiohttp_server,
    "grpc": by_grpc,
}


def main(way: str) -> None:
    asyncio.run(WAYS[way]())
    print(json.dumps(SEEN))  # noqa: T201  # it is what the program is for


if __name__ == "__main__":
    main(*sys.argv[1:])

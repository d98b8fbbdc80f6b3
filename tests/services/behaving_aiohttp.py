"""The same as `behaving`, on aiohttp.web: ``python -m tests.services.behaving_aiohttp PORT DIALOGUE ...``."""

from __future__ import annotations

import asyncio
import sys

from aiohttp import web
from prometheus_client import generate_latest

from tests.services.behaving import DEFAULT, SLOW, forever
from tracedtimeout import remaining
from tracedtimeout.integrations.aiohttp import server_middleware
from tracedtimeout.integrations.asgi import exempt


def told() -> web.Response:
    return web.Response(text=f"{remaining():.3f}")


async def left(request: web.Request) -> web.StreamResponse:
    return told()


async def slow(request: web.Request) -> web.StreamResponse:
    response = told()
    await asyncio.sleep(SLOW)
    return response


async def read(request: web.Request) -> web.StreamResponse:
    async for _ in request.content.iter_any():
        await asyncio.sleep(0)
    return told()


async def half(request: web.Request) -> web.StreamResponse:
    await request.content.readany()
    return told()


async def background(request: web.Request) -> web.StreamResponse:
    response = told()
    await response.prepare(request)
    await response.write_eof()
    await forever()
    return response


async def stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"first")
    await forever()
    return response


async def stuck(request: web.Request) -> web.StreamResponse:
    await forever()
    return told()


async def accepted(request: web.Request) -> web.StreamResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    await forever()
    return socket


@exempt
async def metrics(request: web.Request) -> web.StreamResponse:
    return web.Response(body=generate_latest())


PATHS = {
    "left": left,
    "slow": slow,
    "read": read,
    "half": half,
    "unread": left,
    "background": background,
    "stream": stream,
    "stuck": stuck,
    "watched": stuck,
    "accepted": accepted,
    "refused": stuck,
}


def main(port: str, *dialogues: str) -> None:
    app = web.Application(middlewares=[server_middleware(default=DEFAULT)], client_max_size=1 << 24)
    app.router.add_get("/metrics", metrics)
    for path, endpoint in PATHS.items():
        app.router.add_route("*", f"/{path}", endpoint)
        for dialogue in dialogues:
            app.router.add_route("*", f"/{path}.{dialogue}", endpoint)
    web.run_app(app, host="127.0.0.1", port=int(port), print=None, handler_cancellation=True, shutdown_timeout=0.5)


if __name__ == "__main__":
    main(*sys.argv[1:])

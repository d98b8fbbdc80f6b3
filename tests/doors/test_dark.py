"""Doors in the dark enforce no `default`, and count what it would have cut: every door alike."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from tests.services.asgi_servers import SPENT, Receive, Scope, Send, figures, middleware, outcomes, respond
from tests.services.rpc import SERVICE, Payments, call, channel
from tracedtimeout import remaining
from tracedtimeout._core.figures._metrics import REJECTIONS
from tracedtimeout.integrations.aiohttp import server_middleware
from tracedtimeout.integrations.asgi import exempt
from tracedtimeout.integrations.door import Door
from tracedtimeout.integrations.grpc import DeadlineServerInterceptor

pytestmark = pytest.mark.slow  # real servers, and handlers that outlive a deadline on the real clock

TERMS: Any = {"default": 0.02, "dark": True}
LONG = 0.06
"""Seconds that a handler takes to outlive it."""


async def through_asgi(seconds: float, headers: dict[str, str], path: str = "/x") -> int:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(seconds)
        await respond(send)

    transport = httpx.ASGITransport(middleware(app, **TERMS))
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as asking:
        return (await asking.get(path, headers=headers)).status_code


async def through_aiohttp(seconds: float, headers: dict[str, str], path: str = "/x") -> int:
    async def handler(request: web.Request) -> web.Response:
        await asyncio.sleep(seconds)
        return web.Response()

    door: Any = server_middleware(**TERMS)
    app = web.Application(middlewares=[door])
    app.router.add_get(path, exempt(handler) if path == "/exempt" else handler)
    async with TestClient(TestServer(app)) as asking, asking.get(path, headers=headers) as response:
        return response.status


async def through_grpc(seconds: float, headers: dict[str, str]) -> int:
    class Slow(Payments):
        async def unary_unary(self, request: bytes, context: Any) -> bytes:
            await asyncio.sleep(seconds)
            return request

    async with channel(Slow(), server=[DeadlineServerInterceptor(**TERMS)]) as calling:
        await call(calling, "unary_unary", metadata=list(headers.items()))
    return 200


async def through_grpc_in_thread(seconds: float, headers: dict[str, str]) -> int:
    class Slow(Payments):
        def in_thread(self, request: bytes, context: Any) -> bytes:
            time.sleep(seconds)
            return request

    async with channel(Slow(), server=[DeadlineServerInterceptor(**TERMS)]) as calling:
        await call(calling, "in_thread", metadata=list(headers.items()))
    return 200


DOORS = {
    "GET /x": (through_asgi, through_aiohttp),
    f"{SERVICE}/unary_unary": (through_grpc,),
    f"{SERVICE}/in_thread": (through_grpc_in_thread,),
}
EVERY = [pytest.param(name, ask, id=ask.__name__) for name, asking in DOORS.items() for ask in asking]


@pytest.mark.parametrize(("name", "ask"), EVERY)
async def test_who_outlives_the_default_is_counted_once(name: str, ask: Any) -> None:
    """It is served whole, and counted; one that is in time is not."""
    assert [await ask(LONG, {}), await ask(0.0, {})] == [200, 200]
    assert figures(REJECTIONS) == {(name, "expired", "dark"): 1}
    assert set(outcomes()) <= {(name, "completed")}


@pytest.mark.parametrize(("name", "ask"), EVERY)
async def test_who_is_counted_on_arrival_is_not_counted_again(name: str, ask: Any) -> None:
    """A request that would have been refused would not have been cut as well."""
    assert await ask(LONG, SPENT) == 200
    assert figures(REJECTIONS) == {(name, "expired", "dark"): 1}


async def test_whose_default_is_not_its_own_is_not_counted() -> None:
    """What has a deadline of its caller's, is to stay open, or is exempt, no `default` would cut."""
    door = Door(default=0.02, maximum=60.0, dark=True)
    async with door.open("header", {"deadline-budget": "60000"}):
        await asyncio.sleep(LONG)
    async with door.open("stays", None, stays=True):
        await asyncio.sleep(LONG)
    assert await through_aiohttp(LONG, {}, "/exempt") == 200
    assert figures(REJECTIONS) == {}


async def test_a_header_holds() -> None:
    """A believed header is enforced in the dark too, within `maximum`."""
    async with Door(default=5.0, maximum=9.0, dark=True).open("x", {"deadline-budget": "60000"}):
        assert 5.0 < remaining() <= 9.0

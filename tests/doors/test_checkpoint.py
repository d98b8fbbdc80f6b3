"""A request whose code finds its deadline passed is answered 504, whoever runs it and whoever granted it."""

from __future__ import annotations

import asyncio
import time

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from tests.services.asgi_servers import SHORT
from tracedtimeout import checkpoint, timeout
from tracedtimeout.integrations.asgi import DeadlineMiddleware

pytestmark = pytest.mark.slow  # loops that block, and threads: the real clock


def in_thread(request: Request) -> Response:
    while True:
        time.sleep(0.005)
        checkpoint()


async def in_loop(request: Request) -> Response:
    return in_thread(request)


async def in_group(request: Request) -> Response:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(in_loop(request))
    return Response()


async def of_its_own(request: Request) -> Response:
    async with timeout(0.01):
        return in_thread(request)


async def needs_more(request: Request) -> Response:
    async with timeout(5.0, at_least=1.0):
        raise AssertionError("it needs more than the request has left")


async def several_need_more(request: Request) -> Response:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(needs_more(request))
    return Response()


async def needs_more_than_its_own(request: Request) -> Response:
    async with timeout(0.05, name="own"):
        return await needs_more(request)


HANDLERS = (in_thread, in_loop, in_group, of_its_own, needs_more, several_need_more, needs_more_than_its_own)
SHOP = Starlette(routes=[Route(f"/{each.__name__}", each) for each in HANDLERS])


@pytest.mark.parametrize("headers", [{}, SHORT], ids=["default", "header"])
@pytest.mark.parametrize("path", ["in_thread", "in_loop", "in_group"])
async def test_checkpoint_is_a_504(path: str, headers: dict[str, str]) -> None:
    """In a thread, on the loop and in a group, by the door's terms and by the caller's header alike."""
    answer = await ask(path, headers)
    assert (answer.status_code, answer.headers.get("deadline-expired")) == (504, "1")


@pytest.mark.parametrize("headers", [{}, SHORT], ids=["default", "header"])
@pytest.mark.parametrize("path", ["needs_more", "several_need_more"])
async def test_too_little_left_is_a_504(path: str, headers: dict[str, str]) -> None:
    """A timeout that is refused for what the request has left ends the request as its deadline would."""
    answer = await ask(path, headers)
    assert (answer.status_code, answer.headers.get("deadline-expired")) == (504, "1")


async def test_too_little_left_beneath_a_mounted_door() -> None:
    """The deadline is the outer door's: the inner one lets it pass, and the outer one answers."""
    inner = DeadlineMiddleware(SHOP, default=30.0)
    transport = httpx.ASGITransport(
        DeadlineMiddleware(Starlette(routes=[Mount("/shop", inner)]), default=0.1), raise_app_exceptions=False
    )
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as http:
        answer = await http.get("/shop/needs_more")
    assert (answer.status_code, answer.headers.get("deadline-expired")) == (504, "1")


@pytest.mark.parametrize("path", ["of_its_own", "needs_more_than_its_own"])
async def test_a_timeout_of_the_endpoints_own_is_none(path: str) -> None:
    """The deadline that was found passed, or near, is not the request's: the application's 500 stays."""
    answer = await ask(path, {})
    assert (answer.status_code, answer.headers.get("deadline-expired")) == (500, None)


async def ask(path: str, headers: dict[str, str]) -> httpx.Response:
    transport = httpx.ASGITransport(DeadlineMiddleware(SHOP, default=0.1), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as http:
        return await http.get(path, headers=headers)

"""A deadline on its way over httpx2, gRPC and a queue: no hop's is later than its caller's."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tests.services.asgi_servers import serving
from tests.services.rpc import SERVICE, Payments, channel
from tracedtimeout import DeadlineExceeded, Outcome, budget, remaining, timeout
from tracedtimeout.integrations.asgi import DeadlineMiddleware
from tracedtimeout.integrations.grpc import DeadlineServerInterceptor, client_interceptors
from tracedtimeout.integrations.httpx2 import AsyncDeadlineTransport
from tracedtimeout.propagation import extract, inject

pytestmark = pytest.mark.slow  # real servers

LIMIT = 1.0
GOES = 5
"""Transit above 100 ms is not made up for, since clocks may differ: on a busy machine one go may take longer."""


def deadline() -> float:
    return asyncio.get_running_loop().time() + remaining()


async def test_a_deadline_over_httpx2_grpc_and_a_queue() -> None:
    """Each hop's deadline is its caller's or earlier, and the last one's work ends by it."""
    deadlines: list[float] = []
    queue: asyncio.Queue[dict[str, str]] = asyncio.Queue()

    class Putting(Payments):
        async def unary_unary(self, request: bytes, context: Any) -> bytes:
            deadlines.append(deadline())
            message: dict[str, str] = {}
            inject(message)
            await queue.put(message)
            return request

    async def consume() -> Outcome | None:
        left = extract(await queue.get(), queued=True)
        assert left is not None
        with budget(left):
            work = timeout(60.0, name="work")
            with pytest.raises(DeadlineExceeded):
                async with work:
                    deadlines.append(deadline())
                    await asyncio.sleep(60.0)
        return work.outcome

    async with channel(Putting(), client=client_interceptors(), server=[DeadlineServerInterceptor()]) as calling:

        async def pay(request: Request) -> Response:
            deadlines.append(deadline())
            method: Any = calling.unary_unary(f"/{SERVICE}/unary_unary")
            await method(b"pay")
            return PlainTextResponse("paid")

        app = DeadlineMiddleware(Starlette(routes=[Route("/pay", pay)]))
        async with serving(app) as url, httpx2.AsyncClient(transport=AsyncDeadlineTransport(), timeout=60.0) as asking:
            for _ in range(GOES):
                deadlines.clear()
                consumer = asyncio.create_task(consume())
                async with timeout(LIMIT, name="edge"):
                    deadlines.append(deadline())
                    assert (await asking.get(f"{url}/pay")).status_code == 200
                assert await consumer is Outcome.INHERITED
                if sorted(deadlines, reverse=True) == deadlines:
                    break
    assert len(deadlines) == 4
    assert [later <= earlier for earlier, later in pairwise(deadlines)] == [True] * 3

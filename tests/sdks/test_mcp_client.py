"""mcp's client, with our door in its httpx2 client, against mcp's own server on loopback."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest

from tests.services.asgi_servers import App, Receive, Scope, Send, serving
from tracedtimeout import DeadlineExceeded, timeout
from tracedtimeout.integrations.httpx2 import AsyncDeadlineTransport
from tracedtimeout.propagation import decode

mcp: Any = importlib.import_module("mcp")
streamable_http: Any = importlib.import_module("mcp.client.streamable_http")
MCPServer: Any = importlib.import_module("mcp.server").MCPServer

pytestmark = [pytest.mark.sdks, pytest.mark.slow]  # a real client, and a real server


class Told:
    """What the requests of an app told of a deadline, in milliseconds, and how many were broken off."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.milliseconds: list[int | None] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            value = dict(scope["headers"]).get(b"deadline-budget")
            granted = None if value is None else decode("deadline-budget", value.decode())
            self.milliseconds.append(None if granted is None else granted // 10**6)
        await self.app(scope, receive, send)


@asynccontextmanager
async def talking(broken_off: list[float]) -> AsyncIterator[tuple[Any, Told]]:
    """A client of a server with one tool, ``nap``, and what the server was told."""
    server = MCPServer("naps")

    async def nap(seconds: float) -> str:
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            broken_off.append(seconds)
            raise
        return "slept"

    server.tool()(nap)
    told = Told(server.streamable_http_app())
    async with (
        serving(told, lifespan=True) as url,
        httpx2.AsyncClient(transport=AsyncDeadlineTransport(), timeout=httpx2.Timeout(30.0, read=300.0)) as http_client,
        mcp.Client(streamable_http.streamable_http_client(f"{url}/mcp", http_client=http_client)) as client,
    ):
        yield client, told


async def test_a_call_carries_the_budget() -> None:
    """A tool's call carries what is left where it is made, though another task sends it."""
    async with talking([]) as (client, told):
        await client.call_tool("nap", {"seconds": 0.0})
        assert set(told.milliseconds) == {None}
        async with timeout(2.0):
            await client.call_tool("nap", {"seconds": 0.0})
    assert any(granted is not None and granted <= 2000 for granted in told.milliseconds)


async def test_a_session_outlives_the_calls_that_expire() -> None:
    """A call that runs out of time ends as its timeout, and at the server; the session serves the next ones."""
    broken_off: list[float] = []
    async with talking(broken_off) as (client, _):
        for _ in range(5):
            with pytest.raises(DeadlineExceeded) as caught:
                async with timeout(0.1, name="nap"):
                    await client.call_tool("nap", {"seconds": 5.0})
            assert caught.value.name == "nap"
        async with timeout(5.0):
            answer = await client.call_tool("nap", {"seconds": 0.0})
    assert (answer.content[0].text, broken_off) == ("slept", [5.0] * 5)

"""A deadline through three services: over HTTP by httpx2, over gRPC, and through a queue."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
import httpx2
import pytest

from tests.services.asgi_servers import Receive, Scope, Send, middleware, outcomes, respond, serving
from tracedtimeout import remaining, timeout
from tracedtimeout.integrations.door import Door
from tracedtimeout.integrations.grpc import DeadlineServerInterceptor, client_interceptors
from tracedtimeout.integrations.httpx2 import AsyncDeadlineTransport
from tracedtimeout.propagation import outgoing

pytestmark = pytest.mark.slow  # real sockets, on the real clock

MOST_TRANSIT = 0.1
"""Seconds on its way for which a request's door makes up; a queue's door makes up for all."""
DOOR = Door(default=60.0, maximum=120.0)


@dataclass
class Chain:
    """The three services, on one loop but each in tasks of its own, and the deadlines that they saw."""

    deadlines: list[tuple[str, float, float, float]] = field(default_factory=list)
    """Of each in turn: who, when it began, and when it had to end at the earliest and at the latest, on the clock that
    they have in common: the machine may have been busy with others between the two readings."""
    sent: list[float] = field(default_factory=list)
    queue: asyncio.Queue[tuple[dict[str, str], asyncio.Future[None]]] = field(default_factory=asyncio.Queue)
    calling: Any = None

    def note(self, who: str) -> None:
        now, left = time.monotonic(), remaining()
        self.deadlines.append((who, now, now + left, time.monotonic() + left))

    def send(self) -> None:
        self.sent.append(time.monotonic())

    async def shop(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.note("shop")
        self.send()
        await self.calling(b"pay")
        await respond(send)

    async def pay(self, request: bytes, context: Any) -> bytes:
        self.note("payments")
        done = asyncio.get_running_loop().create_future()
        self.send()
        self.queue.put_nowait((outgoing(), done))
        await done
        return request

    async def mail(self) -> None:
        while True:
            message, done = await self.queue.get()
            async with DOOR.open("mail", message, queued=True):
                self.note("mail")
            done.set_result(None)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """The services run; gives the URL of the first."""
        server = grpc.aio.server(interceptors=[DeadlineServerInterceptor(default=60.0, maximum=120.0)])
        handlers: dict[str, Any] = {"Pay": grpc.unary_unary_rpc_method_handler(self.pay)}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("shop.Payments", handlers),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        consumer = asyncio.create_task(self.mail())
        where = f"127.0.0.1:{port}"
        try:
            async with grpc.aio.insecure_channel(where, interceptors=client_interceptors()) as channel:
                self.calling = channel.unary_unary("/shop.Payments/Pay")
                async with serving(middleware(self.shop, default=60.0, maximum=120.0)) as url:
                    yield url
        finally:
            consumer.cancel()
            await server.stop(None)

    async def ask(self, url: str, seconds: float) -> int:
        async with httpx2.AsyncClient(transport=AsyncDeadlineTransport(), timeout=None) as client:
            async with timeout(seconds, name="caller"):
                self.note("caller")
                self.send()
                return int((await client.get(f"{url}/order")).status_code)


async def test_each_hops_deadline_is_before_its_callers() -> None:
    """None is later than the one that it comes of, save for a transit that could not be made up for."""
    chain = Chain()
    async with chain.running() as url:
        assert await chain.ask(url, 30.0) == 200
    assert [who for who, _, _, _ in chain.deadlines] == ["caller", "shop", "payments", "mail"]
    for (*_, outer), sent, (who, begun, inner, _) in zip(
        chain.deadlines, chain.sent, chain.deadlines[1:], strict=False
    ):
        assert inner <= outer + (0.0 if who == "mail" else max(0.0, begun - sent - MOST_TRANSIT)), who
    assert set(outcomes()) == {
        ("caller", "completed"),
        ("GET /order", "completed"),
        ("shop.Payments/Pay", "completed"),
        ("mail", "completed"),
    }

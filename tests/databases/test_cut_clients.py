"""A thousand cuts, each at a random await, on one pool of a client: no question gets the answer of another."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from functools import partial

import aiohttp
import httpx
import httpx2
import pytest
from redis.asyncio import BlockingConnectionPool, Redis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from tests.services.asgi_servers import serving
from tests.support.cuts import cut, cuts
from tracedtimeout.integrations import httpx2 as httpx2_door
from tracedtimeout.integrations.aiohttp import client_middleware
from tracedtimeout.integrations.httpx import AsyncDeadlineTransport

pytestmark = [pytest.mark.server, pytest.mark.slow]  # real servers, and sockets

HTTPCORE = "httpcore 1.0.9 loses a connection at two of its awaits: github.com/encode/httpcore/issues/1093"
POOL = 5
ROUNDS = 3


async def test_redis(redis_url: str) -> None:
    """Plain commands, pipelines and blocking commands; afterwards each connection of the pool answers its own."""
    wrong: list[tuple[object, object]] = []
    ended: list[int] = []
    pool = BlockingConnectionPool.from_url(redis_url, max_connections=POOL, timeout=10)
    async with Redis(connection_pool=pool) as redis:

        async def work(number: int) -> None:
            for each in range(ROUNDS):
                asked = f"{number}.{each}".encode()
                expect(await redis.echo(asked), asked)
                expect(await set_and_echo(asked), [True, asked])
            if number % 17 == 0:
                await redis.blpop(["nothing"], timeout=1)
            ended.append(number)

        async def set_and_echo(asked: bytes) -> object:
            async with redis.pipeline(transaction=True) as pipeline:
                pipeline.set("asked", asked)
                pipeline.echo(asked)
                return await pipeline.execute()

        def expect(answer: object, asked: object) -> None:
            if answer != asked:
                wrong.append((asked, answer))

        told = await cuts(work, most=16)
        assert (sum(told.values()) - told[0] >= 1000, bool(ended)) == (True, True)
        assert wrong == []
        questions = [str(number).encode() for number in range(10 * POOL)]
        assert await asyncio.gather(*(redis.echo(each) for each in questions)) == questions
    await pool.disconnect()


async def echo(request: Request) -> StreamingResponse:
    """The question, in three pieces."""
    asked = request.query_params["asked"]

    async def pieces() -> AsyncIterator[str]:
        for _ in range(ROUNDS):
            yield f"{asked} "
            await asyncio.sleep(0)

    return StreamingResponse(pieces())


APP = Starlette(routes=[Route("/echo", echo)])


@pytest.fixture
async def url() -> AsyncIterator[str]:
    """A server that echoes."""
    async with serving(APP) as base:
        yield f"{base}/echo"


@pytest.mark.xfail(strict=True, raises=ExceptionGroup, reason=HTTPCORE)
async def test_httpx(url: str) -> None:
    """A body belongs to its question, and all the connections that the pool may have can be had afterwards."""
    async with client(timeout=1.0) as asked:

        async def work(number: int) -> None:
            assert await ask(asked, url, number) == whole(number)

        await cuts(work, most=8)


async def test_httpx2(url: str) -> None:
    """Its pool, httpcore's with the cure, is whole afterwards."""
    pool = httpx2.AsyncHTTPTransport(limits=httpx2.Limits(max_connections=POOL))
    transport = httpx2_door.AsyncDeadlineTransport(pool)
    async with httpx2.AsyncClient(transport=transport, timeout=20.0) as asked:

        async def work(number: int) -> None:
            assert (await asked.get(url, params={"asked": str(number)})).text == whole(number)

        await cuts(work, most=8)
        await asyncio.gather(*(work(number) for number in range(10 * POOL)))


async def test_httpx_shielded(url: str) -> None:
    """A request that its task leaves to end by itself, as docs/databases.md has it, loses nothing."""
    under_way: set[asyncio.Task[str]] = set()
    chance = random.Random(1)
    told: list[bool] = []
    async with client(timeout=20.0) as asked:

        async def work(number: int) -> None:
            request = asyncio.create_task(ask(asked, url, number))
            under_way.add(request)
            request.add_done_callback(under_way.discard)
            assert await asyncio.shield(request) == whole(number)

        async def worker() -> None:
            while told.count(True) < 1000:
                told.append(await cut(partial(work, len(told)), 0, within=chance.uniform(0.0, 0.005)))

        await asyncio.gather(*(worker() for _ in range(POOL)))
        await asyncio.gather(*under_way, return_exceptions=True)
        numbers = range(10 * POOL)
        answers = await asyncio.gather(*(ask(asked, url, number) for number in numbers))
        assert answers == [whole(number) for number in numbers]


def client(timeout: float) -> httpx.AsyncClient:
    """One with our door, and a small pool."""
    pool = httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=POOL))
    return httpx.AsyncClient(transport=AsyncDeadlineTransport(pool), timeout=timeout)


async def ask(asked: httpx.AsyncClient, url: str, number: int) -> str:
    return (await asked.get(url, params={"asked": str(number)})).text


async def test_aiohttp(url: str) -> None:
    """A body belongs to its question, and the pool is whole afterwards."""
    wrong: list[str] = []
    connector = aiohttp.TCPConnector(limit=POOL)
    async with aiohttp.ClientSession(connector=connector, middlewares=[client_middleware()]) as session:

        async def work(number: int) -> None:
            if await question(number) != whole(number):
                wrong.append(f"{number}")

        async def question(number: int) -> str:
            async with session.get(url, params={"asked": str(number)}) as response:
                return await response.text()

        told = await cuts(work, most=4)
        assert (sum(told.values()) - told[0] >= 1000, wrong) == (True, [])
        numbers = range(10 * POOL)
        assert await asyncio.gather(*map(question, numbers)) == [whole(number) for number in numbers]


def whole(number: int) -> str:
    return f"{number} " * ROUNDS

"""A program that knows nothing of tracedtimeout: libraries and its own code time out against real servers.

``python tests/programs/unchanged_app.py HTTP_PORT REDIS_PORT``. The web server does not answer. What was caught is
printed.
"""

import asyncio
import sys
from contextlib import suppress

import aiohttp
import aiosqlite
import redis.asyncio
import redis.exceptions
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

SLOW = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000000) SELECT max(i) FROM n"

ONCE = Retry(NoBackoff(), 0)


async def ask_http(port: int) -> str:
    async with aiohttp.ClientSession() as session:
        try:
            async with asyncio.timeout(0.1), session.get(f"http://127.0.0.1:{port}/"):
                return "answered"
        except TimeoutError as exc:
            return type(exc).__name__


async def ask_redis(port: int) -> str:
    async with redis.asyncio.Redis(port=port, socket_timeout=0.1, socket_connect_timeout=5.0, retry=ONCE) as client:
        await client.set("key", "value")
        assert await client.get("key") == b"value"
        try:
            await client.blpop(["nothing"], timeout=5)
        except redis.exceptions.TimeoutError as exc:
            return type(exc).__name__
    return "answered"


async def ask_sqlite() -> str:
    async with aiosqlite.connect(":memory:") as database:
        rows = await asyncio.wait_for(database.execute_fetchall("SELECT 1"), 5.0)
        assert [tuple(row) for row in rows] == [(1,)]
        try:
            await asyncio.wait_for(database.execute_fetchall(SLOW), timeout=0.1)
        except TimeoutError as exc:
            await database.interrupt()
            return type(exc).__name__
    return "answered"


async def main(http_port: int, redis_port: int) -> None:
    caught = [await ask_http(http_port), await ask_redis(redis_port), await ask_sqlite()]
    print(*caught, file=sys.stderr)  # noqa: T201  # the answer


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))

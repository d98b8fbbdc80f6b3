"""A queue of orders in a Redis stream, each with the time that its customer is still willing to wait.

    python tests/examples/queue_redis.py send pen --within 2      # a customer who waits for two seconds
    python tests/examples/queue_redis.py send book                # one who waits for ever
    python tests/examples/queue_redis.py serve                    # whoever is at the counter

The budget goes with the order, in its fields. The time that the order has waited in the queue is taken off, so that an
order whose customer has left is not made, and one that is made stops when its customer leaves. Redis is looked for at
REDIS_URL.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import os
from contextlib import nullcontext, suppress
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from tracedtimeout import DeadlineExceeded, budget, timeout
from tracedtimeout.propagation import extract, inject

STREAM, GROUP = "orders", "counter"


async def send(redis: Redis, item: str) -> None:
    """Queue an order, with what is left of the budget here."""
    fields: dict[Any, Any] = {"item": item}
    inject(fields)
    await redis.xadd(STREAM, fields)


async def serve(redis: Redis, *, until_idle_for: float = 0.0) -> None:
    """Make the orders in turn, until none comes for so many seconds; 0 is for ever."""
    with suppress(ResponseError):  # it is there already
        await redis.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
    while found := await next_of(redis, until_idle_for):
        ((_, ((number, fields),)),) = found
        await serve_one(fields)
        await redis.xack(STREAM, GROUP, number)


async def next_of(redis: Redis, seconds: float) -> Any:
    """One order, as Redis has it: ``[[stream, [(number, fields)]]]``; nothing if none comes in so many seconds."""
    return await redis.xreadgroup(GROUP, "me", {STREAM: ">"}, count=1, block=int(seconds * 1000))


async def serve_one(fields: dict[bytes, bytes]) -> None:
    """Make one order within what is left of its budget, and in five seconds at most."""
    item = fields[b"item"].decode()
    left = extract(fields, queued=True)
    with nullcontext() if left is None else budget(left):
        try:
            async with timeout(5.0, name="order", at_least=0.05):
                await make(item)
        except DeadlineExceeded as exc:
            print(f"{item}: {exc}", flush=True)


async def make(item: str) -> None:
    """What takes its time: an idea takes longer than anybody has."""
    if item == "idea":
        await asyncio.Event().wait()
    print(f"{item}: made", flush=True)


async def main() -> None:
    parser = argparse.ArgumentParser(description="A queue whose messages carry their deadlines.")
    commands = parser.add_subparsers(dest="command", required=True)
    sending = commands.add_parser("send")
    sending.add_argument("item")
    sending.add_argument("--within", type=float, default=math.inf, metavar="SECONDS")
    serving = commands.add_parser("serve")
    serving.add_argument("--until-idle-for", type=float, default=0.0, metavar="SECONDS")
    given = parser.parse_args()
    async with Redis.from_url(os.environ.get("REDIS_URL", "redis://127.0.0.1:6379")) as redis:
        if given.command == "send":
            with budget(given.within):
                await send(redis, given.item)
        else:
            await serve(redis, until_idle_for=given.until_idle_for)


if __name__ == "__main__":
    asyncio.run(main())

"""docs/doors.md: the doors that it shows work as they stand there."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from tracedtimeout import budget

pytestmark = [pytest.mark.slow, pytest.mark.server]

PAGE = Path(__file__).parents[2] / "docs" / "doors.md"


def shown(word: str) -> dict[str, Any]:
    """The names that the page's block of code with that word in it defines."""
    (block,) = (block for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL) if word in block)
    names: dict[str, Any] = {}
    exec(block, names)  # noqa: S102  # our own
    return names


async def test_the_consumer_of_a_stream(redis_url: str) -> None:
    """A message in time is handled; one that is cut, and one that waited too long, go to the dead ones."""
    page = shown("xreadgroup")
    handled: list[bytes] = []

    async def handle(fields: dict[bytes, bytes]) -> None:
        await asyncio.sleep(float(fields[b"takes"]))
        handled.append(fields[b"id"])

    async with Redis.from_url(redis_url) as redis:
        await page["send"](redis, id="plain", takes="0")
        for name, takes, seconds in (("in time", "0", 60.0), ("cut", "60", 1.0), ("old", "0", 0.002)):
            with budget(seconds):
                await page["send"](redis, id=name, takes=takes)
        await asyncio.sleep(0.02)  # in the queue
        await page["consume"](redis, handle, until_idle_ms=50)
        found: Any = await redis.xrange("orders-dead")
    dead = [(fields[b"id"], fields[b"owner"]) for _, fields in found]
    assert handled == [b"plain", b"in time"]
    assert dead == [(b"cut", b"_remote"), (b"old", b"_remote")]

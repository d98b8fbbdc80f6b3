"""The examples run, against the real thing."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from redis.asyncio import Redis

from tests.examples import queue_redis
from tests.services.asgi_servers import figures, outcomes
from tracedtimeout import budget
from tracedtimeout._core.figures._metrics import INTERRUPTIONS, RECEIVED, REJECTIONS

pytestmark = [pytest.mark.server, pytest.mark.slow]  # a real Redis, and real time in its queue

ROOT = Path(__file__).parents[2]


def test_the_queue_as_programs(redis_url: str) -> None:
    """Orders sent and served by the program: one in time, one too late for its customer, one with no hurry."""

    def run(*arguments: str) -> str:
        command = [sys.executable, str(ROOT / "tests/examples/queue_redis.py"), *arguments]
        environment = os.environ | {"REDIS_URL": redis_url, "PYTHONPATH": str(ROOT)}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60).stdout

    run("send", "pen", "--within", "0.001")
    run("send", "ink", "--within", "3000")
    run("send", "book")
    assert run("serve", "--until-idle-for", "0.2").splitlines() == [
        "pen: 'order' needs 0.050 s and 0.000 s is left of '_budget'",
        "ink: made",
        "book: made",
    ]


async def test_the_queue_takes_its_time_off(redis_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What an order waited in the queue is taken off its budget, which then ends the work, or refuses it."""
    async with Redis.from_url(redis_url) as redis:
        with budget(0.5):
            await queue_redis.send(redis, "idea")
            await queue_redis.send(redis, "stale")
        with budget(1.0):
            await queue_redis.send(redis, "idea")
        with budget(math.inf):
            await queue_redis.send(redis, "pen")
        await queue_redis.serve(redis, until_idle_for=0.05)
        assert (await redis.xpending(queue_redis.STREAM, queue_redis.GROUP))["pending"] == 0
    said = [re.sub(r"[\d.]+ s", "s", line) for line in capsys.readouterr().out.splitlines()]
    ended = "idea: 'order' was ended by the deadline of '_budget' after s: waiting at tests.examples.queue_redis"
    assert [re.sub(r":\d+ in make$", "", line) for line in said] == [
        ended,
        "stale: 'order' needs s and s is left of '_budget'",
        ended,
        "pen: made",
    ]
    assert outcomes() == {("order", "inherited"): 2, ("order", "rejected"): 1, ("order", "completed"): 1}
    assert figures(INTERRUPTIONS) == {("order", "_budget"): 2}
    assert figures(REJECTIONS) == {("order", "expired", "enforce"): 1}
    assert figures(RECEIVED) == {("deadline-budget",): 3}

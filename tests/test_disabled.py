"""With TRACEDTIMEOUT_DISABLED=1 every wrapper is asyncio's, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys

PROGRAM = """
import asyncio
import prometheus_client
import tracedtimeout
from tracedtimeout import *
from tracedtimeout._core import _series
from tracedtimeout.integrations.asgi import DeadlineMiddleware

@with_timeout(0.01, name="decorated")
async def decorated():
    await asyncio.sleep(9)

async def app(scope, receive, send):
    print(scope["type"], remaining())

async def main():
    undo = install()
    try:
        async with timeout(0.01, name="a", at_least=5, reserve=1) as t:
            await asyncio.sleep(9)
    except TimeoutError as error:
        print(type(error).__name__, t.expired(), t.name, t.outcome, isinstance(t, asyncio.Timeout))
    for awaitable in (decorated(), wait_for(asyncio.sleep(9), 0, name="b")):
        try:
            await awaitable
        except TimeoutError as error:
            print(type(error).__name__)
    with budget(0), detach():
        checkpoint()
    async with timeout_at(None), Timeout(None) as t:
        print(remaining(), t.remaining(), t.deadline())
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"deadline-budget", b"0")]}
    await DeadlineMiddleware(app, maximum=0.0)(scope, None, None)
    undo()
    print(b"tracedtimeout" in prometheus_client.generate_latest(), _series.snapshot())

asyncio.run(main())
"""


def test_every_wrapper_is_asyncios_and_uncounted() -> None:
    """No subclass of TimeoutError, no budget, no family, no figure; what ours add is accepted and does nothing."""
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM],
        env={**os.environ, "TRACEDTIMEOUT_DISABLED": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stderr == ""
    assert ran.stdout.splitlines() == [
        "TimeoutError True a None True",
        "TimeoutError",
        "TimeoutError",
        "inf inf None",
        "http inf",
        "False {}",
    ]

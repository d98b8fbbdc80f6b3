"""The application that several worker processes serve in tests: guarded work, and who did it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from tracedtimeout import install, timeout
from tracedtimeout.prometheus import metrics_app

undo = install(spans="off")
_metrics = metrics_app()


async def app(
    scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
) -> None:
    """Answer with the process's id; ``/hold`` does at once, and goes on working."""
    if scope["type"] == "lifespan" or scope["path"] == "/metrics":
        await _metrics(scope, receive, send)
        if scope["type"] == "lifespan":
            undo()
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"%d\n" % os.getpid(), "more_body": True})
    with suppress(TimeoutError):
        await WORK[scope["path"]]()
    await send({"type": "http.response.body", "body": b""})


async def _work() -> None:
    async with timeout(60, name="work"):
        await asyncio.sleep(0.01)


async def _expire() -> None:
    async with timeout(0.005, name="expire"):
        await asyncio.sleep(60)


async def _hold() -> None:
    async with timeout(60, name="hold"):
        await asyncio.sleep(60)


WORK = {"/work": _work, "/expire": _expire, "/hold": _hold}


def child_exit(server: object, worker: Any) -> None:
    """Gunicorn's hook, as prometheus_client documents it."""
    from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415  # the hook's process alone needs it

    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]  # prometheus_client's

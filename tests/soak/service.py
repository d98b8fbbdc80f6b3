"""The service that is soaked: a process with uvicorn on a socket that its parent opened, and a pulse once a second.

It ends as its standard input does. A line there begins the probes of the timers' lag, and the next ends them.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import resource
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import uvicorn

import tracedtimeout
from tracedtimeout.integrations.asgi import DeadlineMiddleware
from tracedtimeout.prometheus import metrics_app

FOR_EVER = 1000.0
LAG = 0.02
"""Seconds of the probes' limits."""

turns = 0
lags: dict[str, list[float]] = {"ours": [], "asyncio": []}


async def fast() -> None:
    await asyncio.sleep(0)


async def nested() -> None:
    """Waits within a timeout that fires, and answers all the same."""
    with suppress(TimeoutError):
        async with tracedtimeout.timeout(0.02, name="inner"):
            await asyncio.sleep(FOR_EVER)


async def moved() -> None:
    """Two timeouts, the outer of which moves."""
    async with tracedtimeout.timeout(50.0, name="moved") as outer, tracedtimeout.timeout(45.0, name="beneath"):
        outer.reschedule(asyncio.get_running_loop().time() + 55.0)
        await asyncio.sleep(0.005)


async def spread() -> None:
    """Children of one timeout, all of which end with it."""
    with suppress(TimeoutError):
        async with tracedtimeout.timeout(0.02, name="group"), asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(_child())


async def _child() -> None:
    async with tracedtimeout.timeout(50.0, name="child"):
        await asyncio.sleep(FOR_EVER)


async def awaited() -> None:
    with suppress(TimeoutError):
        await tracedtimeout.wait_for(asyncio.sleep(FOR_EVER), 0.02, name="awaited")


async def failing() -> None:
    raise LookupError("as it should")


async def long() -> None:
    await asyncio.sleep(FOR_EVER)


WORK = {f"/{work.__name__}": work for work in (fast, nested, moved, spread, awaited, failing, long)}


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["path"] == "/begun":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        await send({"type": "http.response.body", "body": b"do", "more_body": True})
        await long()
    await WORK[scope["path"]]()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
    await send({"type": "http.response.body", "body": b"done"})


class CountingLoop(asyncio.SelectorEventLoop):
    """A loop that counts its turns."""

    def _run_once(self) -> None:
        global turns
        turns += 1
        super()._run_once()  # type: ignore[misc]  # asyncio's, for its subclasses


async def main(descriptor: int) -> None:
    logging.disable()  # thousands of expiries, as they should be
    undo = tracedtimeout.install(spans="off")
    door = DeadlineMiddleware(app, default=60.0, cancel_on_disconnect=True, route_of=lambda scope: scope["path"])
    metrics = metrics_app()

    async def served(scope: Any, receive: Any, send: Any) -> None:
        await (metrics if scope.get("path") == "/metrics" else door)(scope, receive, send)

    config = uvicorn.Config(served, lifespan="off", log_level="critical", timeout_keep_alive=600, backlog=1024)
    server = uvicorn.Server(config)
    pulse = asyncio.create_task(_pulse())
    commands = asyncio.create_task(_commands(server))
    await server.serve(sockets=[socket.socket(fileno=descriptor)])
    pulse.cancel()
    commands.cancel()
    undo()


async def _probe() -> None:
    """Measure how late a timeout of ours is, and beside it one of asyncio's."""
    while True:
        await asyncio.sleep(0.05)
        for who, make in (("asyncio", asyncio.timeout), ("ours", _ours)):
            begun = asyncio.get_running_loop().time()
            with suppress(TimeoutError):
                async with make(LAG):
                    await asyncio.sleep(FOR_EVER)
            lags[who].append(asyncio.get_running_loop().time() - begun - LAG)


def _ours(seconds: float) -> tracedtimeout.Timeout:
    return tracedtimeout.timeout(seconds, name="probe")


async def _pulse() -> None:
    page = resource.getpagesize()
    while True:
        pages = int(Path("/proc/self/statm").read_text().split()[1])  # noqa: ASYNC240  # no file of a disk
        beat = {"pid": os.getpid(), "bytes": pages * page, "turns": turns, "lags": lags}
        sys.stdout.write(json.dumps(beat) + "\n")
        sys.stdout.flush()
        for each in lags.values():
            each.clear()
        await asyncio.sleep(1.0)


async def _commands(server: uvicorn.Server) -> None:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    probing: asyncio.Task[None] | None = None
    while await reader.readline():
        if probing is None:
            probing = asyncio.create_task(_probe())
        else:
            probing.cancel()
    server.should_exit = True


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=CountingLoop) as runner:
        runner.run(main(int(sys.argv[1])))

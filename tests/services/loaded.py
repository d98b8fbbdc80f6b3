"""The service of `load`: endpoints of a dozen kinds, and at `/left` what they have left behind.

Run as ``python -m tests.services.loaded DESCRIPTOR``: uvicorn on a listening socket that its parent opened, until the
end of standard input.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import resource
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

import uvicorn
from fastapi import BackgroundTasks, Depends, FastAPI, Request
from fastapi.responses import StreamingResponse

from tracedtimeout import Timeout, install, timeout
from tracedtimeout._core.figures import _process
from tracedtimeout._core.figures._metrics import ACTIVE, DURATION, THREADS_ABANDONED
from tracedtimeout._core.figures._process import Histogram
from tracedtimeout.integrations.asgi import DeadlineMiddleware, exempt
from tracedtimeout.integrations.asgi._overdue import answers, late

THREAD = 0.3
"""Seconds that a function in a thread takes: nothing ends it sooner."""

app = FastAPI()
entered, closed = 0, 0
"""How often the dependency with a yield was."""


async def forever() -> None:
    await asyncio.Event().wait()


async def lent() -> AsyncIterator[str]:
    """A dependency that is cleaned up behind its endpoint."""
    global entered, closed
    entered += 1
    try:
        yield "lent"
    finally:
        await asyncio.sleep(0)
        closed += 1


Lent = Annotated[str, Depends(lent)]


@app.get("/quick")
async def quick() -> str:
    return "quick"


@app.get("/inner")
async def inner() -> str:
    """Answers in time, for its own timeout ends what hangs."""
    with suppress(TimeoutError):
        async with timeout(0.02, name="hanging"):
            await forever()
    return "inner"


@app.get("/stuck")
async def stuck() -> None:
    await forever()


@app.get("/children")
async def children() -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(forever())


@app.get("/failing")
async def failing() -> None:
    raise LookupError("as it should")


@app.get("/stream")
async def stream(endless: bool = False) -> StreamingResponse:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b"part"
            await asyncio.sleep(0)
        if endless:
            await forever()

    return StreamingResponse(parts())


@app.get("/thread")
def thread() -> str:
    time.sleep(THREAD / 30)
    return "thread"


@app.get("/thread_stuck")
def thread_stuck() -> str:
    time.sleep(THREAD)
    return "too late"


@app.get("/background")
async def background(tasks: BackgroundTasks, endless: bool = False) -> str:
    tasks.add_task(forever if endless else quick)
    return "background"


@app.get("/dependency")
async def dependency(said: Lent) -> str:
    return said


@app.get("/dependency_stuck")
async def dependency_stuck(said: Lent) -> None:
    await forever()


@app.post("/upload")
async def upload(request: Request) -> int:
    return len(await request.body())


@app.post("/unread")
async def unread() -> None:
    """FastAPI reads no body for an endpoint that takes none."""
    await forever()


@app.get("/left")
@exempt
async def left() -> dict[str, int]:
    """What there is beside this request, once the garbage is collected."""
    gc.collect()
    figures = _process.snapshot()
    timeouts = sum(isinstance(each, Timeout) for each in gc.get_objects())
    page = resource.getpagesize()
    return {
        "tasks": len(asyncio.all_tasks()),
        "active": sum(map(_count, figures.get(ACTIVE, {}).values())),
        "abandoned": sum(map(_count, figures.get(THREADS_ABANDONED, {}).values())),
        "answers": len(answers) + len(late),
        "timeouts": timeouts,
        "borrowed": entered - closed,
        "ended": sum(_count(value) for (name, _), value in figures.get(DURATION, {}).items() if "/" in name),
        "threads": threading.active_count(),
        "blocks": sys.getallocatedblocks(),
        "bytes": int(Path("/proc/self/statm").read_text().split()[1]) * page,  # noqa: ASYNC240  # no file of a disk
    }


def _count(value: float | Histogram) -> int:
    return sum(value.counts) if isinstance(value, Histogram) else int(value)


@asynccontextmanager
async def until_told(server: uvicorn.Server) -> AsyncIterator[None]:
    """Tell the server to end as standard input does."""
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )

    async def wait() -> None:
        await reader.read()
        server.should_exit = True

    waiting = asyncio.create_task(wait())
    try:
        yield
    finally:
        waiting.cancel()
        transport.close()


async def main(descriptor: int) -> None:
    logging.disable()  # thousands of expiries, as they should be
    undo = install(spans="off")
    door = DeadlineMiddleware(app, default=30.0, cancel_on_disconnect=True)
    options: dict[str, Any] = {"timeout_keep_alive": 600, "timeout_graceful_shutdown": 1, "backlog": 1024}
    config = uvicorn.Config(door, lifespan="off", log_level="critical", **options)
    server = uvicorn.Server(config)
    async with until_told(server):
        await server.serve(sockets=[socket.socket(fileno=descriptor)])
    undo()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))

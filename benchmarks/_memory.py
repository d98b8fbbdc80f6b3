"""The weight of an open timeout."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import tracemalloc
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

CROWD = 5_000


def bytes_per_timeout(make: Callable[[float], AbstractAsyncContextManager[Any]]) -> float:
    """Bytes that one open timeout adds to a task that sleeps in a block of nothing: all that is allocated for it, its
    timer and its place in the context included."""
    return _crowd(make) - _crowd(lambda seconds: contextlib.nullcontext())


def _crowd(make: Callable[[float], AbstractAsyncContextManager[Any]]) -> float:
    with asyncio.Runner() as runner:
        return runner.run(_weigh(make))


async def _weigh(make: Callable[[float], AbstractAsyncContextManager[Any]]) -> float:
    go = asyncio.Event()
    await _run(make, 10, go)  # what is made once is made now
    gc.collect()
    tracemalloc.start()
    try:
        return await _run(make, CROWD, go) / CROWD
    finally:
        tracemalloc.stop()


async def _run(make: Callable[[float], AbstractAsyncContextManager[Any]], size: int, go: asyncio.Event) -> int:
    """Open `size` of them, each in a task and so in a Context of its own; returns the bytes that came with it."""
    go.clear()
    tasks = [asyncio.create_task(_hold(make, go)) for _ in range(size)]
    before = tracemalloc.get_traced_memory()[0]
    await asyncio.sleep(0)
    grown = tracemalloc.get_traced_memory()[0] - before
    go.set()
    await asyncio.gather(*tasks)
    return grown


async def _hold(make: Callable[[float], AbstractAsyncContextManager[Any]], go: asyncio.Event) -> None:
    async with make(60):
        await go.wait()

"""What an open timeout weighs."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

CROWD = 5_000


def bytes_per_timeout(make: Callable[[float], AbstractAsyncContextManager[Any]]) -> float:
    """Bytes that one open timeout adds, everything counted that is allocated for it: its timer, its place in the
    context. Each is opened in a Context of its own, as by a task of its own."""
    with asyncio.Runner() as runner:
        return runner.run(_measure(make))


async def _measure(make: Callable[[float], AbstractAsyncContextManager[Any]]) -> float:
    opened = [make(60 + i / 1000) for i in range(3)]  # what is made once is made now
    await asyncio.gather(*[_enter(each) for each in opened])
    gc.collect()
    tracemalloc.start()
    kept: list[object] = [None] * CROWD
    go = asyncio.Event()
    before = tracemalloc.get_traced_memory()[0]
    tasks = [asyncio.create_task(_hold(make, kept, i, go)) for i in range(CROWD)]
    await asyncio.sleep(0)
    with_them = tracemalloc.get_traced_memory()[0] - before
    go.set()
    await asyncio.gather(*tasks)
    del tasks
    gc.collect()
    go.clear()
    before = tracemalloc.get_traced_memory()[0]
    tasks = [asyncio.create_task(_hold(None, kept, i, go)) for i in range(CROWD)]
    await asyncio.sleep(0)
    without = tracemalloc.get_traced_memory()[0] - before
    go.set()
    await asyncio.gather(*tasks)
    tracemalloc.stop()
    return (with_them - without) / CROWD


async def _enter(timeout: AbstractAsyncContextManager[Any]) -> None:
    async with timeout:
        await asyncio.sleep(0)


async def _hold(
    make: Callable[[float], AbstractAsyncContextManager[Any]] | None, kept: list[object], i: int, go: asyncio.Event
) -> None:
    if make is None:
        await go.wait()
        return
    async with make(60):
        await go.wait()

"""Servers for blocking clients: in a loop and a thread of their own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import TypeVar

T = TypeVar("T")


@contextmanager
def in_thread(serving: AbstractAsyncContextManager[T]) -> Iterator[T]:
    """Enter `serving` in a loop of another thread; gives what that gives."""
    loop, ready, stop = asyncio.new_event_loop(), threading.Event(), asyncio.Event()
    given: list[T] = []

    async def serve() -> None:
        async with serving as made:
            given.append(made)
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    ready.wait()
    try:
        yield given[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()

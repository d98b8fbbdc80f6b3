"""The stack's end, in or around timeouts: RecursionError caught at the top, and what is left of it."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from .libraries import Library
from .loops import SpinsError, VirtualLoop, pause, running
from .trial import active

Way = Callable[[Library, "Deeper"], Coroutine[Any, Any, object]]
Deeper = Callable[[], Coroutine[Any, Any, object]]

ROOM = 150
"""Frames left to a recursion: enough for many timeouts, one in another."""


async def with_block(lib: Library, deeper: Deeper) -> None:
    async with lib.timeout(5):
        await deeper()


async def with_reserve(lib: Library, deeper: Deeper) -> None:
    async with lib.timeout(None, reserve=0.001):
        await deeper()


async def waiting(lib: Library, deeper: Deeper) -> None:
    await lib.wait_for(deeper(), 5)


async def decorated(lib: Library, deeper: Deeper) -> None:
    await lib.with_timeout(5, deeper)()


async def moved(lib: Library, deeper: Deeper) -> None:
    async with lib.timeout(5) as timeout:
        timeout.reschedule(asyncio.get_running_loop().time() + 6)
        await deeper()


WAYS: dict[str, Way] = {way.__name__: way for way in (with_block, with_reserve, waiting, decorated, moved)}


def after_exhaustion(lib: Library, way: Way, offset: int) -> list[str]:
    """What is not as it should be after a stack is exhausted by `way`, begun `offset` frames deeper than others."""
    left: list[str] = []
    before = active()
    gc.disable()
    loop = VirtualLoop()
    loop.set_exception_handler(lambda loop, context: left.append(f"the loop is told of {context.get('exception')!r}"))
    try:
        loop.run_until_complete(_main(lib, way, offset, left))
    except SpinsError:
        left.append("the loop spins")
    finally:
        loop.close()
        gc.enable()
    if active() != before:
        left.append("active is off")
    return left


async def _main(lib: Library, way: Way, offset: int, left: list[str]) -> None:
    async with lib.timeout(5):  # so that the limit is the usual one
        pass
    await asyncio.create_task(_exhausted(lib, way, offset, left))
    turns = running().turns
    await pause(20)
    if running().turns - turns > 5:
        left.append("the loop does not sleep")
    started = running().time()
    try:
        async with lib.timeout(5):
            await pause(20)
        left.append("a later timeout never fires")
    except TimeoutError:
        if running().time() - started != 5.0:
            left.append("a later timeout fires late")


async def _exhausted(lib: Library, way: Way, offset: int, left: list[str]) -> None:
    task = asyncio.current_task()
    assert task is not None

    async def deeper() -> None:
        await way(lib, deeper)

    async def padded(frames: int) -> None:
        await (padded(frames - 1) if frames else way(lib, deeper))

    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(_depth() + ROOM)
    try:
        await padded(offset)
        left.append("the stack has no end")
    except RecursionError:
        pass
    except BaseException as exc:  # the one that is to be seen is the other
        left.append(f"it ends with {exc!r}")
    finally:
        sys.setrecursionlimit(limit)
    if task.cancelling():
        left.append("cancelling() is not 0")
    try:
        await pause(60)
    except asyncio.CancelledError:
        left.append("a stray cancellation")


def _depth() -> int:
    frame, depth = sys._getframe(), 0
    while (around := frame.f_back) is not None:
        frame, depth = around, depth + 1
    return depth

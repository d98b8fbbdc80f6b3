"""The life of a timeout in short scenes, each of which ends as if nothing had happened where nothing strikes it.

Delays are in units of the loop (`loops`). A scene says by an AssertionError what it must not see.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any

from .libraries import Library
from .loops import pause, running

Scene = Callable[[Library], Coroutine[Any, Any, object]]

FOR_EVER = 60.0
"""Units that nothing here lasts: longer than any timeout that is to fire, shorter than those that are not."""


async def completing(lib: Library) -> None:
    async with lib.timeout(5):
        await pause(0)


async def failing(lib: Library) -> None:
    with suppress(ValueError):
        async with lib.timeout(5):
            await pause(0)
            raise ValueError


async def expiring(lib: Library) -> None:
    with suppress(TimeoutError):
        async with lib.timeout(1):
            await pause(FOR_EVER)
            raise AssertionError("a timeout never fires")


async def due(lib: Library) -> None:
    with suppress(TimeoutError):
        async with lib.timeout(0):
            await pause(FOR_EVER)
            raise AssertionError("a timeout never fires")


async def inherited(lib: Library) -> None:
    with suppress(TimeoutError):
        async with lib.timeout(1), lib.timeout(2), lib.timeout(5):
            await pause(FOR_EVER)
            raise AssertionError("a timeout never fires")


async def replaced(lib: Library) -> None:
    with suppress(ValueError):
        async with lib.timeout(1):
            try:
                await pause(FOR_EVER)
            except asyncio.CancelledError:
                raise ValueError from None
            raise AssertionError("a timeout never fires")


async def suppressed(lib: Library) -> None:
    with suppress(TimeoutError):
        async with lib.timeout(1):
            with suppress(asyncio.CancelledError):
                await pause(FOR_EVER)
                raise AssertionError("a timeout never fires")


async def cancelled(lib: Library) -> None:
    task = asyncio.current_task()
    assert task is not None
    asked = False

    def ask() -> None:
        nonlocal asked
        asked = True
        task.cancel()

    timer = asyncio.get_running_loop().call_later(running().unit, ask)
    try:
        with suppress(asyncio.CancelledError):
            async with lib.timeout(5):
                await pause(FOR_EVER)
    finally:
        timer.cancel()
        if asked:
            task.uncancel()


async def nested(lib: Library) -> None:
    async with lib.timeout(5), lib.timeout(4), lib.timeout(6):
        await pause(0)


async def unbounded(lib: Library) -> None:
    async with lib.timeout(None), lib.timeout(None):
        await pause(0)


async def reserved(lib: Library) -> None:
    async with lib.timeout(5) as around, lib.timeout(None, reserve=1):
        around.reschedule(asyncio.get_running_loop().time() + 6 * running().unit)
        await pause(0)


async def bounded(lib: Library) -> None:
    with lib.budget(5):
        async with lib.timeout(6):
            with lib.budget(4), lib.detach():
                async with lib.timeout(3):
                    await pause(0)


async def _moved(lib: Library, *delays: float | None) -> None:
    now = asyncio.get_running_loop().time
    async with lib.timeout(5) as timeout:
        for delay in delays:
            timeout.reschedule(None if delay is None else now() + delay * running().unit)
        await pause(0)


async def earlier(lib: Library) -> None:
    await _moved(lib, 4, 3)


async def later(lib: Library) -> None:
    await _moved(lib, 6, 7)


async def lifted(lib: Library) -> None:
    await _moved(lib, None, None, 5)


async def moved_to_the_past(lib: Library) -> None:
    with suppress(TimeoutError):
        async with lib.timeout(5) as timeout:
            timeout.reschedule(asyncio.get_running_loop().time() - running().unit)
            await pause(FOR_EVER)
            raise AssertionError("a timeout never fires")


async def moved_and_expiring(lib: Library) -> None:
    with suppress(TimeoutError):
        async with lib.timeout(5) as timeout, lib.timeout(8):
            timeout.reschedule(asyncio.get_running_loop().time() + running().unit)
            await pause(FOR_EVER)
            raise AssertionError("a timeout never fires")


async def child(lib: Library) -> None:
    async def work() -> None:
        async with lib.timeout(5), lib.timeout(6):
            await pause(0)

    async with lib.timeout(5):
        await _both(work(), work())


async def moved_parent(lib: Library) -> None:
    async def work() -> None:
        async with lib.timeout(6):
            await pause(2)

    async with lib.timeout(5) as parent:
        task = asyncio.create_task(work())
        await pause(1)
        parent.reschedule(asyncio.get_running_loop().time() + 4 * running().unit)
        await task


async def parent_left_first(lib: Library) -> None:
    async def work() -> None:
        async with lib.timeout(6):
            await pause(1)

    async with lib.timeout(7):
        async with lib.timeout(5):
            tasks = [asyncio.create_task(work()) for _ in range(2)]
            await pause(0)
        await _both(*tasks)


async def ended_from_above(lib: Library) -> None:
    """A timeout that fired is left, and a child that nobody supervises is ended with it. (asyncio's ends by itself.)"""

    async def work() -> None:
        with suppress(TimeoutError):
            async with lib.timeout(8):
                await pause(FOR_EVER)
                raise AssertionError("a timeout never fires")

    task = None
    try:
        with suppress(TimeoutError):
            async with lib.timeout(1):
                task = asyncio.create_task(work())
                await pause(FOR_EVER)
                raise AssertionError("a timeout never fires")
    finally:
        if task is not None:
            await task


async def child_expiring(lib: Library) -> None:
    async def work() -> None:
        async with lib.timeout(6):
            await pause(FOR_EVER)

    with suppress(TimeoutError):
        async with lib.timeout(1):
            await asyncio.create_task(work())


async def crowd(lib: Library) -> None:
    """Timeouts of three tasks expire in one tick."""

    async def work() -> None:
        with suppress(TimeoutError):
            async with lib.timeout_at(at):
                await pause(FOR_EVER)
                raise AssertionError("a timeout never fires")

    at = asyncio.get_running_loop().time() + running().unit
    await _both(work(), work(), work())


async def waiting(lib: Library) -> None:
    await lib.wait_for(pause(0), 5)
    await lib.wait_for(pause(0), None)


async def waiting_in_vain(lib: Library) -> None:
    for delay in (0, 1):
        with suppress(TimeoutError):
            await lib.wait_for(pause(FOR_EVER), delay)


async def waiting_for_a_task(lib: Library) -> None:
    with suppress(TimeoutError):
        await lib.wait_for(asyncio.create_task(pause(FOR_EVER)), 1)


async def decorated(lib: Library) -> None:
    async def work() -> None:
        await pause(0)

    await lib.with_timeout(5, work)()


async def decorated_expiring(lib: Library) -> None:
    async def work() -> None:
        await pause(FOR_EVER)

    with suppress(TimeoutError):
        await lib.with_timeout(1, work)()


async def _both(*programs: Coroutine[Any, Any, None] | Awaitable[None]) -> None:
    """Wait for all, then raise what the first that failed raised, itself."""
    tasks = [asyncio.ensure_future(program) for program in programs]
    try:
        await asyncio.wait(tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in tasks:
        await task


SCENES: dict[str, Scene] = {
    scene.__name__: scene
    for scene in (
        completing,
        failing,
        expiring,
        due,
        inherited,
        replaced,
        suppressed,
        cancelled,
        nested,
        unbounded,
        reserved,
        bounded,
        earlier,
        later,
        lifted,
        moved_to_the_past,
        moved_and_expiring,
        child,
        moved_parent,
        parent_left_first,
        ended_from_above,
        child_expiring,
        crowd,
        waiting,
        waiting_in_vain,
        waiting_for_a_task,
        decorated,
        decorated_expiring,
    )
}

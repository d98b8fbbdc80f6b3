"""Scenes for what is told of timeouts: spans, logs, an observer of a user's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from opentelemetry import trace

from tests.faults.loops import VirtualLoop
from tests.faults.scenes import FOR_EVER
from tracedtimeout import timeout, wait_for, with_timeout

from .stage import Late, Stage
from .trial import Room


def inside() -> str:
    """The name of the span that is current: what a program's own spans would hang beneath."""
    return str(getattr(trace.get_current_span(), "name", "none"))


async def completing(stage: Stage) -> object:
    async with timeout(5, name="outer"), timeout(6, name="inner"):
        await asyncio.sleep(0)
    return inside()


async def expiring(stage: Stage) -> object:
    try:
        async with timeout(1, name="expiring"):
            with trace.get_tracer("program").start_as_current_span("work"):
                await asyncio.sleep(FOR_EVER)
    except TimeoutError as exc:
        return str(exc), inside()
    return "it never fires"


async def inherited(stage: Stage) -> object:
    try:
        async with timeout(1, name="outer"), timeout(2, name="inner") as moved:
            moved.reschedule(asyncio.get_running_loop().time() + 3)
            await asyncio.sleep(FOR_EVER)
    except TimeoutError:
        return inside()
    return "it never fires"


async def failing(stage: Stage) -> object:
    try:
        async with timeout(5, name="failing"):
            await asyncio.sleep(0)
            raise ValueError("of the body")
    except ValueError as exc:
        return str(exc), inside()


async def replaced(stage: Stage) -> object:
    try:
        async with timeout(1, name="replaced"):
            try:
                await asyncio.sleep(FOR_EVER)
            except asyncio.CancelledError:
                raise ValueError("of the body") from None
    except ValueError as exc:
        return str(exc), inside()
    return "it never fires"


async def running_on(stage: Stage) -> object:
    """One that swallows its cancellation, and one that blocks the loop past its deadline."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    with suppress(TimeoutError):
        async with timeout(1, name="suppressed"):
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(FOR_EVER)
    async with timeout(1, name="late"):
        loop.block(2)
    return inside()


async def rejected(stage: Stage) -> object:
    try:
        async with timeout(1, name="around"), timeout(5, name="rejected", at_least=3):
            return "it is not rejected"
    except TimeoutError as exc:
        return str(exc), inside()


async def cancelled(stage: Stage) -> object:
    async def work() -> None:
        async with timeout(5, name="cancelled"):
            await asyncio.sleep(FOR_EVER)

    task = asyncio.create_task(work())
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled() and (error := task.exception()):
        raise error
    return task.cancelled(), inside()


async def children(stage: Stage) -> object:
    """Two of them, beneath the span of their parent."""

    async def work(delay: float) -> None:
        async with timeout(6, name="child"):
            await asyncio.sleep(delay)

    tasks = []
    try:
        async with timeout(2, name="parent"):
            tasks += [asyncio.create_task(work(1)), asyncio.create_task(work(FOR_EVER))]
            await asyncio.gather(*tasks)
    except TimeoutError:
        return inside()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    return "it never fires"


async def generated(stage: Stage) -> object:
    """A generator that another task closes: the span was attached in another Context."""

    async def numbers() -> AsyncIterator[int]:
        async with timeout(5, name="generated"):
            yield 1

    async def first() -> AsyncIterator[int]:
        generator = numbers()
        await anext(generator)
        return generator

    generator = await asyncio.create_task(first())
    await generator.aclose()  # type: ignore[attr-defined]  # a generator
    return inside()


async def called(stage: Stage) -> object:
    """By functions: `wait_for` and `with_timeout`."""

    @with_timeout(1)
    async def work() -> None:
        await asyncio.sleep(FOR_EVER)

    await wait_for(asyncio.sleep(1), 5, name="waiting")
    try:
        await work()
    except TimeoutError as exc:
        return str(exc).partition("waiting at")[0], inside()
    return "it never fires"


SCENES = (
    completing, expiring, inherited, failing, replaced, running_on, rejected, cancelled, children, generated, called,
)  # fmt: skip

FILES = ("spans/", "logs.py", "_exemplars.py", "_core/_observers.py")

LOUD = ("_observers.py",)
"""Who tells the observers: what strikes there, is of a signal's handler, and may come out."""

CORE = Room(("_core/",), SCENES)
OBSERVERS = Room(FILES, SCENES, quiet=True, loud=LOUD)
LATE = Room(FILES, SCENES, quiet=True, loud=LOUD, stage=Late)

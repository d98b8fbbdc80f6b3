"""The statements of programs: what a task does, and what it writes down of it."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
import types
from collections.abc import AsyncGenerator, Awaitable, Generator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Literal

from .programs import Body, Here, Trace, tree

# Statements of one task


@dataclass(frozen=True)
class Sleep:
    delay: float

    async def run(self, here: Here) -> None:
        await asyncio.sleep(self.delay)
        here.trace.note("slept", self.delay)


@dataclass(frozen=True)
class Block:
    """Keep the loop from running."""

    seconds: float

    async def run(self, here: Here) -> None:
        here.trace.loop.block(self.seconds)


class Cancelled(asyncio.CancelledError):
    """A cancellation with a class of its own, as some libraries raise."""


@dataclass(frozen=True)
class Raise:
    what: Literal["ValueError", "TimeoutError", "CancelledError", "Cancelled"]

    async def run(self, here: Here) -> None:
        raise _RAISED[self.what](f"raised at {here.trace.loop.now}")


_RAISED: dict[str, type[BaseException]] = {
    "ValueError": ValueError,
    "TimeoutError": TimeoutError,
    "CancelledError": asyncio.CancelledError,
    "Cancelled": Cancelled,
}


@dataclass(frozen=True)
class Within:
    delay: float | None
    body: Body
    at: bool = False

    async def run(self, here: Here) -> None:
        trace, library = here.trace, here.trace.library
        name = trace.name()
        if self.at:
            when = None if self.delay is None else trace.loop.now + self.delay
            timeout = library.timeout_at(when, name)
        else:
            timeout = library.timeout(self.delay, name)
        trace.timeouts.append(timeout)
        try:
            async with timeout:
                trace.note("enters", name, repr(timeout))
                await replace(here, timeouts=(timeout, *here.timeouts)).body(self.body)
                trace.note("completes", name)
        finally:
            trace.note("leaves", name, repr(timeout), tree(sys.exception(), library))


@dataclass(frozen=True)
class WaitFor:
    delay: float | None
    body: Body
    task: bool = False
    """Whether it waits for a task, already running; else for a coroutine."""

    async def run(self, here: Here) -> None:
        library = here.trace.library
        name = here.trace.name()
        awaited: Awaitable[Any] = here.start(self.body) if self.task else here.body(self.body)
        try:
            await library.wait_for(awaited, self.delay, name)
        finally:
            here.trace.note("waited", name, tree(sys.exception(), library))


@dataclass(frozen=True)
class Try:
    body: Body
    catch: Literal["CancelledError", "TimeoutError", "Exception", "BaseException"]
    handler: Body
    then: Literal["swallow", "raise", "replace"]
    uncancel: bool = False

    async def run(self, here: Here) -> None:
        try:
            await here.body(self.body)
        except _CAUGHT[self.catch] as exc:
            here.trace.note("catches", tree(exc, here.trace.library))
            await here.body(self.handler)
            if self.uncancel:
                here.tasks[0].uncancel()
            if self.then == "raise":
                raise
            if self.then == "replace":
                raise ValueError("in its place")  # noqa: B904  # the context that it gets is the subject


_CAUGHT: dict[str, type[BaseException]] = {
    "CancelledError": asyncio.CancelledError,
    "TimeoutError": TimeoutError,
    "Exception": Exception,
    "BaseException": BaseException,
}


@dataclass(frozen=True)
class Finally:
    body: Body
    cleanup: Body

    async def run(self, here: Here) -> None:
        try:
            await here.body(self.body)
        finally:
            await here.body(self.cleanup)


@dataclass(frozen=True)
class Reschedule:
    level: int
    delay: float | None

    async def run(self, here: Here) -> None:
        if here.timeouts:
            timeout = here.timeouts[self.level % len(here.timeouts)]
            timeout.reschedule(None if self.delay is None else here.trace.loop.now + self.delay)
            here.trace.note("reschedules", repr(timeout))


@dataclass(frozen=True)
class Cancel:
    level: int
    delay: float | None
    """None cancels from within the task's own step, else a timer does."""

    async def run(self, here: Here) -> None:
        task = here.tasks[self.level % len(here.tasks)]
        if self.delay is None:
            task.cancel("by hand")
        else:
            here.trace.actors += 1
            here.trace.loop.call_later(self.delay, task.cancel, "from outside")


# Statements of work that is broken off


@dataclass(frozen=True)
class Iterate:
    """Iterate over an async generator that yields within a timeout, and break off."""

    delay: float | None
    first: Body
    """What the generator does before it yields."""
    body: Body
    """What is done with what it yielded."""
    rest: Body
    """What the generator does when it is asked for more."""
    end: Literal["finish", "close", "drop"]

    async def run(self, here: Here) -> None:
        generator = self._generate(here)
        try:
            async for _ in generator:
                await here.body(self.body)
                if self.end != "finish":
                    break
        finally:
            if self.end == "close":
                await generator.aclose()
            elif self.end == "drop":
                here.trace.actors += 1  # the loop closes it, in a task of its own
            del generator
            here.trace.note("iterated")

    async def _generate(self, here: Here) -> AsyncGenerator[None, None]:
        trace = here.trace
        name = trace.name()
        timeout = trace.library.timeout(self.delay, name)
        trace.timeouts.append(timeout)
        try:
            async with timeout:
                await here.body(self.first)
                yield
                await here.body(self.rest)
        finally:
            trace.note("is over", name, repr(timeout), tree(sys.exception(), trace.library))


@dataclass(frozen=True)
class Step:
    """Drive a coroutine one step by hand, into timeouts, and drop it later: it is closed then and there."""

    delays: tuple[float | None, ...]
    body: Body
    alone: bool
    """Whether in a context of its own."""

    async def run(self, here: Here) -> None:
        driven = self._enter(here, self.delays)
        try:
            (contextvars.copy_context().run(driven.send, None) if self.alone else driven.send(None))
            await here.body(self.body)
        finally:
            del driven
            here.trace.note("dropped")

    async def _enter(self, here: Here, delays: tuple[float | None, ...]) -> None:
        trace = here.trace
        if not delays:
            await _suspended()
            return
        name = trace.name()
        timeout = trace.library.timeout(delays[0], name)
        trace.timeouts.append(timeout)
        try:
            async with timeout:
                await self._enter(here, delays[1:])
        finally:
            trace.note("is over", name, repr(timeout), tree(sys.exception(), trace.library))


@types.coroutine
def _suspended() -> Generator[None, None, None]:
    yield


@dataclass(frozen=True)
class Forget:
    """Start a task that waits within a timeout, and no other, for what never comes. Nobody holds it: it is the
    collector's to end."""

    delay: float | None

    async def run(self, here: Here) -> None:
        here.trace.actors += 1
        with here.trace.library.detach():
            here.trace.loop.create_task(self._forgotten(here.trace))
        await asyncio.sleep(0)

    async def _forgotten(self, trace: Trace) -> None:
        name = trace.name()
        with suppress(TimeoutError):
            try:
                async with trace.library.timeout(self.delay, name):
                    await trace.loop.create_future()
            finally:
                if not trace.over:
                    trace.note("is over", name, tree(sys.exception(), trace.library))


@dataclass(frozen=True)
class Collect:
    async def run(self, here: Here) -> None:
        gc.collect()
        here.trace.note("collects")


# Statements with tasks that their creator awaits


@dataclass(frozen=True)
class Group:
    children: tuple[Body, ...]
    body: Body = ()

    async def run(self, here: Here) -> None:
        async with asyncio.TaskGroup() as group:
            for child in self.children:
                here.start(child, group.create_task)
            await here.body(self.body)


@dataclass(frozen=True)
class Gather:
    children: tuple[Body, ...]
    return_exceptions: bool = False
    to_the_end: bool = True
    """Whether all of the children are waited for when one has failed."""

    async def run(self, here: Here) -> None:
        tasks = [here.start(child) for child in self.children]
        try:
            await asyncio.gather(*tasks, return_exceptions=self.return_exceptions)
        finally:
            if self.to_the_end:
                await _ended(tasks)


async def _ended(tasks: list[asyncio.Task[None]]) -> None:
    cancelled: BaseException | None = None
    while pending := [task for task in tasks if not task.done()]:
        try:
            await asyncio.wait(pending)
        except asyncio.CancelledError as exc:
            cancelled = exc
    if cancelled is not None:
        raise cancelled


@dataclass(frozen=True)
class Await:
    child: Body

    async def run(self, here: Here) -> None:
        await here.start(self.child)


# Statements with tasks that nobody supervises


@dataclass(frozen=True)
class Spawn:
    child: Body

    async def run(self, here: Here) -> None:
        here.start(self.child)


@dataclass(frozen=True)
class Shield:
    child: Body

    async def run(self, here: Here) -> None:
        await asyncio.shield(here.start(self.child))


@dataclass(frozen=True)
class Wait:
    children: tuple[Body, ...]

    async def run(self, here: Here) -> None:
        await asyncio.wait([here.start(child) for child in self.children])


@dataclass(frozen=True)
class Detach:
    body: Body

    async def run(self, here: Here) -> None:
        with here.trace.library.detach():
            await here.body(self.body)


@dataclass(frozen=True)
class Bare:
    """A budget with no timer of its own."""

    seconds: float
    body: Body

    async def run(self, here: Here) -> None:
        with here.trace.library.budget(self.seconds):
            await here.body(self.body)

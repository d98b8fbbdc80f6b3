"""Work that nobody holds any more: it ends where the garbage collector comes by, in any thread, in any function."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from .libraries import Library
from .loops import pause
from .scenes import FOR_EVER

FAR = 100_000
"""Units of time until a deadline that is not to come, though a unit is a millisecond and the machine is slow: work that
nobody has collected yet would end the task that began it."""


async def droppable(library: Library) -> list[object]:
    """Work of each kind that ends in the hands of the collector once this list is let go of."""

    async def opened() -> None:
        async with library.timeout(FAR), library.timeout(2 * FAR):
            await pause(FOR_EVER)

    async def fired() -> None:
        loop = asyncio.get_running_loop()
        async with library.timeout(1), library.timeout(2):
            try:
                await pause(FOR_EVER)
            except asyncio.CancelledError:  # of the one, and then of the other
                with suppress(asyncio.CancelledError):
                    await loop.create_future()
                await loop.create_future()  # that nobody holds

    async def generated() -> AsyncIterator[int]:
        async with library.timeout(FAR):
            yield 1

    work, generator = opened(), generated()
    rings = [_Ring(work).close(), _Ring(generator).close(), _Ring(asyncio.create_task(fired())).close()]
    await _Step(lambda: work.send(None))
    await contextvars.copy_context().run(asyncio.create_task, _first(generator))
    await pause(3)
    return [rings]


async def _first(generator: AsyncIterator[int]) -> None:
    await anext(generator)


@dataclass
class _Ring:
    """Work that only the garbage collector can end: it holds itself."""

    work: object
    me: _Ring | None = None

    def close(self) -> _Ring:
        self.me = self
        return self


class _Step:
    """One step of a coroutine, in the task that awaits this and in a context of the coroutine's own."""

    def __init__(self, step: Callable[[], object]) -> None:
        self._step = step

    def __await__(self) -> Generator[Any, Any, None]:
        contextvars.copy_context().run(self._step)
        yield from ()

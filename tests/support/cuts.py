"""Work that is cut by its timeout at an await of ours to choose."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Generator
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any

from tracedtimeout import DeadlineExceeded, timeout


@dataclass(frozen=True, slots=True)
class Counted:
    """A coroutine that calls `reached` as it waits for the so manieth time."""

    work: Coroutine[Any, Any, None]
    suspensions: int
    reached: Callable[[], None]

    def __await__(self) -> Generator[Any, Any, None]:
        waits = self.work.__await__()
        step: Callable[[], Any] = partial(next, waits)
        for number in count(1):
            try:
                waited_for = step()
            except StopIteration:
                return
            if number == self.suspensions:
                self.reached()
            try:
                yield waited_for
            except BaseException as exc:
                step = partial(waits.throw, exc)
            else:
                step = partial(next, waits)


async def cut(work: Callable[[], Coroutine[Any, Any, None]], suspensions: int) -> bool:
    """Whether the work was cut, at its so manieth await: it had not ended before."""
    loop = asyncio.get_running_loop()
    try:
        async with timeout(None, name="cut") as deadline:
            await Counted(work(), suspensions, lambda: deadline.reschedule(loop.time()))
    except DeadlineExceeded:
        return True
    return False


async def cuts(
    work: Callable[[int], Coroutine[Any, Any, None]], *, times: int, most: int, side_by_side: int = 8, seed: int = 1
) -> Counter[bool]:
    """How often `work` was cut, each time at a random one of its first `most` awaits; it is handed its number."""
    chance = random.Random(seed)
    numbers = iter(range(times))
    told: Counter[bool] = Counter()

    async def worker() -> None:
        for number in numbers:
            told[await cut(lambda number=number: work(number), chance.randint(1, most))] += 1  # type: ignore[misc]

    async with asyncio.TaskGroup() as group:
        for _ in range(side_by_side):
            group.create_task(worker())
    return told


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for it to come true, for ten seconds at most."""
    async with asyncio.timeout(10.0):
        while not await condition():
            await asyncio.sleep(0.01)

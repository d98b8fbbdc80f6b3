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

from tracedtimeout import DeadlineExceeded, Timeout, timeout


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


async def cut(work: Callable[[], Coroutine[Any, Any, None]], suspensions: int, *, within: float | None = None) -> bool:
    """Whether the work was cut: at its so manieth await, or else after so many seconds."""
    try:
        async with timeout(within, name="cut") as deadline:
            await Counted(work(), suspensions, lambda: _cut_now(deadline))
    except DeadlineExceeded:
        return True
    return False


def _cut_now(deadline: Timeout) -> None:
    if not deadline.expired():
        deadline.reschedule(asyncio.get_running_loop().time())


async def cuts(
    work: Callable[[int], Coroutine[Any, Any, None]],
    *,
    most: int,
    times: int = 1000,
    at_each: bool = False,
    side_by_side: int = 8,
    within: float | None = None,
) -> Counter[int]:
    """Do the work again and again, side by side, until it was cut so many times, each at a random await.

    The work is handed a number of its own.

    Args:
        most: one of how many first awaits is chosen.
        at_each: go on until each of those was chosen for a cut; some are only reached on a new connection.
        within: seconds after which it is cut at the latest.

    Returns:
        how often it was cut at the first, second, ... await; at 0, how often it ended before.
    """
    chance = random.Random(1)
    numbers = count()
    told: Counter[int] = Counter()

    def is_enough() -> bool:
        assert told.total() < 20 * times, told
        return told.total() - told[0] >= times and (not at_each or all(told[each] for each in range(1, most + 1)))

    async def worker() -> None:
        while not is_enough():
            suspensions = chance.randint(1, most)
            was_cut = await cut(partial(work, next(numbers)), suspensions, within=within)
            told[suspensions if was_cut else 0] += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(side_by_side):
            group.create_task(worker())
    return told


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for it to come true, for ten seconds at most."""
    async with asyncio.timeout(10.0):
        while not await condition():
            await asyncio.sleep(0.01)

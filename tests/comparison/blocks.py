"""Cases of blocks with a timeout: each answers in a few words what a library's block does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import tracedtimeout
from tracedtimeout import Outcome, View

from .libraries import Guard, Library

Case = Callable[[Library, Guard], Awaitable[str]]

CASES: dict[str, Case] = {}
"""Each case by what happens in it."""


def case(happens: str) -> Callable[[Case], Case]:
    """Enter a case into the table."""

    def enter(function: Case) -> Case:
        CASES[happens] = function
        return function

    return enter


@case("it is entered with 0 s, and its body never awaits")
async def _entered_spent(library: Library, guard: Guard) -> str:
    try:
        async with guard(0.0):
            pass
    except Exception as error:  # whatever a library raises
        return type(error).__name__
    try:
        await asyncio.sleep(0)
    except asyncio.CancelledError:
        return "the body completes, and the next `await` behind it is cancelled"
    return "the body completes"


@case("its body swallows the cancellation")
async def _swallowed(library: Library, guard: Guard) -> str:
    told = Heard()
    try:
        with told:
            async with guard(1.0):
                with suppress(asyncio.CancelledError):
                    await asyncio.sleep(5)
                await asyncio.sleep(1)
    except Exception as error:  # as above
        return f"cancelled again at the next await: {type(error).__name__}"
    if told.outcomes:
        return f"the body runs on; counted and logged as `{told.outcomes[0]}`"
    return "the body runs on, unsaid"


@case("its body raises a `TimeoutError` of its own, in time")
async def _foreign(library: Library, guard: Guard) -> str:
    told = Heard()
    mine = TimeoutError("the driver's own")
    try:
        with told:
            async with guard(1.0) as block:
                raise mine
    except TimeoutError as error:
        passes = "passes" if error is mine else "is replaced"
    if told.outcomes:
        return f"{passes}; counted as `{told.outcomes[0]}`"
    return f"{passes}; {_asked(block)}"


def _asked(block: object) -> str:
    """What a block answers to the question if it was its deadline."""
    for name in ("expired", "cancelled_caught"):
        asked = getattr(block, name, None)
        if asked is not None:
            return f"`{name}` is {asked() if callable(asked) else asked}"
    return "nothing to ask whose it was"


@case("its task is cancelled just before it fires / just after, in one turn of the loop: exception, `cancelling()`")
async def _raced(library: Library, guard: Guard) -> str:
    return " / ".join([await _race(guard, cancel_first=first) for first in (True, False)])


async def _race(guard: Guard, *, cancel_first: bool) -> str:
    """The exception, and the cancellations that are left, where both come at once."""
    loop = asyncio.get_running_loop()
    left = 0

    async def body() -> None:
        nonlocal left
        if cancel_first:
            loop.call_at(1.0 + began, task.cancel)
        try:
            async with guard(1.0):
                if not cancel_first:
                    loop.call_at(1.0 + began, task.cancel)
                await asyncio.sleep(5)
        finally:
            left = task.cancelling()

    began = loop.time()
    task = asyncio.ensure_future(body())
    await asyncio.wait([task])
    raised = "CancelledError" if task.cancelled() else type(task.exception()).__name__
    return f"{raised}, {left}"


@case("it expired, and the task goes on: `cancelling()` is")
async def _goes_on(library: Library, guard: Guard) -> str:
    task = asyncio.current_task()
    assert task is not None
    try:
        async with guard(1.0):
            await asyncio.sleep(5)
    except Exception:  # as above
        return str(task.cancelling())
    return "not expired"


@case("it expired: the message of its exception is")
async def _message(library: Library, guard: Guard) -> str:
    try:
        async with guard(1.0):
            await asyncio.sleep(5)
    except Exception as error:  # as above
        return str(error).partition(":")[0] or "empty"
    return "not expired"


@case("one of 3 s stands in one of 1 s, and asks how long it has")
async def _left(library: Library, guard: Guard) -> str:
    async with guard(1.0), guard(3.0) as block:
        left = library.seconds_left(block)
    return "nothing to ask" if left is None else f"{left:.0f} s"


@case("a child task asks how long it has, in one of 1 s")
async def _left_in_child(library: Library, guard: Guard) -> str:
    async def child() -> float | None:
        async with guard(3.0) as block:
            return library.seconds_left(block)

    async with guard(1.0):
        left = await asyncio.create_task(child())
    return "nothing to ask" if left is None else f"{left:.0f} s"


@case("three nested ones of 1, 2 and 3 s expire: expiries counted")
async def _counted(library: Library, guard: Guard) -> str:
    told = Heard()
    try:
        with told:
            async with guard(1.0), guard(2.0), guard(3.0):
                await asyncio.sleep(5)
    except Exception:  # as above
        return str(told.outcomes.count(Outcome.EXPIRED)) if told.outcomes else "does not count"
    return "not expired"


class Heard:
    """The outcomes of our timeouts in a block; those of others tell nobody."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []

    def __enter__(self) -> None:
        self._undo = tracedtimeout.install(registry=None, spans="off", observers=[lambda _: self._closed])

    def __exit__(self, *_: object) -> None:
        self._undo()

    def _closed(self, timeout: View) -> None:
        assert timeout.outcome is not None
        self.outcomes.append(timeout.outcome)

"""The sharp corners: each the same program on asyncio as of Python 3.13 and on us, in virtual time, with one answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import pytest

import tracedtimeout
from tests.support import VIRTUAL, cpython, figures, missing, outcome_of, running_loop, running_task
from tracedtimeout._core import _observers

pytestmark = pytest.mark.loops(*VIRTUAL)


@pytest.fixture(params=["asyncio", "tracedtimeout"])
def library(request: pytest.FixtureRequest) -> Any:
    """Both libraries, one after the other."""
    if request.param == "tracedtimeout":
        return tracedtimeout
    found = cpython.newest_asyncio()
    if found is None:
        missing(f"CPython {cpython.NEWEST}", f"pyenv install {cpython.NEWEST}")
    return found


async def cancelled_before(times: int) -> None:
    """Have the running task cancelled and carry on, so that its count is not 0."""
    for _ in range(times):
        running_task().cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(0)


async def reraise() -> None:
    await asyncio.sleep(9)


async def swallow() -> None:
    with suppress(asyncio.CancelledError):
        await asyncio.sleep(9)


async def replace() -> None:
    try:
        await asyncio.sleep(9)
    except asyncio.CancelledError:
        raise KeyError from None


async def replace_twice() -> None:
    try:
        await replace()
    except KeyError:
        raise IndexError  # noqa: B904  # "during" is the point


async def replace_in_a_group() -> None:
    try:
        await asyncio.sleep(9)
    except asyncio.CancelledError:
        raise ExceptionGroup("two", [KeyError(), IndexError()])  # noqa: B904  # "during" is the point


async def raise_a_subclass() -> None:
    class MyCancelledError(asyncio.CancelledError):
        pass

    try:
        await asyncio.sleep(9)
    except asyncio.CancelledError:
        raise MyCancelledError  # noqa: B904  # as above


@pytest.mark.parametrize("before", [0, 1, 2])
@pytest.mark.parametrize(
    ("body", "gives"),
    [
        (reraise, "TimeoutError from CancelledError"),
        (swallow, None),
        (replace, "KeyError during TimeoutError from CancelledError"),
        (replace_twice, "IndexError during KeyError during TimeoutError from CancelledError"),
        (raise_a_subclass, "TimeoutError from MyCancelledError during CancelledError"),
        (replace_in_a_group, "ExceptionGroup[KeyError, IndexError] during TimeoutError from CancelledError"),
    ],
)
async def test_an_expiry_takes_back_its_one_cancellation(library: Any, body: Any, gives: object, before: int) -> None:
    """1. However the body ends after an expiry, the count is again what it was on entry, and decides on conversion."""

    async def program() -> None:
        await cancelled_before(before)
        async with library.timeout(1):
            await body()

    assert await outcome_of(program()) == (gives, before, 1.0)


@pytest.mark.parametrize("before", [0, 1])
async def test_a_cancellation_besides_the_expiry_stays(library: Any, before: int) -> None:
    """1. With another cancellation on top of its own, an expired timeout converts nothing."""

    async def program() -> None:
        await cancelled_before(before)
        async with library.timeout(1):
            try:
                await asyncio.sleep(9)
            finally:
                asyncio.get_running_loop().call_soon(running_task().cancel)
                await asyncio.sleep(9)

    assert await outcome_of(program()) == ("CancelledError", before + 1, 1.0)


async def test_a_running_task_is_never_cancelled_from_within(library: Any) -> None:
    """2. A deadline that passed already is a callback's business: the body runs on to its first suspension."""
    seen = []

    async def program() -> None:
        loop = asyncio.get_running_loop()
        async with library.timeout_at(loop.time() - 1) as past:
            seen.append((running_task().cancelling(), past.expired()))
        async with library.timeout(5) as moved:
            moved.reschedule(loop.time() - 1)
            seen.append((running_task().cancelling(), moved.expired()))
            try:
                await asyncio.sleep(0)
            finally:
                seen.append((running_task().cancelling(), moved.expired()))

    assert await outcome_of(program()) == ("TimeoutError from CancelledError", 0, 0.0)
    assert seen == [(0, False), (0, False), (1, True)]


@pytest.mark.parametrize("delay", [0, 0.0, -1, -1e9])
async def test_no_time_at_all_is_time_until_the_first_suspension(library: Any, delay: float) -> None:
    """3. With 0 seconds or less, a body that never awaits completes, and one that does expires there."""
    seen = []

    async def program() -> None:
        async with library.timeout(delay) as idle:
            seen.append("ran")
        seen.append(idle.expired())
        async with library.timeout(delay):
            await asyncio.sleep(0)
            pytest.fail("not cancelled")

    assert await outcome_of(program()) == ("TimeoutError from CancelledError", 0, 0.0)
    assert seen == ["ran", False]


@pytest.mark.parametrize("first", ["cancel", "expiry"])
async def test_a_cancellation_beats_an_expiry_of_the_same_instant(library: Any, first: str) -> None:
    """4. Cancelled from outside as it expires, in either order: CancelledError, and the count is 1."""

    async def program() -> None:
        loop = asyncio.get_running_loop()
        if first == "cancel":
            loop.call_at(loop.time() + 1, running_task().cancel)
        async with library.timeout(1):
            if first == "expiry":
                loop.call_at(loop.time() + 1, running_task().cancel)
            await asyncio.sleep(9)

    assert await outcome_of(program()) == ("CancelledError", 1, 1.0)


async def test_a_timeout_error_of_the_bodys_own_is_not_ours(library: Any) -> None:
    """5. A TimeoutError that the body raises leaves as the object it is, before an expiry and during one."""
    mine = [TimeoutError("before"), TimeoutError("during")]

    async def program() -> list[BaseException]:
        caught: list[BaseException] = []
        try:
            async with library.timeout(1):
                raise mine[0]
        except TimeoutError as exc:
            caught.append(exc)
        try:
            async with library.timeout(1):
                try:
                    await asyncio.sleep(9)
                finally:
                    raise mine[1]
        except TimeoutError as exc:
            caught.append(exc)
        return caught

    assert await outcome_of(program()) == (mine, 0, 1.0)


async def test_equal_deadlines_are_the_outer_ones(library: Any) -> None:
    """6. Of two nested timeouts with one deadline both expire, and the outer one raises."""
    seen: list[object] = []

    async def program() -> None:
        when = asyncio.get_running_loop().time() + 1
        async with library.timeout_at(when) as outer:
            try:
                async with library.timeout_at(when) as inner:
                    try:
                        await asyncio.sleep(9)
                    finally:
                        seen.append(running_task().cancelling())
            except BaseException as exc:
                seen.extend([type(exc), inner.expired(), outer.expired()])
                raise

    assert await outcome_of(program()) == ("TimeoutError from CancelledError", 0, 1.0)
    assert seen == [2, asyncio.CancelledError, True, True]


async def test_hung_clean_up_is_cut_at_the_nested_deadline(library: Any) -> None:
    """7. A body that hangs in clean-up after an outer expiry is cancelled again at the inner, later deadline."""

    async def program() -> None:
        async with library.timeout(0.05):
            async with library.timeout(0.15):
                try:
                    await asyncio.sleep(9)
                finally:
                    await asyncio.sleep(9)

    gives = "TimeoutError from CancelledError during CancelledError"
    assert await outcome_of(program()) == (gives, 0, 0.15)


async def test_clean_up_has_the_time_it_gives_itself(library: Any) -> None:
    """8. A timeout opened in clean-up is not bound by the deadline that fired."""

    async def program() -> None:
        async with library.timeout(1):
            try:
                await asyncio.sleep(9)
            finally:
                async with library.timeout(5):
                    await asyncio.sleep(2)

    assert await outcome_of(program()) == ("TimeoutError from CancelledError", 0, 3.0)


async def test_clean_up_can_expire_by_itself(library: Any) -> None:
    """8. A timeout opened in clean-up expires as anywhere else; the first one then passes that on."""

    async def program() -> None:
        async with library.timeout(1):
            try:
                await asyncio.sleep(9)
            finally:
                async with library.timeout(1):
                    await asyncio.sleep(9)

    inner = "TimeoutError from CancelledError during CancelledError"
    assert await outcome_of(program()) == (
        f"{inner} during TimeoutError from CancelledError during CancelledError",
        0,
        2.0,
    )


async def test_groups_and_wait_for_show_what_asyncio_shows(library: Any) -> None:
    """A TaskGroup that expires, a sibling's failure during an expiry, and wait_for inside: same types, same counts."""

    async def slow_to_leave() -> None:
        try:
            await asyncio.sleep(9)
        finally:
            await asyncio.sleep(1)

    async def fails_on_the_way_out() -> None:
        try:
            await asyncio.sleep(9)
        finally:
            raise KeyError

    async def expires() -> None:
        async with library.timeout(1), asyncio.TaskGroup() as group:
            group.create_task(slow_to_leave())

    async def fails() -> None:
        async with library.timeout(1), asyncio.TaskGroup() as group:
            group.create_task(slow_to_leave())
            group.create_task(fails_on_the_way_out())

    async def waits() -> None:
        async with library.timeout(5):
            await library.wait_for(asyncio.gather(slow_to_leave(), slow_to_leave()), 1)

    assert [await outcome_of(program()) for program in (expires, fails, waits)] == [
        ("TimeoutError from CancelledError", 0, 2.0),
        ("ExceptionGroup[KeyError during TimeoutError from CancelledError]", 0, 2.0),
        ("TimeoutError from CancelledError", 0, 2.0),
    ]


@asynccontextmanager
async def fixture(library: Any, delay: float) -> AsyncIterator[Any]:
    async with library.timeout(delay, **({"name": "fixture"} if library is tracedtimeout else {})) as timeout:
        yield timeout


async def test_a_generator_closed_by_another_task_leaves_quietly(
    library: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """9. A timeout in an async generator that another task closes is left once, with no error and no log."""

    async def numbers() -> AsyncIterator[int]:
        async with fixture(library, 5):
            yield 1
            yield 2

    async def awaits(generator: Any) -> Any:
        return await anext(generator)

    async def closes(generator: Any) -> None:
        await generator.aclose()

    async def program() -> Any:
        generator = numbers()
        first = await asyncio.create_task(awaits(generator))
        await asyncio.create_task(closes(generator))
        return first

    assert await outcome_of(program()) == (1, 0, 0.0)
    assert caplog.records == []
    if library is tracedtimeout:
        assert figures("fixture") == {"duration": {"failed": 1}, "limit": 1, "utilization": 1}


async def test_a_timeout_left_by_another_task_is_left_once(library: Any, caplog: pytest.LogCaptureFixture) -> None:
    """9. Entered in one task and left in another, like an async fixture: counted once, and what follows is free."""

    async def enter(stack: AsyncExitStack) -> None:
        await stack.enter_async_context(fixture(library, 5))

    async def program() -> float:
        stack = AsyncExitStack()
        await asyncio.create_task(enter(stack))
        await asyncio.create_task(stack.aclose())
        await asyncio.sleep(9)
        return tracedtimeout.remaining()

    assert await outcome_of(program()) == (float("inf"), 0, 9.0)
    assert caplog.records == []
    if library is tracedtimeout:
        assert figures("fixture") == {"duration": {"completed": 1}, "limit": 1, "utilization": 1}


async def test_timeouts_may_be_left_out_of_order(library: Any) -> None:
    """9. Of two timeouts left in the order they were entered, the later one still fires at its deadline."""

    async def program() -> None:
        first, second = AsyncExitStack(), AsyncExitStack()
        await first.enter_async_context(library.timeout(1))
        async with second:
            await second.enter_async_context(library.timeout(3))
            await first.aclose()
            await asyncio.sleep(9)

    assert await outcome_of(program()) == ("TimeoutError from CancelledError", 0, 3.0)


class Harmful:
    """An observer that raises whenever it is asked."""

    def __init__(self, opens: bool) -> None:
        self.opens = opens

    def __call__(self, timeout: tracedtimeout.View, /) -> Any:
        if not self.opens:
            raise ZeroDivisionError
        return self.closes

    def closes(self, timeout: tracedtimeout.View) -> None:
        raise ZeroDivisionError


@pytest.mark.parametrize("opens", [True, False])
async def test_an_observer_that_raises_changes_nothing(opens: bool, caplog: pytest.LogCaptureFixture) -> None:
    """10. What an observer raises is logged once, and the program is none the wiser."""
    _observers.add(Harmful(opens))

    async def program() -> str:
        with suppress(TimeoutError):
            async with tracedtimeout.timeout(1):
                await asyncio.sleep(9)
        return await tracedtimeout.wait_for(asyncio.sleep(1, "result"), 2)

    assert await outcome_of(program()) == ("result", 0, 2.0)
    assert [(record.levelno, record.name) for record in caplog.records] == [(logging.ERROR, "tracedtimeout")]


async def test_a_blocked_loop_fires_the_outer_deadline_first(library: Any) -> None:
    """When the loop was blocked past two nested deadlines, the outer one raises, as it would have in time."""

    async def program() -> None:
        async with library.timeout(1), library.timeout(2):
            running_loop().block(5)
            await asyncio.sleep(9)

    assert await outcome_of(program()) == ("TimeoutError from CancelledError", 0, 5.0)

"""Every row of the table of outcomes: what leads to it, what leaves the timeout, and what is counted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import pytest

from tests.support import VIRTUAL, figures, outcome_of, running_loop, running_task
from tracedtimeout import DeadlineExceeded, Outcome, View, budget, timeout, timeout_at, wait_for, with_timeout
from tracedtimeout._core import _observers

pytestmark = pytest.mark.loops(*VIRTUAL)

EXPIRED = "TimeoutError from CancelledError"


class Row:
    """A program and what is to be seen of its timeouts named ``t``."""

    def __init__(
        self, program: Callable[[], Coroutine[Any, Any, object]], gives: object, *outcomes: Outcome, **counted: object
    ) -> None:
        self.program = program
        self.gives = gives
        self.outcomes = list(outcomes)
        self.counted = counted


async def rejected_for_want_of_budget() -> None:
    async with timeout(1, name="outer"):
        await asyncio.sleep(0.75)
        async with timeout(5, name="t", at_least=0.5):
            pytest.fail("its body ran")


async def rejected_on_arrival() -> None:
    async with timeout(1, name="outer"):
        running_loop().block(2)
        async with timeout(5, name="t", at_least=0.5):
            pytest.fail("its body ran")


async def rejected_before_the_coroutine_starts() -> None:
    async def starts() -> None:
        pytest.fail("it started")

    async with timeout(1, name="outer"):
        await wait_for(starts(), 5, name="t", at_least=2)


async def cancelled_from_outside() -> None:
    asyncio.get_running_loop().call_later(0.5, running_task().cancel)
    async with timeout(1, name="t"):
        await asyncio.sleep(9)


async def cancelled_as_it_expired() -> None:
    asyncio.get_running_loop().call_later(1.5, running_task().cancel)
    async with timeout(1, name="t"):
        try:
            await asyncio.sleep(9)
        finally:
            await asyncio.sleep(9)


async def cancelled_by_a_bare_asyncio_timeout() -> None:
    async with asyncio.timeout(1):
        async with timeout(5, name="t"):
            await asyncio.sleep(9)


async def expired() -> None:
    async with timeout(1, name="t"):
        await asyncio.sleep(9)


async def expired_at_an_instant() -> None:
    async with timeout_at(asyncio.get_running_loop().time() + 1, name="t"):
        await asyncio.sleep(9)


async def expired_in_wait_for() -> None:
    await wait_for(asyncio.sleep(9), 1, name="t")


async def expired_in_wait_for_with_no_time() -> None:
    future = asyncio.get_running_loop().create_future()
    try:
        await wait_for(future, 0, name="t")
    finally:
        assert future.cancelled()


@with_timeout(1, name="t")
async def expired_in_a_decorated_function() -> None:
    await asyncio.sleep(9)


async def inherited_from_an_enclosing_timeout() -> None:
    async with timeout(1, name="outer"):
        async with timeout(5, name="t"):
            await asyncio.sleep(9)


async def inherited_from_a_budget() -> None:
    with budget(1):
        async with timeout(5, name="t"):
            await asyncio.sleep(9)


async def suppressed_at_the_end_of_a_budget() -> str:
    with budget(1):
        async with timeout(5, name="t"):
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(9)
    return "ran on"


async def replaced_at_the_end_of_a_budget() -> None:
    with budget(1):
        async with timeout(5, name="t"):
            try:
                await asyncio.sleep(9)
            finally:
                raise KeyError


async def inherited_by_a_child_task() -> None:
    async def child() -> None:
        async with timeout(5, name="t"):
            await asyncio.sleep(9)

    async with timeout(1, name="outer"), asyncio.TaskGroup() as group:
        group.create_task(child())


async def replaced() -> None:
    async with timeout(1, name="t"):
        try:
            await asyncio.sleep(9)
        finally:
            raise KeyError


async def replaced_by_a_timeout_error_of_its_own() -> None:
    async with timeout(1, name="t"):
        try:
            await asyncio.sleep(9)
        finally:
            raise TimeoutError


async def suppressed() -> str:
    async with timeout(1, name="t"):
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(9)
    return "ran on"


async def failed() -> None:
    async with timeout(1, name="t"):
        raise KeyError


async def failed_by_a_foreign_timeout_error() -> None:
    async with timeout(1, name="t"):
        raise TimeoutError


async def late() -> str:
    async with timeout(1, name="t"):
        running_loop().block(2)
    return "left"


async def completed() -> str:
    async with timeout(1, name="t"):
        await asyncio.sleep(0.5)
    return "left"


async def completed_with_no_time() -> str:
    async with timeout(0, name="t"):
        return "left"


async def completed_with_no_deadline() -> str:
    async with timeout(None, name="t"):
        await asyncio.sleep(9)
    return "left"


async def completed_in_wait_for_with_no_time() -> str:
    future = asyncio.get_running_loop().create_future()
    future.set_result("done")
    return await wait_for(future, 0, name="t")


def fired(outcome: str) -> dict[str, object]:
    """What is counted when its own deadline fired."""
    return {"duration": {outcome: 1}, "expirations": {outcome: 1}, "unwind": 1}


AT_DEADLINE = {"limit": 1, "utilization": 1}
REJECTED = {"duration": {"rejected": 1}}
INHERITED = {"duration": {"inherited": 1}, **AT_DEADLINE}

ROWS = [
    Row(rejected_for_want_of_budget, "TimeoutError", Outcome.REJECTED, **REJECTED, rejections={"at_least/enforce": 1}),
    Row(rejected_on_arrival, "TimeoutError", Outcome.REJECTED, **REJECTED, rejections={"expired/enforce": 1}),
    Row(
        rejected_before_the_coroutine_starts,
        "TimeoutError",
        Outcome.REJECTED,
        **REJECTED,
        rejections={"at_least/enforce": 1},
    ),
    Row(cancelled_from_outside, "CancelledError", Outcome.CANCELLED, duration={"cancelled": 1}, **AT_DEADLINE),
    Row(cancelled_as_it_expired, "CancelledError", Outcome.CANCELLED, **fired("cancelled"), **AT_DEADLINE),
    Row(cancelled_by_a_bare_asyncio_timeout, EXPIRED, Outcome.CANCELLED, duration={"cancelled": 1}, **AT_DEADLINE),
    Row(expired, EXPIRED, Outcome.EXPIRED, **fired("expired"), **AT_DEADLINE),
    Row(expired_at_an_instant, EXPIRED, Outcome.EXPIRED, **fired("expired"), **AT_DEADLINE),
    Row(expired_in_wait_for, EXPIRED, Outcome.EXPIRED, **fired("expired"), **AT_DEADLINE),
    Row(expired_in_wait_for_with_no_time, EXPIRED, Outcome.EXPIRED, **fired("expired"), limit=1),
    Row(expired_in_a_decorated_function, EXPIRED, Outcome.EXPIRED, **fired("expired"), **AT_DEADLINE),
    Row(inherited_from_an_enclosing_timeout, EXPIRED, Outcome.INHERITED, **INHERITED, interruptions={"outer": 1}),
    Row(inherited_from_a_budget, EXPIRED, Outcome.INHERITED, **INHERITED, interruptions={"_budget": 1}, unwind=1),
    Row(inherited_by_a_child_task, EXPIRED, Outcome.INHERITED, **INHERITED, interruptions={"outer": 1}),
    Row(
        replaced,
        "KeyError during TimeoutError from CancelledError",
        Outcome.REPLACED,
        **fired("replaced"),
        **AT_DEADLINE,
    ),
    Row(
        replaced_by_a_timeout_error_of_its_own,
        "TimeoutError during TimeoutError from CancelledError",
        Outcome.REPLACED,
        **fired("replaced"),
        **AT_DEADLINE,
    ),
    Row(suppressed, "ran on", Outcome.SUPPRESSED, **fired("suppressed"), **AT_DEADLINE),
    Row(
        suppressed_at_the_end_of_a_budget,
        "ran on",
        Outcome.SUPPRESSED,
        duration={"suppressed": 1},
        unwind=1,
        **AT_DEADLINE,
    ),
    Row(
        replaced_at_the_end_of_a_budget,
        "KeyError during TimeoutError from CancelledError",
        Outcome.REPLACED,
        duration={"replaced": 1},
        unwind=1,
        **AT_DEADLINE,
    ),
    Row(failed, "KeyError", Outcome.FAILED, duration={"failed": 1}, **AT_DEADLINE),
    Row(failed_by_a_foreign_timeout_error, "TimeoutError", Outcome.FAILED, duration={"failed": 1}, **AT_DEADLINE),
    Row(late, "left", Outcome.LATE, duration={"late": 1}, **AT_DEADLINE),
    Row(completed, "left", Outcome.COMPLETED, duration={"completed": 1}, **AT_DEADLINE),
    Row(completed_with_no_time, "left", Outcome.COMPLETED, duration={"completed": 1}, limit=1),
    Row(completed_with_no_deadline, "left", Outcome.COMPLETED, duration={"completed": 1}),
    Row(completed_in_wait_for_with_no_time, "done", Outcome.COMPLETED, duration={"completed": 1}, limit=1),
]


class Ends:
    """An observer that keeps how each timeout named ``t`` ended."""

    def __init__(self) -> None:
        self.seen: list[View] = []

    def __call__(self, opened: View, /) -> Callable[[View], None] | None:
        return self.seen.append if opened.name == "t" else None


@pytest.mark.parametrize("row", [pytest.param(row, id=row.program.__name__) for row in ROWS])
async def test_each_row_ends_and_counts_as_it_says(row: Row) -> None:
    """A timeout ends with one outcome, says so to observers, and is counted once under each metric it concerns."""
    ends = Ends()
    _observers.add(ends)
    assert (await outcome_of(row.program()))[0] == row.gives
    assert [timeout.outcome for timeout in ends.seen] == row.outcomes
    assert figures("t") == row.counted


async def test_an_open_timeout_is_active() -> None:
    """Opened is closed plus active at any time."""
    async with timeout(1, name="t"):
        assert figures("t") == {"active": 1, "limit": 1}
        async with timeout(1, name="t"):
            assert figures("t") == {"active": 2, "limit": 2}
        assert figures("t") == {"active": 1, "duration": {"completed": 1}, "limit": 2, "utilization": 1}
    assert figures("t") == {"duration": {"completed": 2}, "limit": 2, "utilization": 2}


async def test_an_expiry_is_counted_once_however_deep() -> None:
    """One deadline that ends three nested timeouts is one expiration and two interruptions."""
    with pytest.raises(DeadlineExceeded) as caught:
        async with timeout(1, name="a"), timeout(2, name="b"), timeout(3, name="c"):
            await asyncio.sleep(9)
    assert (caught.value.name, caught.value.owner) == ("a", "a")
    assert [figures(name).get("expirations") for name in "abc"] == [{"expired": 1}, None, None]
    assert [figures(name).get("interruptions") for name in "abc"] == [None, {"a": 1}, {"a": 1}]


async def test_an_expiry_that_did_not_end_its_timeout_is_counted_all_the_same() -> None:
    """When two deadlines fire after a blocked loop, the outer one raises, and each is an expiry by its own outcome."""
    with suppress(TimeoutError):
        async with timeout(1, name="outer"), timeout(2, name="inner"):
            running_loop().block(5)
            await asyncio.sleep(9)
    counted = {"limit": 1, "utilization": 1, "unwind": 1}
    assert figures("outer") == {**counted, "duration": {"expired": 1}, "expirations": {"expired": 1}}
    assert figures("inner") == {
        **counted,
        "duration": {"inherited": 1},
        "expirations": {"inherited": 1},
        "interruptions": {"outer": 1},
    }

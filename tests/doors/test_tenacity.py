"""The budget in tenacity, in virtual time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import tenacity
from tenacity import AsyncRetrying, RetryError, Retrying, stop_after_attempt, wait_fixed

from tests.support.flaky import BusyError, Flaky, ended
from tracedtimeout import DeadlineExceeded, budget, checkpoint, remaining, timeout
from tracedtimeout.integrations.tenacity import stop_when_spent

pytestmark = pytest.mark.loops("virtual")


async def test_it_stops_before_the_sleep() -> None:
    """With 1 s, attempts of 0.1 s and waits of 0.3 s the third attempt is the last: its error is raised at once."""
    service = Flaky()
    retrying = AsyncRetrying(stop=stop_when_spent(), wait=wait_fixed(0.3))
    async with timeout(1.0):
        assert await ended(lambda: retrying(service), BusyError) == 0.9
        assert service.asked == [0.0, 0.4, 0.8]


async def test_an_attempt_needs_time_too() -> None:
    """What is left after the wait must be what an attempt needs: exactly that will do, less will not."""
    for at_least, times in ((0.5, [0.0, 0.5]), (0.51, [0.0])):
        service = Flaky()
        retrying = AsyncRetrying(stop=stop_when_spent(at_least), wait=wait_fixed(0.4))
        async with timeout(1.0 + 1e-9):
            await ended(lambda retrying=retrying, service=service: retrying(service), BusyError)  # type: ignore[misc]
        assert service.asked == times


async def test_without_a_budget_it_never_stops() -> None:
    """Nothing is left to run out; the other conditions hold."""
    service = Flaky(answers_at=50)
    assert await AsyncRetrying(stop=stop_when_spent(), wait=wait_fixed(3.0))(service) == "at last"
    assert len(service.asked) == 50


async def test_waits_are_what_they_were() -> None:
    """An attempt that fits is made when it would have been made without a budget: no wait is shortened."""
    free, bound = Flaky(answers_at=4), Flaky(answers_at=4)
    await AsyncRetrying(wait=wait_fixed(0.7))(free)
    async with timeout(3.0):
        await AsyncRetrying(stop=stop_when_spent(), wait=wait_fixed(0.7))(bound)
    assert bound.asked == free.asked


@pytest.mark.parametrize("reraise", [True, False])
async def test_the_error_is_the_attempts_own(reraise: bool) -> None:
    """With `reraise` and without, in the form of a loop as well."""
    async with timeout(0.5):
        with pytest.raises(BusyError) as caught:
            async for attempt in AsyncRetrying(stop=stop_when_spent(), wait=wait_fixed(1.0), reraise=reraise):
                with attempt:
                    await Flaky()()
    assert type(caught.value) is BusyError


async def test_what_was_returned_is_no_error() -> None:
    """Attempts that are retried for what they return end as tenacity ends them."""

    async def none() -> None:
        await asyncio.sleep(0.1)

    retrying = AsyncRetrying(
        stop=stop_when_spent(), wait=wait_fixed(1.0), retry=tenacity.retry_if_result(lambda got: got is None)
    )
    async with timeout(0.5):
        assert await ended(lambda: retrying(none), RetryError) == 0.1


async def test_a_callback_for_the_end_is_called() -> None:
    """Whoever says what to return in the end still does."""
    retrying = AsyncRetrying(
        stop=stop_when_spent(), wait=wait_fixed(1.0), retry_error_callback=lambda state: state.attempt_number
    )
    async with timeout(0.5):
        assert await retrying(Flaky()) == 1


async def test_it_is_combined_as_others_are() -> None:
    """With `|` the first that says so ends it, with `&` both must, whichever stands first."""
    either, both, other_way = Flaky(), Flaky(), Flaky()
    third = stop_after_attempt(3)
    async with timeout(1.0):
        with pytest.raises(RetryError):
            await AsyncRetrying(stop=stop_when_spent() | third, wait=wait_fixed(0.1))(either)
    for stop, service in ((stop_when_spent(0.9) & third, both), (third & stop_when_spent(0.9), other_way)):
        async with timeout(1.0):
            assert await ended(lambda stop=stop, service=service: AsyncRetrying(stop=stop)(service), BusyError) == 0.3  # type: ignore[misc]
    assert [len(each.asked) for each in (either, both, other_way)] == [3, 3, 3]


async def test_the_attempts_own_deadline_is_retried() -> None:
    """A timeout within the attempt has a deadline of its own; the next attempt has another. `spent` has them all."""

    async def attempt() -> None:
        async with timeout(0.2, name="ask"):
            await asyncio.sleep(5.0)

    with pytest.raises(DeadlineExceeded) as caught:
        async with timeout(1.0, name="order"):
            async for each in AsyncRetrying(wait=wait_fixed(0.1)):
                with each:
                    await attempt()
    assert caught.value.name == "order"
    assert [(each.name, each.count) for each in caught.value.spent] == [("ask", 3), ("ask", 1)]

    async with timeout(1.0, name="order"):
        with pytest.raises(DeadlineExceeded) as caught:
            await AsyncRetrying(stop=stop_when_spent(0.15), wait=wait_fixed(0.1))(attempt)
        assert (caught.value.name, round(remaining(), 6)) == ("ask", 0.2)  # at 0.8: after 0.1 s more, 0.1 are left


async def test_an_enclosing_deadline_is_not_retried() -> None:
    """One that passed, found by code, and one that leaves too little for the attempt: no other attempt is made."""
    made: list[str] = []

    async def checks() -> None:
        made.append("checks")
        await asyncio.sleep(0)
        checkpoint()

    async def refuses() -> None:
        made.append("refuses")
        async with timeout(2.0, at_least=0.5, name="refund"):
            pytest.fail("there is too little left")

    with budget(0.0), pytest.raises(DeadlineExceeded):
        await AsyncRetrying(stop=stop_when_spent())(checks)
    async with timeout(0.4):
        with pytest.raises(DeadlineExceeded, match="'refund' needs"):
            await AsyncRetrying(stop=stop_when_spent())(refuses)
    assert made == ["checks", "refuses"]


async def test_a_refusal_within_the_attempt_is_retried() -> None:
    """Too little left of a timeout that the attempt itself opened says nothing of the next attempt."""
    made: list[float] = []

    async def attempt() -> None:
        async with timeout(0.3, name="attempt"):
            made.append(remaining())
            await asyncio.sleep(0.0 if len(made) == 3 else 0.28)
            async with timeout(1.0, at_least=0.1, name="refund"):
                return

    async with timeout(5.0):
        await AsyncRetrying(stop=stop_when_spent())(attempt)
    assert len(made) == 3


async def test_a_cut_attempt_is_not_retried() -> None:
    """The cancellation of an enclosing timeout passes through, as ever."""
    service = Flaky()
    with pytest.raises(DeadlineExceeded):
        async with timeout(0.05):
            await AsyncRetrying(stop=stop_when_spent())(service)
    assert service.asked == [0.0]


def test_threads_without_a_loop() -> None:
    """The same with a bare budget and tenacity's blocking form."""
    made: list[None] = []

    def attempt() -> None:
        made.append(None)
        raise BusyError

    with budget(10.0), pytest.raises(BusyError):
        Retrying(stop=stop_when_spent(), wait=wait_fixed(20.0))(attempt)
    assert len(made) == 1


@pytest.mark.parametrize("wrong", [float("nan"), -1.0])
def test_a_wrong_number(wrong: float) -> None:
    """It is named at the door."""
    with pytest.raises(ValueError, match=f"at_least must be 0 or more seconds, not {wrong!r}"):
        stop_when_spent(wrong)


@pytest.mark.parametrize("wrong", ["1", None, True])
def test_no_number(wrong: Any) -> None:
    """It is a TypeError."""
    with pytest.raises(TypeError, match="at_least must be a number of seconds"):
        stop_when_spent(wrong)

"""The exception of a timeout: in the place of its body's, in the context of what the body raised, and whose it says."""

from __future__ import annotations

import asyncio

import pytest

from tracedtimeout import DeadlineExceeded, timeout
from tracedtimeout._core.figures import _process

pytestmark = pytest.mark.loops("virtual")


async def test_each_error_of_a_group_has_the_expiry_in_its_context() -> None:
    """As in asyncio: what a group of errors holds was raised in handling of the cancellation, each of it."""
    with pytest.raises(ExceptionGroup) as caught:
        async with timeout(1.0, name="t"):
            try:
                await asyncio.sleep(50.0)
            except asyncio.CancelledError:
                errors = list[Exception]()
                for kind in (KeyError, LookupError):
                    try:
                        raise kind
                    except kind as exc:
                        errors.append(exc)
                raise ExceptionGroup("both", errors)  # noqa: B904  # the question
    for error in (caught.value, *caught.value.exceptions):
        assert isinstance(error.__context__, DeadlineExceeded)
        assert isinstance(error.__context__.__cause__, asyncio.CancelledError)


async def test_a_name_past_the_cap_is_the_one_that_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is counted with others, and the exception has it all the same."""
    monkeypatch.setattr(_process, "max_names", 0)
    with pytest.raises(DeadlineExceeded, match=r"^'past the cap' exceeded") as caught:
        async with timeout(1.0, name="past the cap"):
            await asyncio.sleep(50.0)
    assert caught.value.name == "past the cap"


async def test_where_it_waited_is_told_while_somebody_has_the_exception() -> None:
    """By the timeout too, which keeps no traceback for that."""
    with pytest.raises(DeadlineExceeded) as caught:
        async with timeout(1.0) as expired:
            await asyncio.sleep(50.0)
    assert expired.where is not None
    assert expired.where == caught.value.where


@pytest.mark.parametrize("cause", [None, ValueError("another")])
async def test_where_it_waited_is_told_whatever_caused_it(cause: Exception | None) -> None:
    """Raised anew from something else, or from nothing, before anybody asked."""
    with pytest.raises(DeadlineExceeded) as caught:
        try:
            async with timeout(1.0):
                await asyncio.sleep(50.0)
        except DeadlineExceeded as error:
            raise error from cause
    assert caught.value.where is not None
    assert caught.value.where.function == "test_where_it_waited_is_told_whatever_caused_it"

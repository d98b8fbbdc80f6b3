"""Bad input: the message names the parameter, shows the value, whatever it is, and says what to write."""

from __future__ import annotations

import asyncio
import functools
import time
from datetime import timedelta
from fractions import Fraction
from typing import Any

import pytest

from tracedtimeout import Timeout, timeout_at, with_timeout
from tracedtimeout._core._arguments import check_clock, seconds_of, shown

pytestmark = pytest.mark.loops("virtual")


class Silent:
    """Has no repr."""

    def __repr__(self) -> str:
        raise LookupError


def test_a_value_is_shown_whatever_it_is() -> None:
    """In short; one that cannot be shown is told by its type, a number of more digits than can be by its size."""
    assert shown(10**5000) == "<int of 16610 bits>"
    assert shown([10**5000]).startswith(("<list>", "[<int instance with roughly 5001 digits"))  # 3.14 tells more
    assert "Silent" in shown(Silent())
    assert len(shown("x" * 10_000)) == 500
    assert shown([0] * 50) == f"[{', '.join(['0'] * 50)}]"
    assert shown([0] * 51) == f"[{'0, ' * 50}...]"
    assert shown(1 << 1999).isdecimal() or "..." in shown(1 << 1999)
    assert shown(1 << 2000) == "<int of 2001 bits>"


def test_a_loop_may_have_the_clock_of_the_wall() -> None:
    """Its instants are those of `time.time()`, and none is of another clock."""
    now = time.time()
    check_clock("when", now + 5.0, now)


@pytest.mark.parametrize("value", [5, 5.0, Fraction(10, 2)])
def test_seconds_are_a_float_or_the_int_that_they_were(value: Any) -> None:
    """As in asyncio, whose deadlines are what their users wrote; other numbers are read once."""
    seconds = seconds_of("limit", value)
    assert (seconds, type(seconds)) == (5, int if value.__class__ is int else float)


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (timedelta(seconds=1), "write .total_seconds() behind it"),
        (asyncio.sleep, "call it"),
        ("1.5", "write 1.5"),
    ],
)
def test_what_is_no_number_is_told_what_to_write(value: Any, hint: str) -> None:
    """By what it is."""
    with pytest.raises(TypeError, match=r"^limit must be a number of seconds, not ") as caught:
        seconds_of("limit", value)
    assert str(caught.value).endswith(hint)


async def test_an_awaitable_in_the_place_of_seconds_is_told_of_their_order() -> None:
    """As `wait_for` has them."""
    with pytest.raises(TypeError, match=r"the awaitable stands first, then the seconds$"):
        seconds_of("timeout", asyncio.get_running_loop().create_future())


async def test_an_instant_of_another_clock_is_refused() -> None:
    """Of `time.time()`, which is no clock of a loop: it would never come."""
    with pytest.raises(ValueError, match=r"^when must be an instant on the event loop's clock, not .* write loop.time"):
        timeout_at(time.time() + 5.0)
    async with timeout_at(5.0) as moved:
        with pytest.raises(ValueError, match=r"^when must be an instant on the event loop's clock"):
            moved.reschedule(time.time() + 5.0)
        assert moved.when() == 5.0
        moved.reschedule(1e12)  # far off on any clock
        assert moved.when() == 1e12
    timeout_at(1e12)


async def test_a_timeout_decorates_nothing() -> None:
    """The message says what does."""
    made: Any = Timeout(None)
    with pytest.raises(TypeError, match=r"write @with_timeout"):
        made(test_a_timeout_decorates_nothing)


def test_a_decorator_that_is_used_as_none_says_what_to_write() -> None:
    """Without its limit, with a limit that needs an argument, and with less time than it needs."""
    decorate: Any = with_timeout(1.5)
    with pytest.raises(TypeError, match=r"to guard a function, write @with_timeout"):
        decorate()
    for limit in (lambda needed: needed, asyncio.sleep):
        with pytest.raises(TypeError, match=r"^limit must be a number of seconds, or a function that returns it"):
            with_timeout(limit)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^at_least must not be above the limit"):
        with_timeout(1.0, at_least=2.0)


async def test_a_limit_may_be_a_function_written_in_c_and_what_it_guards_a_partial() -> None:
    """One that does not tell what it takes is asked when it is called; the name is that of the function inside."""
    seen: list[object] = []

    async def work(first: object, second: object) -> None:
        seen.append((first, second))

    await with_timeout(iter([1.5]).__next__)(functools.partial(work, 1))(2)
    await with_timeout(functools.partial(max, 1.5, 0.5))(functools.partial(work, 3))(4)
    assert seen == [(1, 2), (3, 4)]

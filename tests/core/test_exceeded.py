"""The exception of an expiry: its words are worked out when somebody asks, and again where that was broken off."""

from __future__ import annotations

import asyncio
import copy
import math
import pickle
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tracedtimeout import DeadlineExceeded, Spent, timeout
from tracedtimeout._core._exceeded import Told, duration, exceeded_message, new_exceeded, shown
from tracedtimeout.testing import run


def test_its_words_are_asked_for_again_where_that_was_broken_off() -> None:
    """By Ctrl-C, say: who asks next has them. What it does not have, it says as any object does."""
    asked: list[int] = []

    def tell(_: DeadlineExceeded) -> Told:
        asked.append(1)
        if len(asked) == 1:
            raise KeyboardInterrupt
        return Told("message", "name", 1.0, 2.0, "owner", None, ())

    made = new_exceeded(DeadlineExceeded)
    made._tell = tell
    with pytest.raises(KeyboardInterrupt):
        str(made)
    assert (str(made), made.args, repr(made), made.name, len(asked)) == (
        "message",
        ("message",),
        "DeadlineExceeded('message')",
        "name",
        2,
    )
    with pytest.raises(AttributeError, match=r"^'DeadlineExceeded' object has no attribute 'colour'$"):
        made.colour


def test_its_message_tells_of_what_was_slow_to_stop() -> None:
    """Over a tenth of the whole, or 50 ms of whatever it is."""
    told = {
        (elapsed, stopping): exceeded_message("t", 1.0, elapsed, stopping=stopping).partition("; ")[2]
        for elapsed, stopping in ((10.0, 0.05), (10.0, 0.049), (0.2, 0.021), (0.2, 0.02))
    }
    assert told == {
        (10.0, 0.05): "0.050 s to stop",
        (10.0, 0.049): "",
        (0.2, 0.021): "0.021 s to stop",
        (0.2, 0.02): "",
    }


def test_a_duration_is_told_to_the_millisecond_or_finer_where_it_is_less_than_one() -> None:
    """Nothing is nothing, and who goes back in time is told so."""
    told = [duration(seconds) for seconds in (0.0, 0.0004, 0.001, 1.9124, -0.0004, -1.0)]
    assert told == ["0.000 s", "0.4 ms", "0.001 s", "1.912 s", "-0.4 ms", "-1.000 s"]


def test_a_name_is_quoted_where_it_could_be_taken_for_something_else() -> None:
    """By `repr`: one with a line break, say; and each where it is to be quoted."""
    assert [shown("q"), shown("q", quoted=True), shown("a\nb"), shown("a\nb", quoted=True)] == [
        "q",
        "'q'",
        r"'a\nb'",
        r"'a\nb'",
    ]


def test_an_expiry_is_no_rejection() -> None:
    """Its body ran, whoever asks and whenever: also of one whose words are yet to be worked out."""
    assert new_exceeded(DeadlineExceeded).rejected is False
    assert DeadlineExceeded("message").rejected is False
    assert DeadlineExceeded("message", rejected=True).rejected is True


def test_its_message_names_a_few_of_many() -> None:
    """Of what was nested in it; and no limit where there is none."""
    spent = tuple(Spent(f"q{number}", 1.0, 1) for number in range(20))
    message = exceeded_message("t", math.inf, 2.0, spent=spent)
    named = ", ".join(f"1.000 s in q{number}" for number in range(8))
    assert message == f"'t' exceeded its deadline after 2.000 s: {named}, and 12 more"


@pytest.mark.parametrize(
    ("elapsed", "stopping", "told"),
    [
        (1.0, 0.3, "; 0.300 s to stop"),
        (1.0, 0.09, "; 0.090 s to stop"),
        (1.0, 0.05, "; 0.050 s to stop"),
        (1.0, 0.04, ""),
        (0.1, 0.0101, "; 0.010 s to stop"),
        (0.0005, 0.0001, "; 0.1 ms to stop"),
        (0.0001, 0.00004, ""),
        (0.0, 0.0, ""),
    ],
)
def test_its_message_tells_what_took_long_to_stop(elapsed: float, stopping: float, told: str) -> None:
    """More than a tenth of the whole, or 50 ms; nothing that would read as no time."""
    message = exceeded_message("t", math.inf, elapsed, stopping=stopping)
    assert message == f"'t' exceeded its deadline after {duration(elapsed)}{told}"


def test_its_message_says_how_often_and_how_many_at_once() -> None:
    """Twice is often; once is not said."""
    told = [str(Spent("q", 1.0, *more)) for more in ((1,), (2,), (5, False, 3), (1, True))]
    assert told == ["1.000 s in q", "1.000 s in q (x2)", "1.000 s in q (3 at once)", "1.000 s in q (unfinished)"]


def test_it_pickles_before_anybody_has_asked() -> None:
    """Its words are worked out first."""

    async def main() -> DeadlineExceeded:
        try:
            async with timeout(1.0, name="t"):
                await asyncio.sleep(9.0)
        except DeadlineExceeded as exc:
            return exc
        pytest.fail("no expiry")

    copy = pickle.loads(pickle.dumps(run(main())))  # noqa: S301  # ours
    assert (copy.name, copy.limit, copy.elapsed) == ("t", 1.0, 1.0)


def caught_in(main: Callable[[], Coroutine[Any, Any, None]]) -> DeadlineExceeded:
    """The exception that `main` ends with, whose words nobody has asked for."""
    try:
        run(main())
    except DeadlineExceeded as exc:
        return exc
    pytest.fail("no expiry")


async def expire() -> None:
    async with timeout(1.0, name="t"):
        await asyncio.sleep(9.0)


@pytest.mark.parametrize("asked", [False, True])
@pytest.mark.parametrize("args", [(), ("other",), ("two", 2)])
def test_its_arguments_can_be_set_as_those_of_any_exception(args: tuple[object, ...], asked: bool) -> None:
    """It shows them from then on, a copy too, and tells what it told."""
    plain, error = TimeoutError(), DeadlineExceeded("of code") if asked else caught_in(expire)
    message = error.message if asked else None
    plain.args = error.args = args
    for each in (error, copy.copy(error), pickle.loads(pickle.dumps(error))):  # noqa: S301  # ours
        assert (each.args, str(each)) == (plain.args, str(plain))
        assert repr(each) == repr(plain).replace("TimeoutError", "DeadlineExceeded")
        assert each.message == message or each.message.startswith("'t' exceeded its 1.000 s deadline")


def test_words_can_be_added_to_its_arguments() -> None:
    """As code does that adds what it knows."""
    error = caught_in(expire)
    error.args += ("while paying",)
    assert (error.args[1:], error.name) == (("while paying",), "t")


def test_its_message_at_the_bounds_of_what_it_tells() -> None:
    """Eight names are a few; a tenth of the whole is not over a tenth; a tenth of a millisecond is told."""
    eight = exceeded_message("t", math.inf, 2.0, spent=tuple(Spent(f"q{number}", 1.0) for number in range(8)))
    assert eight.endswith("in q7")
    assert "to stop" not in exceeded_message("t", 1.0, 0.3, stopping=0.03)
    assert duration(0.00014995) == "0.1 ms"


def test_what_is_being_worked_out_is_not_there_yet() -> None:
    """Who asks for it meanwhile finds nothing, and no end; nothing is kept of what works it out."""

    async def main() -> None:
        try:
            async with timeout(1.0, name="t"):
                await asyncio.sleep(50.0)
        except DeadlineExceeded as exc:
            caught.append(exc)  # a task that returns or raises it would show it in its repr

    caught: list[Any] = []
    run(main())
    error = caught[0]
    tell, asked = error._tell, list[bool]()

    def asks(raised: Any) -> Any:
        asked.append(hasattr(raised, "message"))
        return tell(raised)

    error._tell = asks
    assert error.name == "t"
    assert (asked, "_tell" in vars(error)) == ([False], False)

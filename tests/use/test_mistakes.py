"""The slips of a newcomer: what is said of each names the parameter, and the remedy where there is one."""

from __future__ import annotations

import asyncio
import datetime as dt
import functools
import inspect
import math
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple

import pytest

from tracedtimeout import (
    Timeout,
    budget,
    install,
    limits_on_signal,
    live,
    otlp,
    propagation,
    remaining,
    testing,
    timeout,
    timeout_at,
    wait_for,
    with_timeout,
)
from tracedtimeout.integrations.aiohttp import client_middleware
from tracedtimeout.integrations.asgi import DeadlineMiddleware, exempt
from tracedtimeout.integrations.tenacity import stop_when_spent
from tracedtimeout.testing import recorded, run

guard: Any = with_timeout
"""For what a type checker would refuse."""


def plain() -> int:
    return 1


def of_two(first: int, second: int) -> int:
    return first + second


async def fetch() -> int:
    return 1


async def limit_of() -> float:
    return 1.0


async def rows() -> Any:
    yield 1


class Client:
    async def __call__(self) -> int:
        return 1


def inside(function: Callable[[], object]) -> Callable[[], object]:
    """Call it where a loop runs."""

    async def main() -> None:
        result = function()
        if inspect.isawaitable(result):
            await result

    return lambda: run(main())


def swapped() -> object:
    coroutine = fetch()
    try:
        return any_wait_for(1.0, coroutine)
    finally:
        coroutine.close()


def inside_with(function: Callable[[Any], object]) -> Callable[[Any], object]:
    """Call it with a value where a loop runs."""
    return lambda value: inside(lambda: function(value))()


any_timeout: Any = timeout
any_wait_for: Any = wait_for


class Slip(NamedTuple):
    attempt: Callable[[], object]
    kind: type[Exception]
    said: tuple[str, ...]


def slip(attempt: Callable[[], object], kind: type[Exception], *said: str) -> Slip:
    return Slip(attempt, kind, said)


SLIPS = {
    "a decorator": slip(inside(lambda: any_timeout(1.0)(fetch)), TypeError, "write @with_timeout(seconds)"),
    "seconds as text": slip(inside(lambda: any_timeout("2.5")), TypeError, "delay must be", "not '2.5': write 2.5"),
    "text that is no number": slip(inside(lambda: any_timeout("soon")), TypeError, "delay must be", "not 'soon'"),
    "a timedelta": slip(
        inside(lambda: any_timeout(dt.timedelta(seconds=2))),
        TypeError,
        "delay must be a number of seconds",
        "write .total_seconds() behind it",
    ),
    "a function for seconds": slip(inside(lambda: any_timeout(plain)), TypeError, "delay must be", "call it"),
    "not a number": slip(
        inside(lambda: timeout(float("nan"))), ValueError, "delay must be a number of seconds, not nan"
    ),
    "an empty name": slip(inside(lambda: timeout(1, name="")), ValueError, "name must not be empty", "leave it out"),
    "a name that is none": slip(inside(lambda: any_timeout(1, name=3)), TypeError, "name must be a string, not 3"),
    "a negative reserve": slip(inside(lambda: timeout(None, reserve=-1)), ValueError, "reserve must not be negative"),
    "the wrong clock": slip(
        inside(lambda: timeout_at(time.time() + 5)),
        ValueError,
        "when must be an instant on the event loop's clock",
        "time.time(): write loop.time() + seconds",
    ),
    "the wrong clock, no loop": slip(lambda: timeout_at(time.time()), ValueError, "when must be an instant on"),
    "seconds of a budget": slip(lambda: budget("1"), TypeError, "seconds must be", "write 1"),  # type: ignore[arg-type]
    "arguments swapped": slip(inside(swapped), TypeError, "timeout must be", "the awaitable stands first"),
    "wait_for a function": slip(inside(lambda: any_wait_for(plain, 1.0)), TypeError, "fut must be", "call it"),
    "wait_for, no seconds": slip(lambda: any_wait_for(None), TypeError, "'timeout'"),
    "no parentheses": slip(lambda: guard(fetch), TypeError, "limit must be", "write @with_timeout(1.5)"),
    "no parentheses, plain": slip(guard(plain), TypeError, "limit is", "plain", "write @with_timeout(1.5)"),
    "no parentheses, of two": slip(lambda: guard(of_two), TypeError, "limit must be", "write @with_timeout(1.5)"),
    "an async limit": slip(lambda: guard(limit_of), TypeError, "limit must be", "a function that returns it"),
    "a timeout for a limit": slip(lambda: guard(Timeout(None)), TypeError, "limit must be", "write @with_timeout(1.5)"),
    "a limit as text": slip(lambda: guard("1"), TypeError, "limit must be", "write 1"),
    "a limit's text": slip(inside(guard(lambda: "x")(fetch)), TypeError, "limit must be", "not 'x'"),
    "a plain function": slip(lambda: guard(1.0)(plain), TypeError, "or call checkpoint() inside it"),
    "an async generator": slip(lambda: guard(1.0)(rows), TypeError, "use `async with timeout(...)` inside it"),
    "a callable object": slip(lambda: guard(1.0)(Client()), TypeError, "decorate its __call__"),
    "over staticmethod": slip(
        lambda: guard(1.0)(staticmethod(fetch)),
        TypeError,
        "below @staticmethod",
    ),
    "over classmethod": slip(lambda: guard(1.0)(classmethod(fetch)), TypeError, "below @classmethod"),  # type: ignore[arg-type]
    "more than the limit": slip(
        lambda: with_timeout(1.0, at_least=2.0),
        ValueError,
        "at_least must not be above the limit",
    ),
    "a policy that is none": slip(lambda: install(spans="on"), ValueError, "spans must be 'always', 'late' or 'off'"),  # type: ignore[arg-type]
}


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
@pytest.mark.parametrize("made", SLIPS)
def test_a_slip_is_told_with_its_remedy(made: str) -> None:
    """The error is of the kind that asyncio raises, or Python, and says what to write instead."""
    attempt, kind, said = SLIPS[made]
    with pytest.raises(kind) as raised:
        attempt()
    assert [words for words in said if words not in str(raised.value)] == []


def test_a_partial_is_guarded_by_the_name_of_its_function() -> None:
    """`functools.partial` of a coroutine function is one, however often."""
    limited = with_timeout(1.0)(functools.partial(functools.partial(fetch)))
    with recorded() as seen:
        assert run(limited()) == 1
    assert [closed.name for closed in seen.closed()] == [f"{__name__}:fetch"]


class Shy:
    """A function, as those written in C may be, that does not say what it takes."""

    __signature__ = "hidden"

    def __call__(self) -> float:
        return 2.0


def test_a_limit_that_hides_its_signature_is_asked() -> None:
    """What cannot be known to be wrong is tried."""

    @with_timeout(Shy(), name="fetch")
    async def limited() -> float:
        return remaining()

    assert run(limited()) == 2.0


def test_reschedule_by_the_wrong_clock_is_refused() -> None:
    """An instant of `time.time()` is told by where it stands; the deadline stays where it was."""

    async def main() -> float | None:
        async with timeout(1.0) as t:
            with pytest.raises(ValueError, match=r"when must be an instant on the event loop's clock"):
                t.reschedule(time.time() + 5)
            return t.when()

    assert run(main()) == 1.0


def test_a_deadline_that_is_far_off_is_none_of_the_wrong_clock() -> None:
    """Very long timeouts, and loops whose clock is `time.time`, are as they were."""

    class Wall(asyncio.SelectorEventLoop):
        def time(self) -> float:
            return time.time()

    async def main() -> None:
        now = asyncio.get_running_loop().time()
        async with timeout(1e9), timeout(2e9), timeout_at(now + 5), timeout_at(now + 1e12), timeout_at(float("inf")):
            pass

    run(main())
    with asyncio.Runner(loop_factory=Wall) as runner:
        runner.run(main())


class Unreadable:
    def __repr__(self) -> str:
        raise LookupError


any_install: Any = install
AT_PARAMETERS: dict[str, Callable[[Any], object]] = {
    "delay": lambda value: any_timeout(value, name="x"),
    "name": lambda value: any_timeout(1.0, name=value),
    "at_least": lambda value: any_timeout(1.0, name="x", at_least=value),
    "timeout": lambda value: any_wait_for(asyncio.sleep(0), value),
    "seconds": budget,
    "limit": guard,
    "with_timeout": guard(1.0),
    "buckets": lambda value: any_install(buckets=value),
    "spans": lambda value: any_install(spans=value),
}


@pytest.mark.filterwarnings("ignore:coroutine 'sleep' was never awaited:RuntimeWarning")
@pytest.mark.parametrize("parameter", AT_PARAMETERS)
@pytest.mark.parametrize(
    "value",
    [[0] * 100_000, b"0," * 100_000, 10**5000, Unreadable(), [Unreadable()]],
    ids=["long list", "long bytes", "long int", "without a repr", "holds one without a repr"],
)
def test_a_value_that_cannot_be_shown_whole_is_shown_in_short(parameter: str, value: object) -> None:
    """The message names the parameter all the same, and is short enough for a line of a log."""
    with pytest.raises((TypeError, ValueError)) as caught:
        inside(lambda: AT_PARAMETERS[parameter](value))()
    assert parameter in str(caught.value)
    assert len(str(caught.value)) < 700


async def app(scope: Any, receive: Any, send: Any) -> None:
    """An application."""


REFUSING: dict[str, tuple[Callable[[Any], object], str]] = {
    "extract": (propagation.extract, "carrier"),
    "outgoing": (propagation.outgoing, "seconds"),
    "decode": (lambda it: propagation.decode(it, "1000"), "header"),
    "decode a value": (lambda it: propagation.decode("deadline-budget", it), "malformed deadline-budget"),
    "encode": (lambda it: propagation.encode(it, 10**9), "header"),
    "encode a number": (lambda it: propagation.encode("deadline-budget", it), "nanoseconds"),
    "deadline_headers": (testing.deadline_headers, "seconds"),
    "granted": (testing.granted, "headers"),
    "exempt": (exempt, "exempt"),
    "live_app": (lambda it: live.live_app(keep=it).close(), "keep"),
    "live_app, every": (lambda it: live.live_app(every=it).close(), "every"),
    "dump_on_signal": (lambda it: live.dump_on_signal(it)(), "number"),
    "limits_on_signal": (lambda it: limits_on_signal(it)(), "number"),
    "otlp": (lambda it: otlp.instrument(it)(), "meter_provider"),
    "hosts": (lambda it: client_middleware(hosts=it), "hosts"),
    "hosts, one": (lambda it: client_middleware(hosts=[it]), "hosts"),
    "stop_when_spent": (stop_when_spent, "at_least"),
    "maximum": (lambda it: DeadlineMiddleware(app, maximum=it), "maximum"),
    "default": (lambda it: DeadlineMiddleware(app, default=it), "default"),
    "accept": (lambda it: DeadlineMiddleware(app, accept=it), "accept"),
    "budget": (budget, "seconds"),
    "timeout": (inside_with(timeout), "delay"),
    "timeout_at": (inside_with(timeout_at), "when"),
}
ANYTHING: tuple[Any, ...] = (
    *(None, "5", "", b"5", [], {}, (), object(), math.nan, math.inf, -math.inf, 10**400, -1, 0, True, 1j, "x" * 5000),
    *("\ud800", lambda: 1, int, [("a",)], {"a": object()}, {1: 2}, [1], iter([1]), Decimal("1.5")),
)


@pytest.mark.parametrize("named", REFUSING)
def test_whatever_is_handed_in_is_taken_or_refused_by_name(named: str) -> None:
    """With a TypeError or a ValueError that names the parameter: none speaks of what happened to be missing inside."""
    take, parameter = REFUSING[named]
    for value in ANYTHING:
        try:
            take(value)
        except (TypeError, ValueError) as exc:
            assert parameter in str(exc), value
            assert len(str(exc)) < 1000

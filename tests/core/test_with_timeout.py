"""with_timeout: every call of a coroutine function under a timeout of its own."""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import AsyncIterator
from functools import partialmethod
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tests.support import VIRTUAL, figures
from tracedtimeout import DeadlineExceeded, timeout, with_timeout
from tracedtimeout._core import _names

pytestmark = pytest.mark.loops(*VIRTUAL)

HERE = "tests.core.test_with_timeout"


@with_timeout(1.0)
async def work(seconds: float, *, result: str = "done") -> str:
    """Works for a while."""
    await asyncio.sleep(seconds)
    return result


async def test_each_call_has_its_own_time() -> None:
    """Calls neither share a timeout nor wear it out."""
    assert [*await asyncio.gather(work(0.75), work(0.5, result="b"))] == ["done", "b"]
    assert await work(0.75) == "done"
    with pytest.raises(DeadlineExceeded) as caught:
        await work(9)
    assert (caught.value.name, caught.value.limit, caught.value.elapsed) == (f"{HERE}:work", 1.0, 1.0)
    assert figures(f"{HERE}:work")["duration"] == {"completed": 3, "expired": 1}


async def test_the_function_stays_what_it_was() -> None:
    """Its signature, name and docstring are kept, and it still is a coroutine function."""
    assert str(inspect.signature(work)) == "(seconds: 'float', *, result: 'str' = 'done') -> 'str'"
    assert (work.__name__, work.__doc__, work.__module__) == ("work", "Works for a while.", HERE)
    assert inspect.iscoroutinefunction(work)


async def test_the_limit_may_be_read_at_each_call() -> None:
    """A function in place of a limit is asked every time; None is no limit."""
    limits: list[float | None] = [1.0, 2.0, None]

    @with_timeout(lambda: limits.pop(0))
    async def sleeps(seconds: float) -> float:
        await asyncio.sleep(seconds)
        return seconds

    with pytest.raises(DeadlineExceeded):
        await sleeps(1.5)
    assert [await sleeps(1.5), await sleeps(99)] == [1.5, 99]


@pytest.mark.parametrize(("value", "error"), [(math.nan, ValueError), ("soon", TypeError)])
async def test_a_bad_limit_read_at_a_call_is_refused_there(value: Any, error: type[Exception]) -> None:
    """What a limit function gives is checked as any other, and the body does not run."""

    @with_timeout(lambda: value)
    async def never() -> None:
        pytest.fail("it ran")

    with pytest.raises(error, match="must be a number of seconds"):
        await never()


async def test_methods_are_guarded() -> None:
    """On methods, class methods and static methods, below their decorator."""

    class Bank:
        rate = 3

        @with_timeout(1)
        async def charge(self, by: int) -> int:
            return self.rate * by

        @classmethod
        @with_timeout(1)
        async def open(cls, by: int) -> int:
            return cls.rate * by

        @staticmethod
        @with_timeout(1)
        async def close(by: int) -> int:
            return by

    assert [await Bank().charge(2), await Bank.open(2), await Bank.close(2)] == [6, 6, 2]


async def test_it_needs_enough_time_to_start() -> None:
    """at_least refuses a call for which too little is left, without running it."""
    calls = []

    @with_timeout(5, at_least=0.5, name="refund")
    async def refund() -> None:
        calls.append(1)

    async with timeout(1, name="checkout"):
        await refund()
        await asyncio.sleep(0.75)
        with pytest.raises(DeadlineExceeded, match=r"^'refund' needs 0\.500 s and 0\.250 s is left of 'checkout'$"):
            await refund()
    assert calls == [1]


async def test_a_reserve_leaves_time_for_the_fallback() -> None:
    """reserve ends the call that long before the enclosing deadline."""

    @with_timeout(None, reserve=0.25)
    async def first_choice() -> None:
        await asyncio.sleep(9)

    async with timeout(1) as outer:
        with pytest.raises(DeadlineExceeded):
            await first_choice()
        assert outer.remaining() == 0.25


def plain() -> None: ...


async def numbers() -> AsyncIterator[int]:
    yield 1


async def fine() -> None: ...


async def of_class(cls: type[object]) -> None: ...


class Worker:
    async def __call__(self) -> None: ...


@pytest.mark.parametrize(
    ("what", "advice"),
    [
        (plain, "make it `async def`"),
        (numbers, r"use `async with timeout\(...\)` inside it"),
        (staticmethod(fine), "put @with_timeout below @staticmethod"),
        (classmethod(of_class), "put @with_timeout below @classmethod"),
        (partialmethod(of_class), "put @with_timeout on the method that it is made of"),
        (Worker(), "decorate its __call__"),
        (Worker, "decorate its coroutine methods"),
        (5, "it goes on a coroutine function"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
async def test_what_cannot_be_guarded_is_refused_with_advice(what: Any, advice: str) -> None:
    """At decoration, a TypeError says what to do instead."""
    with pytest.raises(TypeError, match=f"with_timeout cannot guard .*{advice}"):
        with_timeout(1)(what)


async def test_forgetting_the_limit_is_refused() -> None:
    """A bare @with_timeout would never run the function: it is told apart."""
    with pytest.raises(TypeError, match=r"write @with_timeout\(1\.5\)"):
        with_timeout(fine)  # type: ignore[arg-type]  # on purpose


@pytest.mark.parametrize("value", [math.nan, 10**400])
async def test_a_bad_limit_is_a_value_error(value: float) -> None:
    """Numbers that are no time are refused at decoration."""
    with pytest.raises(ValueError, match=r"^limit must be a number of seconds"):
        with_timeout(value)


@pytest.mark.parametrize("value", ["1", b"1", [1]])
async def test_a_limit_that_is_no_number_is_a_type_error(value: Any) -> None:
    """So is what is no number."""
    with pytest.raises(TypeError, match=r"^limit must be a number of seconds"):
        with_timeout(value)


@pytest.mark.parametrize("limit", [0, -1, -math.inf])
@pytest.mark.parametrize("asked", [False, True])
async def test_no_time_ends_each_call_at_its_first_await(limit: float, asked: bool) -> None:
    """A limit of nothing, or less, is no mistake: as `asyncio.timeout` takes it."""

    @with_timeout((lambda: limit) if asked else limit)
    async def work() -> None:
        began.append(limit)
        await asyncio.sleep(60)

    began: list[float] = []
    with pytest.raises(DeadlineExceeded):
        await work()
    assert began == [limit]


async def test_bad_options_are_refused_at_decoration() -> None:
    """at_least and reserve are checked once, before any call."""
    with pytest.raises(ValueError, match=r"^at_least must not be negative"):
        with_timeout(1, at_least=-1)


async def test_it_guards_endpoints_of_fastapi() -> None:
    """FastAPI still sees the parameters of the function, and passes them."""
    app = FastAPI()

    @app.get("/items/{item}")
    @with_timeout(1.0, name="items")
    async def items(item: int, limit: int = 10) -> dict[str, int]:
        return {"item": item, "limit": limit}

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://shop") as client:
        assert (await client.get("/items/7?limit=3")).json() == {"item": 7, "limit": 3}
        assert (await client.get("/items/seven")).status_code == 422
    assert figures("items")["duration"] == {"completed": 1}


async def test_it_guards_endpoints_of_starlette() -> None:
    """Starlette tells coroutine functions from plain ones: a guarded one runs on the loop."""

    @with_timeout(1.0, name="hello")
    async def hello(request: Request) -> Response:
        return PlainTextResponse(f"hello {request.query_params['name']}")

    app = Starlette(routes=[Route("/", hello)])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://shop") as client:
        assert (await client.get("/?name=you")).text == "hello you"
    assert figures("hello")["duration"] == {"completed": 1}


def test_what_it_needs_is_compared_with_any_limit_that_is_written_down() -> None:
    """Also with one of less than a second; a limit that has passed is none."""
    for limit in (0.5, -1.0):
        with pytest.raises(ValueError, match=r"^at_least"):
            with_timeout(limit, at_least=0.75)
    with_timeout(0.5, at_least=0.5)


def test_a_name_that_nobody_gave_is_noted_as_that() -> None:
    """It is code's own, and may change with it; one that was given is its user's."""

    @with_timeout(1.0)
    async def named_by_its_code() -> None: ...

    @with_timeout(1.0, name="given to it")
    async def given() -> None: ...

    assert any(name.endswith("named_by_its_code") for name in _names.defaults)
    assert "given to it" not in _names.defaults

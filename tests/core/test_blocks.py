"""`budget` and `detach`: blocks, with `async` and without, and decorators of functions of both sorts."""

from __future__ import annotations

import asyncio
import contextvars
import math
from collections.abc import AsyncIterator, Iterator

import pytest

from tracedtimeout import budget, detach, remaining, timeout

pytestmark = pytest.mark.loops("virtual")


class Asked:
    """Something that can be called, and awaited."""

    async def __call__(self) -> float:
        return remaining()


async def test_a_decorated_coroutine_function_has_a_budget_of_its_own_at_each_call() -> None:
    """The seconds begin anew with each call, and end with it."""

    @budget(2.0)
    async def left() -> float:
        """Left."""
        return remaining()

    assert [await left(), await left(), remaining()] == [2.0, 2.0, math.inf]
    assert (left.__name__, left.__doc__) == ("left", "Left.")


async def test_a_decorated_object_with_an_async_call_is_awaited_inside() -> None:
    """What is called need not be a function."""
    assert await budget(2.0)(Asked())() == 2.0


def test_a_decorated_function_needs_no_loop() -> None:
    """A plain function runs inside, in a thread of its own or none."""

    @budget(2.0)
    def left(more: float) -> bool:
        return 1.0 < remaining() + more <= 3.0

    assert left(more=1.0)
    assert remaining() == math.inf


async def test_detach_decorates_too() -> None:
    """Each call inherits nothing, and nothing is kept from who comes after."""

    @detach()
    async def inside() -> float:
        return remaining()

    @detach()
    def plainly() -> float:
        return remaining()

    async with timeout(5.0, name="around"):
        assert (await inside(), plainly(), remaining()) == (math.inf, math.inf, 5.0)


async def test_blocks_are_entered_with_async_as_well() -> None:
    """Nothing is waited for."""
    async with budget(3.0):
        async with detach():
            assert remaining() == math.inf
        assert remaining() == 3.0
    assert remaining() == math.inf


async def test_a_budget_is_entered_once() -> None:
    """It is one deadline; `detach` may be entered again, inside itself too."""
    block = budget(1.0)
    with block, pytest.raises(RuntimeError, match="already been entered"), block:
        pytest.fail("entered")
    free = detach()
    with budget(1.0), free, free:
        assert remaining() == math.inf


async def test_one_detach_serves_tasks_side_by_side() -> None:
    """Each that leaves it has its deadline back, in whatever order they come and go."""
    free, told = detach(), list[tuple[float, float]]()

    async def work(inside: float) -> None:
        with budget(inside + 9.0):
            async with free:
                within = remaining()
                await asyncio.sleep(inside)
            told.append((within, remaining()))

    await asyncio.gather(work(1.0), work(3.0), work(2.0))
    assert told == [(math.inf, 9.0)] * 3
    free.__enter__()
    contextvars.Context().run(free.__exit__)
    with pytest.raises(RuntimeError, match=r"^detach has not been entered$"):
        free.__exit__()


def generate() -> Iterator[int]:
    yield 1


async def generate_slowly() -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize("block", [budget(1.0), detach()], ids=["budget", "detach"])
@pytest.mark.parametrize(
    ("given", "message"),
    [
        (generate, "cannot guard .* a generator is left and resumed by others"),
        (generate_slowly, "cannot guard .* a generator is left and resumed by others"),
        (Asked, "goes on a function, not on"),
        (5, "goes on a function, not on 5"),
        (staticmethod(generate), "put @(budget|detach) below @staticmethod: "),
        (classmethod(lambda cls: cls), "put @(budget|detach) below @classmethod: "),
    ],
)
def test_what_cannot_be_decorated_is_refused(block: budget | detach, given: object, message: str) -> None:
    """At decoration, with what to write instead."""
    with pytest.raises(TypeError, match=message):
        block(given)  # type: ignore[type-var]  # as somebody may who checks no types

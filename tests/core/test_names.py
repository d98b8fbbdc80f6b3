"""What a timeout is called."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable
from typing import Any

import pytest

from tests.support import VIRTUAL
from tracedtimeout import DeadlineExceeded, Timeout, timeout, timeout_at, wait_for, with_timeout
from tracedtimeout._core import _names

pytestmark = pytest.mark.loops(*VIRTUAL)

HERE = "tests.core.test_names"


async def name_in(guarded: Awaitable[object]) -> str:
    """The name of the timeout that ends it."""
    with pytest.raises(DeadlineExceeded) as caught:
        await guarded
    return caught.value.name


async def test_a_name_is_the_callers_by_default() -> None:
    """A timeout without a name is called after the module and qualified name of the code that opened it."""
    when = asyncio.get_running_loop().time()
    timeouts = [timeout(1), timeout_at(when), Timeout(when), Timeout(None)]
    assert [t.name for t in timeouts] == [f"{HERE}:test_a_name_is_the_callers_by_default"] * 4


async def test_a_name_can_be_written_everywhere() -> None:
    """What UTF-8 cannot encode is replaced: one such name would keep every exporter from showing any."""
    assert timeout(1, name="caf\udce9 é").name == "caf? é"


async def test_a_default_name_is_qualified() -> None:
    """The default name tells a method's class and a nested function's place."""

    class Bank:
        async def charge(self) -> str:
            async with timeout(1) as opened:
                return opened.name

    place = f"{HERE}:test_a_default_name_is_qualified.<locals>.Bank.charge"
    assert await Bank().charge() == place


async def test_wait_for_is_called_after_its_caller_wherever_it_runs() -> None:
    """wait_for keeps its caller's name when its coroutine is handed to a task, a gather or a group."""
    mine = f"{HERE}:test_wait_for_is_called_after_its_caller_wherever_it_runs"
    assert await name_in(wait_for(asyncio.sleep(9), 1)) == mine
    assert await name_in(asyncio.create_task(wait_for(asyncio.sleep(9), 1))) == mine
    assert await name_in(asyncio.gather(wait_for(asyncio.sleep(9), 1))) == mine
    assert await name_in(wait_for(asyncio.sleep(9), 0)) == mine


async def test_a_decorated_function_gives_its_name() -> None:
    """with_timeout is called after the function it guards, not after who calls it."""

    @with_timeout(1)
    async def handler() -> None:
        await asyncio.sleep(9)

    place = f"{HERE}:test_a_decorated_function_gives_its_name.<locals>.handler"
    assert await name_in(handler()) == place


async def test_a_given_name_is_used() -> None:
    """name= is used by each of them as it is."""

    @with_timeout(1, name="mine")
    async def handler() -> None:
        await asyncio.sleep(9)

    opened = [timeout(1, name="mine"), timeout_at(1, name="mine"), Timeout(1, name="mine")]
    assert {t.name for t in opened} == {"mine"}
    assert [await name_in(handler()), await name_in(wait_for(asyncio.sleep(9), 1, name="mine"))] == ["mine"] * 2


async def never() -> None:
    pytest.fail("it ran")


async def opened_by(made: object) -> None:
    """Open it: what is awaited may be checked as late as that."""
    if inspect.isawaitable(made):
        await made


WITH_NAMES = [
    pytest.param(lambda name: timeout(1, name=name), id="timeout"),
    pytest.param(lambda name: timeout_at(1, name=name), id="timeout_at"),
    pytest.param(lambda name: Timeout(1, name=name), id="Timeout"),
    pytest.param(lambda name: wait_for(None, 1, name=name), id="wait_for"),  # type: ignore[arg-type]  # not reached
    pytest.param(lambda name: with_timeout(1, name=name)(never), id="with_timeout"),
]


@pytest.mark.parametrize("make", WITH_NAMES)
async def test_an_empty_name_is_refused(make: Any) -> None:
    """An empty name is a ValueError that names the parameter."""
    with pytest.raises(ValueError, match=r"^name must not be empty"):
        await opened_by(make(""))


@pytest.mark.parametrize("make", WITH_NAMES)
@pytest.mark.parametrize("name", [1, b"bytes", ["list"], {}, object()], ids=lambda name: type(name).__name__)
async def test_a_name_that_is_no_string_is_refused(make: Any, name: object) -> None:
    """What is no string is a TypeError that shows it."""
    with pytest.raises(TypeError, match=r"^name must be a string, not "):
        await opened_by(make(name))


async def test_long_names_are_cut() -> None:
    """A name has at most 120 characters; so has a default one."""
    function: dict[str, Any] = {"timeout": timeout, "__name__": "m" * 200}
    exec("def opens(): return timeout(1)", function)  # noqa: S102  # a module with a long name
    assert [timeout(1, name="n" * 121).name, function["opens"]().name] == ["n" * 120, "m" * 120]


async def test_names_made_of_data_do_not_grow_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past a cap, names and call sites are worked out each time, and work all the same."""
    monkeypatch.setattr(_names, "_MOST", 0)
    monkeypatch.setattr(_names, "known", {})
    monkeypatch.setattr(_names, "sites", {})
    assert [timeout(1, name=f"n{i}").name for i in range(3)] == ["n0", "n1", "n2"]
    assert timeout(1).name == f"{HERE}:test_names_made_of_data_do_not_grow_the_cache"
    assert (_names.known, _names.sites) == ({}, {})

"""Where a task was waiting when its deadline fired: the innermost frame that the user will recognise."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import sys
import types
from collections.abc import AsyncIterator, Awaitable, Coroutine, Generator
from typing import Any

import pytest

from tests.support import VIRTUAL, running_task
from tracedtimeout import DeadlineExceeded, Timeout, timeout, wait_for, with_timeout
from tracedtimeout._core import _where
from tracedtimeout._core._ended import Ended
from tracedtimeout._core._exceeded import Where

pytestmark = pytest.mark.loops(*VIRTUAL)


async def bank() -> None:
    await asyncio.sleep(9)


async def shop() -> None:
    await bank()


IN_BANK = f"tests.core.test_where:{bank.__code__.co_firstlineno + 1} in bank"


async def where(awaitable: Awaitable[object]) -> Where | None:
    """Where it was waiting after a second."""
    with pytest.raises(DeadlineExceeded) as caught:
        async with timeout(1, name="t") as t:
            await awaitable
    assert t.where is caught.value.where
    where: Where | None = caught.value.where
    return where


async def grouped() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(0))
        group.create_task(bank())
        group.create_task(asyncio.sleep(9))


async def task_in_a_group_alone() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(bank(), name="the bank's")


async def stepping() -> AsyncIterator[int]:
    await bank()
    yield 1


async def iterating() -> None:
    async for _ in stepping():
        pytest.fail("it yielded")


@types.coroutine
def old_style() -> Generator[Any, None, None]:
    yield from bank().__await__()


async def in_an_exit_stack() -> None:
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(entering())


@contextlib.asynccontextmanager
async def entering() -> AsyncIterator[None]:
    await bank()
    yield


class Account:
    def __await__(self) -> Generator[Any, None, None]:
        return bank().__await__()


@pytest.mark.parametrize(
    "program",
    [
        bank,
        shop,
        task_in_a_group_alone,
        iterating,
        old_style,
        in_an_exit_stack,
        Account,
        lambda: asyncio.create_task(shop()),
        lambda: asyncio.gather(asyncio.sleep(0), bank(), asyncio.sleep(9)),
        lambda: asyncio.gather(asyncio.gather(shop())),
        lambda: wait_for(shop(), 5),
        lambda: wait_for(asyncio.create_task(shop()), 5),
        with_timeout(5)(shop),
    ],
    ids=[
        "a coroutine",
        "a coroutine in a coroutine",
        "a group's one task, named",
        "an async generator",
        "a generator-based coroutine",
        "a context manager being entered",
        "an object with __await__",
        "a task",
        "a gather's oldest unfinished child",
        "a gather in a gather",
        "wait_for",
        "wait_for of a task",
        "a decorated function",
    ],
)
async def test_where_is_the_innermost_frame_of_the_users_own(program: Any) -> None:
    """Through coroutines, generators, tasks, gathers and groups, to the line that waits."""
    found = await where(program())
    assert found == IN_BANK
    assert (found.module, found.function, found.path) == ("tests.core.test_where", "bank", __file__)


@pytest.mark.loops("virtual", "virtual-debug")  # 3.13.0 calls all eager tasks "None"
async def test_where_is_a_groups_oldest_unfinished_task() -> None:
    """Of several tasks in a group it is the first created that has not ended."""
    assert await where(grouped()) == IN_BANK


async def test_code_of_others_is_passed_over_for_ones_own() -> None:
    """A library that the user's code called is not where the user can look, if there is a frame of the user's own."""
    library: dict[str, Any] = {"asyncio": asyncio, "__name__": "library.pool"}
    exec(compile("async def acquire():\n    await asyncio.sleep(9)\n", "/site/pool.py", "exec"), library)  # noqa: S102

    async def mine() -> None:
        await library["acquire"]()

    line = inspect.getsourcelines(mine)[1] + 1
    assert await where(mine()) == f"tests.core.test_where:{line} in mine"


def module(name: str, code: str, **names: object) -> dict[str, Any]:
    """The names of a module of another package."""
    made: dict[str, Any] = {**names, "__name__": name}
    exec(compile(code, f"/site/{name.replace('.', '/')}.py", "exec"), made)  # noqa: S102
    return made


async def test_ones_own_code_is_that_which_opened_it() -> None:
    """Not that which called it: the place is in the package of the code that opened the timeout, or made `wait_for`."""
    database = module("database.wire", "async def read():\n    await sleep(9)\n", sleep=asyncio.sleep)
    shop = module(
        "shop.orders",
        "async def query():\n    await read()\n"
        "async def order():\n    async with timeout(1):\n        await query()\n"
        "def waits():\n    return wait_for(query(), 1)\n",
        read=database["read"],
        timeout=timeout,
        wait_for=wait_for,
    )
    for awaitable in (shop["order"](), shop["waits"]()):
        with pytest.raises(DeadlineExceeded) as caught:
            await awaitable
        assert caught.value.where == "shop.orders:2 in query"


async def test_ones_own_code_is_that_which_leaves_it_for_another() -> None:
    """A manager of a library that holds a timeout is the code that opened it, though no frame of its own waits."""
    limits = module(
        "limits.managers",
        "class Limited:\n"
        "    async def __aenter__(self):\n        self.held = timeout(1)\n        await self.held.__aenter__()\n"
        "    async def __aexit__(self, *error):\n        return await self.held.__aexit__(*error)\n"
        "async def read():\n    await sleep(9)\n",
        timeout=timeout,
        sleep=asyncio.sleep,
    )
    shop = module(
        "shop.orders",
        "async def query():\n    await read()\nasync def order():\n    async with Limited():\n        await query()\n",
        **limits,
    )
    with pytest.raises(DeadlineExceeded) as caught:
        await shop["order"]()
    assert caught.value.where == "limits.managers:8 in read"


async def test_what_the_standard_library_waits_in_is_where_it_is_awaited() -> None:
    """With no frame but its own, the place is the line of the code that opened the timeout."""
    with pytest.raises(DeadlineExceeded) as caught:
        await wait_for(asyncio.Event().wait(), 1)
    here = test_what_the_standard_library_waits_in_is_where_it_is_awaited
    line = inspect.getsourcelines(here)[1] + 3
    assert caught.value.where == f"tests.core.test_where:{line} in {here.__name__}"


async def test_without_a_frame_of_ones_own_it_is_the_librarys() -> None:
    """Code opened by a package of which no frame waits: the innermost frame outside the standard library will do."""
    library: dict[str, Any] = {"asyncio": asyncio, "__name__": "library.pool"}
    exec(compile("async def acquire():\n    await asyncio.sleep(9)\n", "/site/pool.py", "exec"), library)  # noqa: S102
    places = [_where.Place("library.pool", library["acquire"].__code__, 2)]
    assert _where.innermost(places, "tests") == "library.pool:2 in acquire"
    assert _where.innermost(places, "") == "library.pool:2 in acquire"


async def test_the_standard_library_alone_is_nowhere() -> None:
    """When no frame but the standard library's is left there is no place to name, and the message names none."""

    async def opens() -> None:
        async with timeout(1, name="t"):
            await asyncio.sleep(9)

    assert _where.innermost([_where.Place("asyncio.tasks", asyncio.sleep.__code__, 1)], "asyncio") is None
    with pytest.raises(DeadlineExceeded) as caught:
        await wait_for(asyncio.get_running_loop().create_future(), 0, name="t")
    assert (caught.value.where, str(caught.value)) == (None, "'t' exceeded its 0.000 s deadline after 0.000 s")


@pytest.mark.loops("virtual", "virtual-debug")  # eager tasks would have started
async def test_a_task_given_no_time_tells_where_it_was() -> None:
    """wait_for with 0 seconds says where the task it cancels was waiting."""
    task = asyncio.create_task(shop())
    await asyncio.sleep(0)
    with pytest.raises(DeadlineExceeded) as caught:
        await wait_for(task, 0)
    assert caught.value.where == IN_BANK


@pytest.mark.parametrize("names", [("a", "b"), ("Task-1", "b"), ("Task-1", "Task-b"), ("Task-2", "Task-")])
async def test_a_group_whose_oldest_cannot_be_told_is_where_it_is(names: tuple[str, str]) -> None:
    """Two tasks with names of their own: nothing tells the older, so it is the group's own place."""

    async def two() -> None:
        async with asyncio.TaskGroup() as group:
            for name in names:
                group.create_task(bank(), name=name)

    found = await where(two())
    assert found is not None
    assert found.function == "two"


async def test_a_group_with_nothing_left_is_where_it_is() -> None:
    """Of a group's tasks only the unfinished count."""
    assert _where._oldest([]) is None


class TaskGroup:
    """A group of somebody else's."""

    async def wait(self) -> None:
        await asyncio.get_running_loop().create_future()


async def test_a_group_of_somebody_elses_is_where_it_is() -> None:
    """Into a TaskGroup that is not asyncio's nobody looks."""
    found = await where(TaskGroup().wait())
    assert found is not None
    assert found.function == "wait"
    task = asyncio.create_task(TaskGroup().wait())
    await asyncio.sleep(0)
    assert [place.code.co_name for place in _where.places(task)] == ["wait"]
    task.cancel()


async def test_a_bare_future_ends_the_walk() -> None:
    """A future tells nothing of who will set it: the place is that of the await."""

    async def waits() -> None:
        await asyncio.get_running_loop().create_future()

    found = await where(waits())
    assert found is not None
    assert found.function == "waits"


class Circular(asyncio.Task[None]):
    """A task that seems to wait for itself."""

    @property
    def _fut_waiter(self) -> Circular:
        return self


async def test_tasks_that_wait_for_each_other_end_the_walk() -> None:
    """A circle of tasks is walked once."""
    task = Circular(bank(), loop=asyncio.get_running_loop())
    await asyncio.sleep(0)
    assert [place.code.co_name for place in _where.places(task)] == ["bank", "sleep"]
    task.cancel()


async def test_a_deep_recursion_is_walked_so_far() -> None:
    """Of thousands of frames the first 200 are looked at."""

    async def sinks(deeper: int) -> None:
        if deeper:
            await sinks(deeper - 1)
        else:
            await asyncio.sleep(9)

    found = await where(sinks(300))
    assert found is not None
    assert found.function == "sinks"
    task = asyncio.create_task(sinks(300))
    await asyncio.sleep(0)
    assert len(_where.places(task)) == _where._DEEPEST
    task.cancel()


class Spiteful:
    """An awaitable that raises when looked at."""

    def __await__(self) -> Spiteful:
        return self

    def __iter__(self) -> Spiteful:
        return self

    def __next__(self) -> Any:
        return asyncio.get_running_loop().create_future().__await__().__next__()

    def __getattr__(self, name: str) -> Any:
        if name in {"throw", "send", "close"}:
            raise AttributeError(name)
        raise ZeroDivisionError


async def test_an_awaitable_that_raises_when_looked_at_ends_the_walk() -> None:
    """Whatever a foreign awaitable does when it is looked at, the expiry goes on; what was found before stands."""

    async def waits() -> None:
        await Spiteful()

    found = await where(waits())
    assert found is None or found.function in {"waits", "where"}


async def test_the_opener_is_the_first_frame_outside_ourselves() -> None:
    """The package of the code that opened a timeout; none at all in the standard library alone."""
    opener = _where.opener(inspect.currentframe())
    assert opener is not None
    assert opener.module == __name__
    assert _where.opener(None) is None


async def test_the_opener_is_not_looked_for_where_the_first_frame_is_its_own() -> None:
    """That is so of most; not of one that a manager of somebody else's leaves."""

    def opened_by(held: Timeout) -> _where.Place | None:
        assert isinstance(held._ended, Ended)
        return held._ended.opener

    with pytest.raises(DeadlineExceeded):
        async with timeout(1) as common:
            await asyncio.sleep(9)
    assert opened_by(common) is None
    with pytest.raises(DeadlineExceeded):
        async with contextlib.AsyncExitStack() as stack:
            held = await stack.enter_async_context(timeout(1))
            await asyncio.sleep(9)
    found = opened_by(held)
    assert found is not None
    assert found.code.co_name == "test_the_opener_is_not_looked_for_where_the_first_frame_is_its_own"


async def test_where_reads_as_a_string_and_tells_its_parts() -> None:
    """A Where is a str, so it can be logged, compared and stored as one."""
    place = Where("shop.bank", 88, "charge", "/shop/bank.py")
    assert (place, place.module, place.line) == ("shop.bank:88 in charge", "shop.bank", 88)
    assert running_task() is not None


async def test_a_foreign_awaitable_that_raises_when_it_is_looked_at_ends_the_search() -> None:
    """What was found up to there stands."""

    class Grudging:
        def __getattr__(self, name: str) -> Any:
            raise LookupError(name)

    task = asyncio.create_task(bank())
    await asyncio.sleep(0)
    assert [place.line for place in _where.places(task)][:1] == [bank.__code__.co_firstlineno + 1]

    class Odd(asyncio.Task[None]):
        def get_coro(self) -> Any:
            return Grudging()

    odd = Odd(bank())
    assert _where.places(odd) == []
    for each in (task, odd):
        each.cancel()
    await asyncio.wait([task, odd])
    assert (_where.places(task), _where.through_children(task)) == ([], None)


async def test_places_are_kept_for_so_much_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past that they are looked at each time, and are the same."""
    frame = sys._getframe()
    monkeypatch.setattr(_where, "_ours", {})
    monkeypatch.setattr(_where, "_MOST", 0)
    place = _where.opener(frame)
    assert place is not None
    assert (place.code, _where._ours) == (frame.f_code, {})


class Wraps:
    """An awaitable whose steps are those of a coroutine."""

    def __await__(self) -> Generator[Any, None, None]:
        return bank().__await__()


async def numbers() -> AsyncIterator[int]:
    try:
        await bank()
        yield 1
    finally:
        await bank()


async def in_asend() -> None:
    async for _ in numbers():
        pass


async def in_anext() -> None:
    await anext(numbers(), 0)


async def in_wrapper() -> None:
    await Wraps()


async def in_task() -> None:
    await asyncio.create_task(bank())


async def in_gather() -> None:
    await asyncio.gather(asyncio.sleep(0), asyncio.gather(bank(), shop()))


async def in_group() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(bank())


@pytest.mark.parametrize(
    ("program", "found"),
    [
        (in_asend, ["in_asend", "numbers", "bank", "sleep"]),
        (in_anext, ["in_anext", "numbers", "bank", "sleep"]),
        (in_wrapper, ["in_wrapper", "bank", "sleep"]),
        (in_task, ["in_task", "bank", "sleep"]),
        (in_gather, ["in_gather", "bank", "sleep"]),
        (in_group, ["in_group", "__aexit__", "bank", "sleep"]),
    ],
)
async def test_the_places_of_a_task_lead_through_all_that_it_waits_for(program: Any, found: list[str]) -> None:
    """Generators, awaitables, tasks, gathers and groups: of several children the oldest that is not done."""
    task = asyncio.create_task(program())
    await asyncio.sleep(0.5)
    names = [place.code.co_name for place in _where.places(task)]
    assert [name for name in names if name != "_aexit" and not name.startswith("_wait")] == found  # which not all have
    task.cancel()
    await asyncio.wait([task])


async def test_a_group_that_code_holds_and_does_not_wait_for_is_not_looked_into() -> None:
    """It waits for something else."""

    async def holds(self: asyncio.TaskGroup) -> None:
        async with self:
            self.create_task(bank())
            await asyncio.get_running_loop().create_future()

    task = asyncio.create_task(holds(asyncio.TaskGroup()))
    await asyncio.sleep(0.5)
    assert [place.code.co_name for place in _where.places(task)] == ["holds"]
    task.cancel()
    await asyncio.wait([task])


@pytest.mark.parametrize("depth", [1, 15, 16, 17, 40])
async def test_a_group_is_looked_into_however_deep_it_lies(depth: int) -> None:
    """The place is its child's."""

    async def deep(left: int) -> None:
        if left:
            await deep(left - 1)
        else:
            await in_group()

    assert await where(deep(depth)) == IN_BANK


async def test_what_holds_a_coroutine_and_is_no_step_of_one_leads_nowhere() -> None:
    """A list, say, or an object of somebody else's."""
    held = bank()
    assert _where._behind([held]) is None
    assert _where._awaited_by(TaskGroup()) is None
    held.close()


class Compiled(Coroutine[Any, Any, None]):
    """A coroutine that is none of Python's own, as Cython's are."""

    def __init__(self, inner: Coroutine[Any, Any, None]) -> None:
        self._inner = inner

    def __await__(self) -> Generator[Any, None, None]:
        raise NotImplementedError

    def send(self, value: Any) -> Any:
        return self._inner.send(value)

    def throw(self, *error: Any) -> Any:
        return self._inner.throw(*error)

    def close(self) -> None:
        self._inner.close()


async def test_a_task_whose_coroutine_shows_no_frames_is_looked_into_no_further() -> None:
    """It expires as others do, and is where its error has been."""
    seen: list[Where | None] = []

    async def expires() -> None:
        seen.append(await where(bank()))

    await asyncio.create_task(Compiled(expires()))
    assert seen == [IN_BANK]

"""wait_for: one awaitable under a timeout, in the task that awaits it."""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import Generator
from contextlib import suppress
from typing import Any

import pytest

from tests.support import FLAVOURS, VIRTUAL, figures, running_loop, running_task
from tracedtimeout import DeadlineExceeded, Outcome, timeout, wait_for
from tracedtimeout._core import _observers
from tracedtimeout._core._wait_for import guard

pytestmark = pytest.mark.loops(*VIRTUAL)


async def test_it_takes_its_arguments_as_asyncios_does() -> None:
    """Both by position and both by name."""
    assert await wait_for(asyncio.sleep(0.5, "a"), 1) == "a"
    assert await wait_for(asyncio.sleep(0.5, "b"), timeout=1) == "b"
    assert await wait_for(fut=asyncio.sleep(0.5, "c"), timeout=None) == "c"
    theirs, ours = inspect.signature(asyncio.wait_for), inspect.signature(wait_for)
    assert [*ours.parameters][:2] == [*theirs.parameters]


class Answers:
    """An awaitable that is neither a coroutine nor a future."""

    def __await__(self) -> Generator[Any, None, str]:
        yield from asyncio.sleep(0.5).__await__()
        return "answer"


async def test_it_waits_for_whatever_can_be_awaited() -> None:
    """Coroutines, tasks, futures, gathers and objects with __await__."""
    future = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(0.5, future.set_result, "future")
    assert await wait_for(Answers(), 1) == "answer"
    assert await wait_for(asyncio.create_task(asyncio.sleep(0, "task")), 1) == "task"
    assert await wait_for(future, 1) == "future"
    assert [*await wait_for(asyncio.gather(Answers(), Answers()), 1)] == ["answer", "answer"]


async def test_it_runs_the_awaitable_in_the_same_task() -> None:
    """No task is made of a coroutine: context variables that it sets stay set, and current_task() is the caller's."""

    async def who() -> asyncio.Task[Any]:
        return running_task()

    assert await wait_for(who(), 1) is running_task()


async def test_its_coroutine_is_called_as_the_function() -> None:
    """By tracebacks, by the repr of a task, and by ``python -m asyncio pstree``, which shows the code's name."""
    waiting: Any = wait_for(asyncio.sleep(0), 1)
    code = waiting.cr_code
    assert (waiting.__name__, waiting.__qualname__, code.co_name, code.co_qualname) == ("wait_for",) * 4
    await waiting


async def test_what_cannot_be_awaited_is_a_type_error() -> None:
    """As asyncio's."""
    with pytest.raises(TypeError, match="await"):
        await wait_for(1, 1)  # type: ignore[arg-type]  # on purpose


async def test_the_awaitable_has_ended_when_it_raises() -> None:
    """What was cancelled has had time to clean up."""
    ended = []

    async def slow_to_leave() -> None:
        try:
            await asyncio.sleep(9)
        finally:
            await asyncio.sleep(2)
            ended.append(running_loop().time())

    with pytest.raises(DeadlineExceeded) as caught:
        await wait_for(slow_to_leave(), 1)
    assert (ended, caught.value.elapsed, caught.value.limit) == ([3.0], 3.0, 1.0)


@pytest.mark.parametrize("delay", [0, -1, -math.inf])
async def test_no_time_takes_what_is_done(delay: float) -> None:
    """With no time, the result of a future that is done, or its exception, comes back."""
    loop = asyncio.get_running_loop()
    done, failed, cancelled = loop.create_future(), loop.create_future(), loop.create_future()
    done.set_result("done")
    failed.set_exception(KeyError())
    cancelled.cancel()
    assert await wait_for(done, delay) == "done"
    with pytest.raises(KeyError):
        await wait_for(failed, delay)
    with pytest.raises(asyncio.CancelledError):
        await wait_for(cancelled, delay)
    assert running_task().cancelling() == 0


@pytest.mark.parametrize("delay", [0, -1])
async def test_no_time_cancels_what_is_not_done(delay: float) -> None:
    """With no time, a future or task that is not done is cancelled, and has ended before it raises."""
    task = asyncio.create_task(asyncio.sleep(9))
    with pytest.raises(DeadlineExceeded) as caught:
        await wait_for(task, delay, name="t")
    assert (task.cancelled(), running_task().cancelling(), running_loop().time()) == (True, 0, 0.0)
    assert (caught.value.name, caught.value.owner, caught.value.limit) == ("t", "t", 0.0)


@pytest.mark.loops("virtual", "virtual-debug")  # eager tasks start at once, whatever their time
async def test_with_no_time_a_coroutine_never_starts() -> None:
    """A coroutine that is given no time is closed, not run."""

    async def starts() -> None:
        pytest.fail("it started")

    with pytest.raises(DeadlineExceeded):
        await wait_for(starts(), 0)


async def test_with_no_time_a_task_that_ends_well_all_the_same_gives_its_result() -> None:
    """What a task returns in answer to its cancellation is the result, as asyncio has it."""

    async def stubborn() -> str:
        try:
            await asyncio.sleep(9)
        except asyncio.CancelledError:
            return "all the same"
        return "never"

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    assert await wait_for(task, 0) == "all the same"


async def test_with_no_time_a_cancellation_from_outside_passes() -> None:
    """Cancelled while the task it gave up on cleans up, it is cancelled."""

    async def slow_to_leave() -> None:
        try:
            await asyncio.sleep(9)
        finally:
            await asyncio.sleep(2)

    inner = asyncio.create_task(slow_to_leave())
    await asyncio.sleep(0)
    outer = asyncio.create_task(wait_for(inner, 0))
    asyncio.get_running_loop().call_later(1, outer.cancel)
    await asyncio.wait([outer])
    assert outer.cancelled()
    with suppress(asyncio.CancelledError):
        await inner


@pytest.mark.loops("virtual", "virtual-debug")  # eager tasks fail before they are given no time
async def test_with_no_time_the_exception_of_what_it_cancels_passes() -> None:
    """What a task raises in answer to its cancellation is raised, as it is."""

    async def fails() -> None:
        try:
            await asyncio.sleep(9)
        finally:
            raise KeyError

    task = asyncio.create_task(fails())
    await asyncio.sleep(0)
    with pytest.raises(KeyError) as caught:
        await wait_for(task, 0, name="t")
    assert isinstance(caught.value.__context__, asyncio.CancelledError)
    assert figures("t") == {
        "duration": {"replaced": 1},
        "expirations": {"replaced": 1},
        "limit": 1,
        "unwind": 1,
    }


async def test_with_no_time_its_limit_is_nothing_wherever_it_is() -> None:
    """Inside a timeout, too, wait_for with 0 seconds is granted 0 seconds, and has no utilization."""
    with pytest.raises(DeadlineExceeded) as caught:
        async with timeout(1):
            await wait_for(asyncio.get_running_loop().create_future(), 0, name="t")
    assert (caught.value.limit, caught.value.owner) == (0.0, "t")
    assert str(caught.value) == "'t' exceeded its 0.000 s deadline after 0.000 s"
    assert figures("t") == {"duration": {"expired": 1}, "expirations": {"expired": 1}, "limit": 1, "unwind": 1}


async def test_an_enclosing_deadline_ends_it() -> None:
    """Inside a timeout it ends at the earlier of the two, and only one raises."""
    outcomes = []
    _observers.add(lambda opened: lambda closed: outcomes.append((closed.name, closed.outcome)))
    with pytest.raises(DeadlineExceeded) as caught:
        async with timeout(1, name="outer"):
            await wait_for(asyncio.sleep(9), 5, name="inner")
    assert caught.value.name == "outer"
    assert outcomes == [("inner", Outcome.INHERITED), ("outer", Outcome.EXPIRED)]


async def test_one_that_expires_is_left_once() -> None:
    """Observers see an expired one, and the timeout around it one that took its time, though it is the last of its lane
    while another timer is armed: that is when exits that were broken off are cleared up."""
    seen: list[tuple[str, bool, Outcome | None]] = []
    _observers.add(lambda opened: lambda closed: seen.append((closed.name, closed.expired(), closed.outcome)))
    async with timeout(50, name="around") as around:
        with suppress(TimeoutError):
            await wait_for(asyncio.sleep(9), 1, name="t")
        assert [(each.name, each.seconds, each.count) for each in around.spent] == [("t", 1.0, 1)]
    assert seen == [("t", True, Outcome.EXPIRED), ("around", False, Outcome.COMPLETED)]


async def test_what_is_rejected_is_disposed_of() -> None:
    """Rejected for want of budget: a coroutine is closed unrun, a future cancelled, with no warning of either."""
    future = asyncio.get_running_loop().create_future()
    timed, at_once = asyncio.sleep(9), asyncio.sleep(9)
    for delay, awaitable in ((5, timed), (5, future), (5, Answers()), (0, at_once)):
        with pytest.raises(DeadlineExceeded, match=r"needs 2\.000 s and (1\.000 s is left|its own limit)"):
            async with timeout(1, name="outer"):
                await wait_for(awaitable, delay, at_least=2)
    states = [inspect.getcoroutinestate(coroutine) for coroutine in (timed, at_once)]
    at_once.close()
    assert (states, future.cancelled()) == (["CORO_CLOSED", "CORO_CLOSED"], True)


@pytest.mark.parametrize(
    ("value", "error"), [(math.nan, ValueError), (10**400, ValueError), ("1", TypeError)], ids=["nan", "huge", "string"]
)
async def test_a_bad_delay_is_refused(value: Any, error: type[Exception]) -> None:
    """NaN, huge numbers and strings are refused in the caller's words, when it is awaited."""
    future = asyncio.get_running_loop().create_future()
    with pytest.raises(error, match=r" must be a number of seconds, not "):
        await wait_for(future, value)


async def test_a_function_is_refused_and_what_has_no_limit_is_refused_too() -> None:
    """The one says that it is to be called; the other is disposed of where it needs more than is left."""
    function: Any = asyncio.sleep
    with pytest.raises(TypeError, match=r": call it$"):
        await wait_for(function, 1)
    future = asyncio.get_running_loop().create_future()
    async with timeout(1):
        with pytest.raises(DeadlineExceeded):
            await wait_for(future, None, at_least=2)
    assert future.cancelled()


@pytest.mark.slow  # uvloop has no virtual time; nothing waits for the clock
def test_with_no_limit_it_is_counted_and_lasts_as_long_on_a_loop_of_another_clock() -> None:
    """uvloop's deadlines stand on a clock that its durations are not measured by."""

    async def twice() -> None:
        for _ in range(2):
            await wait_for(asyncio.sleep(0), None, name="waits")

    loop = FLAVOURS["uvloop"]()
    loop.run_until_complete(twice())
    loop.close()
    assert figures("waits")["duration"] == {"completed": 2}


@pytest.mark.parametrize("delay", [0, 1])
async def test_another_that_is_left_in_the_midst_of_its_end_changes_nothing(delay: float) -> None:
    """The garbage collector may close a coroutine at any line, and with the last timeout of a lane the loop clears up
    what exits that broke off have left: not what is being left."""

    async def dropped() -> None:
        async with timeout(5.0, name="dropped"):
            await asyncio.sleep(50.0)

    other: Any = dropped()
    await asyncio.create_task(_begin(other))

    class Caller(dict[str, Any]):
        """The names of the code that called, asked for as it ends."""

        def get(self, key: str, default: Any = None) -> Any:
            other.close()
            return super().get(key, default)

    with pytest.raises(TimeoutError):
        await guard(asyncio.sleep(9.0), delay, "guarded", "wait_for", 0.0, None, Caller(__name__="tests"))
    assert figures("dropped")["duration"] == {"failed": 1}
    assert figures("guarded")["duration"] == {"expired": 1}


async def _begin(coroutine: Any) -> None:
    coroutine.send(None)

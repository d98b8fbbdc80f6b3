"""Timeouts on two loops, each in its thread, with clocks of other origins: one budget, in virtual time."""

from __future__ import annotations

import asyncio
import contextvars
import random
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any

import pytest

from tests.schedules.turns import Loop, LoopPlayer, Turns
from tests.support import figures, running_task
from tests.support.watching import at_once
from tracedtimeout import DeadlineExceeded, Outcome, Timeout, budget, timeout
from tracedtimeout._core._loop import state_of

LATER = 1024.0
"""How much further the second loop's clock is."""


class Two:
    """Two loops that take turns, and who runs on the second."""

    def __init__(self) -> None:
        turns = Turns(random.Random(0))
        turns.eager = 0.0
        self._turns = turns
        self._loops = [Loop(turns, 0.0), Loop(turns, LATER)]
        self._errors: list[BaseException] = []

    def run(self, main: Coroutine[Any, Any, None]) -> None:
        """Run `main` on the first loop, until both have nothing to do."""
        for loop in self._loops:
            LoopPlayer(self._turns, loop, loop.run_forever)
        self._start(self._loops[0], main)
        self._turns.play()
        for loop in self._loops:
            loop.close()
        assert self._errors == []

    def there(self, work: Coroutine[Any, Any, None]) -> Awaitable[None]:
        """Run `work` on the second loop, in a copy of this context; what is returned ends with it."""
        here = asyncio.get_running_loop()
        ended = here.create_future()
        done = lambda _: here.call_soon_threadsafe(ended.set_result, None)  # noqa: E731  # a name for it
        context = contextvars.copy_context()
        self._loops[1].call_soon_threadsafe(lambda: self._start(self._loops[1], work, done), context=context)
        return ended

    def _start(
        self, loop: Loop, work: Coroutine[Any, Any, None], done: Callable[[Any], object] = lambda _: None
    ) -> None:
        task = loop.create_task(work)
        task.add_done_callback(self._look_at)
        task.add_done_callback(done)

    def _look_at(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._errors.append(error)


@pytest.fixture
def two() -> Two:
    return Two()


def test_a_deadline_holds_on_another_loop(two: Two) -> None:
    """It is told on that loop's clock, and moves at once."""
    seen: list[float | None] = []

    async def inner() -> None:
        async with timeout(9.0, name="inner") as there:
            for _ in range(3):
                seen.append(there.deadline())
                await asyncio.sleep(1)

    async def main() -> None:
        async with timeout(5.0, name="outer") as outer:
            ended = two.there(inner())
            await asyncio.sleep(0.5)
            outer.reschedule(7.0)
            await asyncio.sleep(1)
            outer.reschedule(None)
            await ended

    two.run(main())
    assert seen == [LATER + 5.0, LATER + 7.0, LATER + 9.0]


@pytest.mark.parametrize("within", [True, False], ids=["in a budget", "plain"])
def test_work_on_another_loop_ends_with_the_timeout_that_fired(two: Two, within: bool) -> None:
    """It is nobody's there, so it ends as that is left, for its owner; budgets in between are no matter."""
    ends: list[tuple[str, str, float]] = []

    async def inner() -> None:
        try:
            async with timeout(9.0, name="inner"):
                await asyncio.sleep(99)
        except DeadlineExceeded as exc:
            ends.append((exc.name, exc.owner, asyncio.get_running_loop().time()))

    async def in_budget() -> None:
        with budget(50.0):
            await inner()

    async def main() -> None:
        with pytest.raises(DeadlineExceeded):
            async with timeout(2.0, name="outer"):
                two.there(in_budget() if within else inner())
                await asyncio.sleep(99)

    two.run(main())
    assert ends == [("inner", "outer", LATER + 2.0)]
    assert figures("inner")["duration"] == {"inherited": 1}


def test_what_another_loop_took_is_told(two: Two) -> None:
    """What was left there is among what the timeout around it spent its time on."""

    async def inner() -> None:
        async with timeout(9.0, name="inner"):
            await asyncio.sleep(1)

    async def main() -> None:
        with pytest.raises(DeadlineExceeded, match=r"1\.000 s in inner"):
            async with timeout(2.0, name="outer"):
                await two.there(inner())
                await asyncio.sleep(99)

    two.run(main())


@pytest.mark.parametrize("nested", [False, True], ids=["alone", "in another"])
def test_a_reserve_on_another_loop_follows(two: Two, nested: bool) -> None:
    """It ends so long before the deadline around it, wherever that moves to, through a timeout in between too."""
    fired: list[float] = []

    async def inner() -> None:
        with pytest.raises(DeadlineExceeded):
            async with timeout(None, reserve=1.0, name="inner"):
                await asyncio.sleep(99)
        fired.append(asyncio.get_running_loop().time())

    async def in_another() -> None:
        async with timeout(50.0, name="between"):
            await inner()

    async def main() -> None:
        async with timeout(5.0, name="outer") as outer:
            ended = two.there(in_another() if nested else inner())
            await asyncio.sleep(0.5)
            outer.reschedule(3.0)
            await ended

    two.run(main())
    assert fired == [LATER + 2.0]


def test_a_child_on_another_loop_is_its_grandparents_once_its_parent_is_left(two: Two) -> None:
    """Who is handed on ends with the next around it that fires."""
    ends: list[tuple[str, float]] = []

    async def inner() -> None:
        try:
            async with timeout(9.0, name="inner"):
                await asyncio.sleep(99)
        except DeadlineExceeded as exc:
            ends.append((exc.owner, asyncio.get_running_loop().time()))

    async def main() -> None:
        with pytest.raises(DeadlineExceeded):
            async with timeout(2.0, name="outer"):
                async with timeout(1.0, name="between"):
                    two.there(inner())
                    await asyncio.sleep(0.5)
                await asyncio.sleep(99)

    two.run(main())
    assert ends == [("outer", LATER + 2.0)]


def test_a_budget_of_a_child_there_ends_with_what_it_holds(two: Two) -> None:
    """Left once it had fired, the one around ends what the other loop has in a budget, as if that were not there."""
    ends: list[tuple[str, float]] = []

    async def inner() -> None:
        try:
            with budget(50.0):
                async with timeout(9.0, name="inner"):
                    await asyncio.sleep(99)
        except DeadlineExceeded as exc:
            ends.append((exc.owner, asyncio.get_running_loop().time()))

    async def main() -> None:
        with pytest.raises(DeadlineExceeded):
            async with timeout(1.0, name="outer"):
                two.there(inner())
                await asyncio.sleep(99)

    two.run(main())
    assert ends == [("outer", LATER + 1.0)]


def test_what_is_opened_there_beneath_one_that_has_fired_ends_at_once(two: Two) -> None:
    """For another loop it is spent for good: in its clean-up, and when it was left."""
    ends: list[tuple[str, float]] = []

    async def inner() -> None:
        try:
            async with timeout(9.0, name="inner"):
                await asyncio.sleep(99)
        except DeadlineExceeded as exc:
            ends.append((exc.owner, asyncio.get_running_loop().time()))

    async def main() -> None:
        with pytest.raises(DeadlineExceeded):
            async with timeout(1.0, name="outer"):
                try:
                    await asyncio.sleep(99)
                finally:
                    await two.there(inner())

    two.run(main())
    assert ends == [("outer", LATER + 1.0)]


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(None, "completed"), (LookupError("there"), "failed"), (asyncio.CancelledError(), "cancelled")],
)
def test_an_exit_in_another_thread_is_counted_by_its_loop(two: Two, error: BaseException | None, outcome: str) -> None:
    """Who leaves a timeout of another loop hands over what is to be counted, and told to the one around it."""
    made: list[Any] = []

    async def leave() -> None:
        await made[0].__aexit__(None if error is None else type(error), error, None)

    async def main() -> None:
        async with timeout(9.0, name="around") as around:
            made.append(timeout(9.0, name="handed"))
            await made[0].__aenter__()
            await two.there(leave())
            await asyncio.sleep(0.5)
            assert figures("handed")["duration"] == {outcome: 1}
            assert [each.name for each in around.spent] == ["handed"]

    two.run(main())
    assert (figures("handed")["duration"], figures("handed").get("active")) == ({outcome: 1}, None)


def test_an_exit_in_another_thread_is_counted_when_its_loop_is_gone() -> None:
    """Nobody is there to hand it over to, so it is counted where it is left."""

    async def main() -> Any:
        handed = timeout(9.0, name="handed")
        await handed.__aenter__()
        return handed

    loop = asyncio.new_event_loop()
    handed = loop.run_until_complete(main())
    loop.close()
    error = LookupError("there")
    leaving = threading.Thread(target=lambda: at_once(handed.__aexit__(LookupError, error, None)))
    leaving.start()
    leaving.join()
    assert figures("handed")["duration"] == {"failed": 1}


def test_what_is_cancelled_for_a_deadline_of_another_loop_was_ended_by_it(two: Two) -> None:
    """Who is ended by that has the work there cancelled, and waits for it."""
    workers: list[asyncio.Task[Any]] = []
    seen: list[Timeout] = []

    async def inner() -> None:
        workers.append(running_task())
        async with timeout(9.0, name="inner") as there:
            seen.append(there)
            await asyncio.sleep(50.0)

    async def main() -> None:
        with suppress(TimeoutError):
            async with timeout(2.0, name="outer"):
                ended = two.there(inner())
                try:
                    await asyncio.sleep(50.0)
                finally:
                    workers[0].get_loop().call_soon_threadsafe(workers[0].cancel)
                    await ended

    two.run(main())
    assert [(each.outcome, each.owner) for each in seen] == [(Outcome.INHERITED, "outer")]


def test_what_may_fire_on_another_loop_is_looked_at_by_each_exit(two: Two) -> None:
    """It does so without a word, so that nothing beneath it is known to who is left next."""
    known: list[list[object]] = []

    async def inner() -> None:
        with suppress(TimeoutError):
            async with timeout(1.0), timeout(8.0):
                try:
                    async with timeout(9.0):
                        await asyncio.sleep(99)
                finally:
                    known.append(list(state_of(asyncio.get_running_loop()).around))

    async def main() -> None:
        async with timeout(5.0):
            await two.there(inner())

    two.run(main())
    assert known == [[]]

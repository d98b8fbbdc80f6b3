"""Leaving: what an exit tells, frees and takes back, also one that is refused, broken off, or in another thread."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from contextvars import ContextVar, copy_context
from typing import Any, cast

import pytest

from tests.support import figures, running_loop, running_task
from tests.support.watching import Ended, at_once, live_timers
from tracedtimeout import (
    DeadlineExceeded,
    Outcome,
    Timeout,
    View,
    budget,
    checkpoint,
    detach,
    remaining,
    timeout,
    wait_for,
)
from tracedtimeout._core import _observers
from tracedtimeout._core._exceeded import Where
from tracedtimeout._core._hot import enter, leave, left_by
from tracedtimeout._core._lane import Lane
from tracedtimeout._core._loop import state_of
from tracedtimeout._core._open import open_timeouts
from tracedtimeout._core.figures import _metrics, _process
from tracedtimeout.testing import VirtualClockLoop, run

pytestmark = pytest.mark.loops("virtual")


def recorded(metric: _metrics.Metric, *labels: str) -> _process.Histogram:
    """All that was recorded under these labels."""
    found = _process.snapshot()[metric][labels]
    assert isinstance(found, _process.Histogram)
    return found


# Refused


async def test_what_is_refused_tells_what_was_left_and_whose() -> None:
    """It has the deadline of the one around it from then on, and keeps no task."""
    refused = timeout(5.0, name="refused", at_least=0.5)
    async with timeout(1.0, name="around"):
        await asyncio.sleep(0.75)
        with pytest.raises(DeadlineExceeded) as caught:
            await refused.__aenter__()
    assert (caught.value.rejected, caught.value.owner, caught.value.limit) == (True, "around", 0.25)
    assert (refused.deadline(), refused.owner, refused.limit, refused.source) == (1.0, "around", 0.25, "inherited")
    assert (refused.outcome, refused._task) == (Outcome.REJECTED, None)


async def test_what_is_refused_for_its_own_limit_tells_how_much_of_it_was_left() -> None:
    """Of a second, half was gone as it was entered."""
    refused = timeout(1.0, name="refused", at_least=0.75)
    await asyncio.sleep(0.5)
    with pytest.raises(DeadlineExceeded, match=r"^'refused' needs 0\.750 s and its own limit is 0\.500 s$") as caught:
        await refused.__aenter__()
    assert (caught.value.limit, refused.limit, refused.owner) == (0.5, 0.5, "refused")


@pytest.mark.parametrize(
    ("blocked", "outcomes"),
    [
        (0.5, (Outcome.FAILED, Outcome.FAILED)),
        (1.0, (Outcome.EXPIRED, Outcome.INHERITED)),
        (1.5, (Outcome.EXPIRED, Outcome.INHERITED)),
    ],
)
async def test_a_refusal_expires_who_has_nothing_left(blocked: float, outcomes: tuple[Outcome, Outcome]) -> None:
    """With some time left it is an error of the body's; with none it tells that the deadline has passed."""
    with pytest.raises(DeadlineExceeded):
        async with timeout(1.0) as around, timeout(9.0) as between:
            running_loop().block(blocked)
            async with timeout(5.0, at_least=2.0):
                pytest.fail("its body ran")
    assert (around.outcome, between.outcome) == outcomes


async def test_observers_are_told_of_a_refusal_with_its_error() -> None:
    """It opens and ends at once."""
    told: list[object] = []

    def opened(view: View, /) -> Callable[[View], None]:
        return lambda ended: told.append((ended.outcome, type(ended.error)))

    _observers.add(opened)
    with suppress(DeadlineExceeded):
        async with timeout(1.0, at_least=2.0):
            pytest.fail("its body ran")
    assert told == [(Outcome.REJECTED, DeadlineExceeded)]


# What an exit leaves


async def test_one_that_fails_is_kept_by_nobody() -> None:
    """Nor one with a reserve, by those around it."""
    async with timeout(9.0):
        for reserve in (None, 1.0):
            failing = timeout(5.0, reserve=reserve)
            with suppress(ValueError):
                async with failing:
                    raise ValueError
            gone = weakref.ref(failing)
            del failing
            async with timeout(1.0):  # the context leads to the last one
                pass
            gc.collect()
            assert gone() is None


@pytest.mark.parametrize("at_least", [0.0, 0.5], ids=["straight", "with an option"])
async def test_what_was_known_of_a_nest_that_ended_is_forgotten(at_least: float) -> None:
    """A nest that is cancelled is walked once; with the last that had fired, what was found is let go of."""
    with suppress(TimeoutError):
        async with timeout(1.0, at_least=at_least), timeout(8.0), timeout(9.0):
            await asyncio.sleep(50.0)
    assert state_of(asyncio.get_running_loop()).around == {}


async def test_one_that_expired_beneath_another_that_is_open_leaves_that_in_force() -> None:
    """Left out of order: the inner one still bounds what comes, until it is left."""
    inner = timeout(3.0)
    with suppress(TimeoutError):
        async with timeout(1.0):
            await inner.__aenter__()
            await asyncio.sleep(50.0)
    assert remaining() == 2.0
    await inner.__aexit__(None, None, None)
    assert remaining() == float("inf")


@pytest.mark.parametrize("delay", [1.0, 3.0], ids=["its own", "that around"])
async def test_one_that_is_open_beneath_what_a_deadline_ended_is_handed_on(delay: float) -> None:
    """Left out of order: from then on it is unfinished work of the next one around."""
    inner = timeout(50.0, name="inner")
    with pytest.raises(DeadlineExceeded) as caught:
        async with timeout(5.0):
            with suppress(TimeoutError):
                async with timeout(2.0, name="around"), timeout(delay, name="ended"):
                    await inner.__aenter__()
                    await asyncio.sleep(50.0)
            await asyncio.sleep(50.0)
    await inner.__aexit__(None, None, None)
    assert [str(each) for each in caught.value.spent] == [
        f"{min(delay, 2.0):.3f} s in around",
        "5.000 s in inner (unfinished)",
    ]


async def test_a_name_past_the_cap_is_the_one_that_took_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is counted with others, and the one around it tells it by its own."""
    monkeypatch.setattr(_process, "max_names", 0)
    async with timeout(9.0) as around:
        with suppress(ValueError):
            async with timeout(5.0, name="past the cap"):
                await asyncio.sleep(0.5)
                raise ValueError
    assert [str(each) for each in around.spent] == ["0.500 s in past the cap"]


async def test_an_expiry_tells_the_limit_as_the_code_has_it() -> None:
    """To the last digit, on a loop whose durations are measured by another clock than its deadlines."""
    state_of(running_loop()).timed_apart = True
    await asyncio.sleep(0.13)
    assert (0.13 + 1.0) - 0.13 != 1.0
    with pytest.raises(DeadlineExceeded) as caught:
        async with timeout(1.0) as expired:
            await asyncio.sleep(50.0)
    assert (caught.value.limit, expired.limit) == (1.0, 1.0)


@pytest.mark.parametrize("at_least", [0.0, 0.5], ids=["straight", "with an option"])
async def test_an_expiry_leaves_no_timer(at_least: float) -> None:
    """Nor does what it ended, which had one of its own."""
    with suppress(TimeoutError):
        async with timeout(1.0), timeout(9.0, at_least=at_least):
            await asyncio.get_running_loop().create_future()
    assert live_timers(asyncio.get_running_loop()) == []


async def test_one_that_was_moved_is_counted_as_used() -> None:
    """In time is in time, however short: a share of its limit was used."""
    async with timeout(9.0, name="moved") as moved:
        moved.reschedule(running_loop().time() + 0.5)
        await asyncio.sleep(0.25)
    assert moved.outcome is Outcome.COMPLETED
    assert recorded(_metrics.UTILIZATION, "moved").total == 0.5


async def test_of_two_that_fired_the_one_whose_cancellation_stands_is_the_one() -> None:
    """That of the other was taken back inside, before."""
    with suppress(TimeoutError):
        async with timeout(1.0, name="outer"), timeout(2.0, name="between"), timeout(9.0) as inner:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(50.0)
            running_task().uncancel()
            await asyncio.sleep(50.0)
    assert (inner.outcome, inner.owner) == (Outcome.INHERITED, "between")


# Errors that code keeps for later


async def test_an_expiry_found_by_code_and_raised_late_is_as_it_was() -> None:
    """Raised in the place of the cancellation, it is what leaves, with that alone in its context, which tells where."""
    places: list[Where | None] = []

    def opened(view: View, /) -> Callable[[View], None]:
        return lambda ended: places.append(ended.where)

    _observers.add(opened)
    with pytest.raises(DeadlineExceeded) as caught:
        async with timeout(1.0, name="own") as own:
            running_loop().block(1.5)
            with pytest.raises(DeadlineExceeded) as found:
                checkpoint()
            try:
                await asyncio.sleep(50.0)
            except asyncio.CancelledError:
                raise found.value  # noqa: B904  # kept for later
    assert caught.value is found.value
    assert isinstance(caught.value.__context__, asyncio.CancelledError)
    assert own.outcome is Outcome.EXPIRED
    traceback = caught.value.__context__.__traceback__
    assert traceback is not None
    assert [place and (place.line, place.path) for place in places] == [(traceback.tb_lineno, __file__)]


async def test_an_expiry_found_by_code_waited_nowhere() -> None:
    """Nobody was waiting as the deadline was found to have passed."""
    places: list[Where | None] = []

    def opened(view: View, /) -> Callable[[View], None]:
        return lambda ended: places.append(ended.where)

    _observers.add(opened)
    with suppress(TimeoutError):
        async with timeout(1.0):
            running_loop().block(1.5)
            checkpoint()
    assert places == [None]


async def test_an_expiry_of_another_raised_late_has_ours_in_its_context() -> None:
    """As any error of a body that was ended: who reads it sees that the timeout inside had fired as well."""
    with pytest.raises(DeadlineExceeded) as caught:
        async with timeout(1.0, name="outer") as outer:
            running_loop().block(1.5)
            with pytest.raises(DeadlineExceeded) as found:
                checkpoint()
            outer.reschedule(running_loop().time() + 9.0)
            async with timeout(-1.0, name="inner") as inner:
                try:
                    await asyncio.sleep(50.0)
                except asyncio.CancelledError:
                    raise found.value  # noqa: B904  # kept for later
    assert caught.value is found.value
    context = caught.value.__context__
    assert isinstance(context, DeadlineExceeded)
    assert (context.name, inner.outcome) == ("inner", Outcome.INHERITED)


# In another thread


def elsewhere(step: Callable[[], None]) -> None:
    """Run `step` in another thread, to its end."""
    thread = threading.Thread(target=step)
    thread.start()
    thread.join()


async def test_left_twice_in_another_thread_it_is_counted_once() -> None:
    """The second exit is an error, also before the loop has heard of the first."""
    held, failed = timeout(5.0, name="held"), list[BaseException]()
    await held.__aenter__()

    def leave() -> None:
        for _ in range(2):
            try:
                at_once(held.__aexit__(ValueError, ValueError(), None))
            except AssertionError as exc:
                failed.append(exc)

    elsewhere(leave)
    await asyncio.sleep(0)
    assert ([str(each) for each in failed], held.outcome) == (
        ["a Timeout that is finished cannot be left"],
        Outcome.FAILED,
    )
    assert figures("held")["duration"] == {"failed": 1}


async def test_left_in_another_thread_its_observers_hear_with_what() -> None:
    """In the thread of its loop, a turn later."""
    told: list[object] = []

    def opened(view: View, /) -> Callable[[View], None]:
        return lambda ended: told.append((ended.error, threading.get_ident()))

    _observers.add(opened)
    held, error = timeout(5.0), ValueError()
    await held.__aenter__()
    elsewhere(lambda: at_once(held.__aexit__(ValueError, error, None)))
    await asyncio.sleep(0)
    assert told == [(error, threading.get_ident())]


@pytest.mark.parametrize("around", [None, 5.0], ids=["alone", "nested"])
@pytest.mark.parametrize("fires", [True, False], ids=["fired", "in time"])
async def test_left_in_another_thread_it_keeps_the_deadline_that_it_had(around: float | None, *, fires: bool) -> None:
    """Its own, though it has fired, or though one around it ends later; and the limit that it was granted."""
    async with timeout(around):
        held = timeout(1.0, name="held")
        await held.__aenter__()
        deadline = held.when()
        if fires:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(3.0)
        elsewhere(lambda: at_once(held.__aexit__(ValueError, ValueError(), None)))
        await asyncio.sleep(0)
    told = (held.deadline(), held.limit, held.owner, held.source)
    assert told == (deadline, 1.0, "held", "own")


def test_left_in_another_thread_once_its_loop_is_closed_it_keeps_no_task() -> None:
    """Nobody runs there who could let go of it later."""
    loop, tasks = VirtualClockLoop(), list[weakref.ref[asyncio.Task[None]]]()
    held = list[Timeout]()

    async def main() -> None:
        tasks.append(weakref.ref(running_task()))
        held.append(timeout(5.0))
        await held[0].__aenter__()
        await timeout(None).__aenter__()

    loop.run_until_complete(main())
    loop.close()
    elsewhere(lambda: at_once(held[0].__aexit__(ValueError, ValueError(), None)))
    gc.collect()
    assert (held[0].outcome, tasks[0](), held[0]._inner) == (Outcome.FAILED, None, None)


async def test_ended_by_a_timeout_of_another_loop_it_has_the_deadline_on_its_own_clock() -> None:
    """That of the moment at which it is left: the other has passed. Here something unwinds as well."""
    entered, fired = threading.Event(), threading.Event()
    told = list[object]()

    async def cleans_up() -> None:
        async with timeout(1.0):
            try:
                await asyncio.sleep(50.0)
            finally:
                await asyncio.sleep(50.0)

    async def there() -> None:
        unwinding = asyncio.create_task(cleans_up())
        with suppress(asyncio.CancelledError):
            async with timeout(7.0) as inner:
                await asyncio.sleep(2.0)
                entered.set()
                fired.wait(10)
                running_loop().call_soon(running_task().cancel)
                await asyncio.sleep(50.0)
        told.extend([inner.outcome, inner.owner, inner.deadline()])
        unwinding.cancel()

    with suppress(TimeoutError):
        async with timeout(1.0, name="here"):
            thread = threading.Thread(target=copy_context().run, args=(run, there()))
            thread.start()
            entered.wait(10)
            try:
                await asyncio.sleep(50.0)
            finally:
                fired.set()
                thread.join()
    assert told == [Outcome.INHERITED, "here", 2.0]


# Broken off


class Strike(BaseException):
    """As a signal's handler raises."""


class StruckLoop(VirtualClockLoop):
    """A loop at whose clock's next readings an exception is raised, as often as that is asked for."""

    strikes = 0

    def time(self) -> float:
        if self.strikes:
            self.strikes -= 1
            raise Strike
        return super().time()


@pytest.fixture
def struck() -> StruckLoop:
    return StruckLoop()


def test_an_exit_that_is_broken_off_is_over(struck: StruckLoop) -> None:
    """It is counted once, as failed, in no time; observers hear of it; it binds nothing, and nobody keeps it."""
    told: list[object] = []

    def opened(view: View, /) -> Callable[[View], None]:
        return lambda ended: told.append((ended.name, ended.outcome))

    async def main() -> None:
        _observers.add(opened)
        async with timeout(9.0, name="around") as around:
            broken = timeout(5.0, name="broken")
            await broken.__aenter__()
            await asyncio.sleep(0.5)
            struck.strikes = 1
            with pytest.raises(Strike):
                await broken.__aexit__(None, None, None)
            assert (broken.outcome, broken.expired(), broken._task) == (Outcome.FAILED, False, None)
            assert (remaining(), around.deadline(), state_of(struck).pending) == (8.5, 9.0, {})
            assert told == [("broken", Outcome.FAILED)]
        assert [(each.name, each.seconds, each.count) for each in around.spent] == [("broken", 0.0, 1)]
        assert figures("broken") == {"duration": {"failed": 1}, "limit": 1}
        assert recorded(_metrics.DURATION, "broken", "failed").total == 0.0

    struck.run_until_complete(main())
    struck.close()


def test_what_lies_beneath_an_exit_that_is_broken_off_has_the_next_deadline(struck: StruckLoop) -> None:
    """A child task's timeout is bound, and ended, by the one around from then on."""

    async def main() -> None:
        child = Ended()
        with suppress(TimeoutError):
            async with timeout(3.0, name="around"):
                broken = timeout(2.0, name="broken")
                await broken.__aenter__()
                task = asyncio.create_task(child.watch(delay=8.0))
                await asyncio.sleep(0.5)
                struck.strikes = 1
                with pytest.raises(Strike):
                    await broken.__aexit__(None, None, None)
                assert child.timeout.deadline() == 3.0
                await asyncio.sleep(50.0)
        await task
        assert (child.at, child.owner) == (3.0, "around")

    struck.run_until_complete(main())
    struck.close()


def test_an_exit_whose_clearing_up_is_broken_off_too_is_counted_once(struck: StruckLoop) -> None:
    """The next turn of the loop's timer goes on with it."""

    async def main() -> None:
        async with timeout(1.0):
            broken = timeout(5.0, name="broken")
            await broken.__aenter__()
            struck.strikes = 2
            with pytest.raises(Strike):
                await broken.__aexit__(None, None, None)
            assert (broken.outcome, list(state_of(struck).pending)) == (Outcome.FAILED, [broken])
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(2.0)
            assert (broken._task, state_of(struck).pending) == (None, {})
        assert figures("broken")["duration"] == {"failed": 1}

    struck.run_until_complete(main())
    struck.close()


@pytest.mark.parametrize("fires", [True, False], ids=["fired", "cancelled by another"])
def test_an_exit_that_is_broken_off_takes_back_its_own_cancellation(struck: StruckLoop, *, fires: bool) -> None:
    """And no other's; the timeout is unwinding no more."""

    async def main() -> None:
        broken, task = timeout(1.0 if fires else 5.0), running_task()
        await broken.__aenter__()
        if not fires:
            struck.call_later(1.0, task.cancel)
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(2.0)
        struck.strikes = 1
        with pytest.raises(Strike):
            await broken.__aexit__(asyncio.CancelledError, asyncio.CancelledError(), None)
        assert (task.cancelling(), state_of(struck).unwinding) == (0 if fires else 1, {})
        if not fires:
            task.uncancel()

    struck.run_until_complete(main())
    struck.close()


def test_an_exit_in_another_thread_that_is_broken_off_is_cleared_up_in_its_own(struck: StruckLoop) -> None:
    """By the loop, at once: nothing is counted, nor told, elsewhere."""
    told: list[object] = []

    def opened(view: View, /) -> Callable[[View], None]:
        return lambda ended: told.append((ended.outcome, threading.get_ident()))

    async def main() -> None:
        _observers.add(opened)
        broken = timeout(5.0, name="broken")
        await broken.__aenter__()

        def leave() -> None:
            struck.strikes = 1
            with pytest.raises(Strike):
                at_once(broken.__aexit__(None, None, None))

        elsewhere(leave)
        assert (broken.outcome, told) == (None, [])
        await asyncio.sleep(0)
        assert told == [(Outcome.FAILED, threading.get_ident())]
        assert figures("broken")["duration"] == {"failed": 1}

    struck.run_until_complete(main())
    struck.close()


class StruckParent:
    """In the place of a timeout's parent: it raises as that is told that the timeout was left."""

    def __init__(self, parent: Any) -> None:
        self.__dict__["parent"] = parent

    def __getattr__(self, field: str) -> Any:
        return getattr(self.parent, field)

    def __setattr__(self, field: str, value: object) -> None:
        if field == "_inner":
            raise Strike
        setattr(self.parent, field, value)


@pytest.mark.parametrize("usual", [True, False], ids=["straight", "with more facts"])
@pytest.mark.parametrize("own", [True, False], ids=["its own", "that around"])
async def test_an_expiry_whose_exit_is_broken_off_once_counted_is_counted_once(own: bool, usual: bool) -> None:
    """What it tells the one around it comes after that."""
    with suppress(TimeoutError):
        async with timeout(9.0 if own else 1.0, name="around") as around:
            broken = timeout(1.0 if own else 9.0, name="broken")
            await broken.__aenter__()
            if not usual:
                broken._extend()
            try:
                await asyncio.sleep(50.0)
            except asyncio.CancelledError as exc:
                broken._parent = cast(Timeout, StruckParent(around))
                with pytest.raises(Strike):
                    await broken.__aexit__(asyncio.CancelledError, exc, None)
                broken._parent = around
    assert figures("broken")["duration"] == {"expired" if own else "inherited": 1}


def unraisable(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The strikes that nobody could be told of."""
    told: list[object] = []

    def tell(args: sys.UnraisableHookArgs) -> None:
        if args.exc_type is Strike:
            told.append(Strike)

    monkeypatch.setattr(sys, "unraisablehook", tell)
    return told


class StruckTable(dict[Outcome, _process.Histogram]):
    """The durations of a name, at whose first reading an exception is raised."""

    struck = False

    def get(self, outcome: Outcome, default: Any = None) -> Any:
        if not self.struck:
            self.struck = True
            raise Strike
        return super().get(outcome, default)


def test_a_count_of_what_was_dropped_that_is_broken_off_is_made_up_for(
    struck: StruckLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A timeout that fired, and that nobody left, is counted as the next one is left at the latest."""
    told = unraisable(monkeypatch)

    async def opened() -> None:
        dropped = timeout(1.0, name="dropped")
        await dropped.__aenter__()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(9.0)
        dropped._series.figures.duration = StruckTable(dropped._series.figures.duration)

    async def main() -> None:
        await asyncio.create_task(opened())
        await asyncio.sleep(0)
        gc.collect()
        assert told == [Strike]
        async with timeout(1.0):
            pass
        assert figures("dropped")["duration"] == {"cancelled": 1}
        assert not state_of(struck).unwinding

    struck.run_until_complete(main())
    struck.close()


def test_one_that_was_dropped_is_counted_once_though_its_exit_is_broken_off(
    struck: StruckLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The collector tells of the timeout before it closes the coroutine, in which the timeout is left."""
    told = unraisable(monkeypatch)

    async def opened() -> None:
        async with timeout(1.0, name="dropped"):
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(9.0)
            await struck.create_future()

    async def main() -> None:
        task = asyncio.create_task(opened())
        await asyncio.sleep(2.0)
        struck.set_exception_handler(lambda loop, context: None)
        del task
        struck.strikes = 1
        gc.collect()
        assert told == [Strike]
        assert figures("dropped")["duration"] == {"cancelled": 1}

    struck.run_until_complete(main())
    struck.close()


async def test_one_that_was_dropped_is_counted_once_though_it_ends_as_an_expiry_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its coroutine, which the collector closes, raises another CancelledError."""
    told: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: told.append(args.exc_type))

    async def opened() -> None:
        async with timeout(1.0, name="dropped"):
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(9.0)
            try:
                await running_loop().create_future()
            except GeneratorExit:
                raise asyncio.CancelledError  # noqa: B904  # the question

    task = asyncio.create_task(opened())
    await asyncio.sleep(2.0)
    running_loop().set_exception_handler(lambda loop, context: None)  # it was pending
    del task
    gc.collect()
    assert told == [DeadlineExceeded]
    assert figures("dropped")["duration"] == {"cancelled": 1}


async def test_one_that_was_counted_as_dropped_is_counted_once_though_it_expires() -> None:
    """The count was broken off before it was noted."""
    with suppress(TimeoutError):
        async with timeout(1.0, name="dropped") as dropped:
            try:
                await asyncio.sleep(9.0)
            finally:
                state_of(running_loop()).unwinding[id(dropped)].figures = None
    assert "duration" not in figures("dropped")


# By other tasks


async def test_one_that_a_budget_ended_may_be_left_by_another_task() -> None:
    """As a generator is that another task closes: that task's own budget stays in force."""

    async def opens() -> AsyncIterator[int]:
        with budget(1.0):
            async with timeout(9.0):
                yield 1

    numbers = opens()

    async def begins() -> None:
        await anext(numbers)
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(50.0)

    await asyncio.create_task(begins())
    assert running_loop().time() == 1.0
    with budget(5.0):
        await numbers.aclose()  # type: ignore[attr-defined]  # a generator has it
        assert remaining() == 5.0


# What breaks off


async def test_an_exit_for_others_that_is_broken_off_leaves_nothing() -> None:
    """What a door has opened is in no lane afterwards, whatever its lane did, and whatever of the exit was done."""
    here = state_of(asyncio.get_running_loop())
    struck: list[object] = []

    class Broken(Lane):
        def pop(self, entry: Any, *default: Any) -> Any:
            if not struck:
                struck.append(entry)
                raise MemoryError
            return super().pop(entry, *default)

    one = enter(5.0, "struck", "request")
    broken = Broken(here)
    del one._lane[one]
    broken[one] = 5.0
    one._lane = broken
    with pytest.raises(MemoryError):
        left_by(one, ValueError())
    assert (one._task, one in broken, open_timeouts()) == (None, False, [])
    assert figures("struck")["duration"] == {"failed": 1}


def by_itself(one: Timeout) -> None:
    at_once(one.__aexit__(None, None, None))


def with_an_error(one: Timeout) -> None:
    left_by(one, ValueError())


@pytest.mark.parametrize("leaves", [by_itself, leave, with_an_error])
def test_an_exit_whose_clearing_up_has_no_memory_is_cleared_up_by_the_next_turn(
    leaves: Callable[[Timeout], None], struck: StruckLoop
) -> None:
    """It is in no lane from the first; where the stack is at its end, too."""
    broken = 1 if leaves is not with_an_error else 2

    class Broken(Lane):
        def pop(self, entry: Any, *default: Any) -> Any:
            nonlocal broken
            if broken:
                broken -= 1
                raise MemoryError
            return super().pop(entry, *default)

    async def main() -> None:
        here = state_of(struck)
        async with timeout(1.0):
            one = enter(5.0, "struck", "request")
            del one._lane[one]
            lane = one._lane = Broken(here)
            lane[one] = 5.0
            struck.strikes = broken % 2
            with pytest.raises(MemoryError):
                leaves(one)
            assert (one in lane, list(here.pending), one.outcome) == (False, [one], None)
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(2.0)
            assert (here.pending, one.outcome, one._task) == ({}, Outcome.FAILED, None)
        assert figures("struck")["duration"] == {"failed": 1}

    struck.run_until_complete(main())
    struck.close()


async def test_one_that_was_left_cannot_be_left_again_for_others() -> None:
    """As by its own exit; nothing is counted twice."""
    one = enter(5.0, "twice", "request")
    leave(one)
    with pytest.raises(AssertionError, match=r"^a Timeout that is finished cannot be left$"):
        left_by(one, ValueError())
    assert figures("twice")["duration"] == {"completed": 1}


# The two ways of an expiry: the straight one, and that of whatever is not common


usual: ContextVar[bool] = ContextVar("usual")
seen: ContextVar[list[Timeout]] = ContextVar("seen")


def opened(delay: float, name: str) -> Timeout:
    """A timeout with no more facts than most have, or, where `usual` says so, with some."""
    made = timeout(delay, name=name)
    if not usual.get():
        made._extend()
    seen.get().append(made)
    return made


async def alone() -> None:
    async with opened(1.0, "own"):
        await asyncio.sleep(9.0)


async def slow_to_stop() -> None:
    async with opened(1.0, "own"):
        try:
            await asyncio.sleep(9.0)
        finally:
            running_loop().block(2.0)


async def of_no_time() -> None:
    async with opened(0.0, "own"):
        await asyncio.sleep(9.0)


async def two_inside() -> None:
    async with opened(1.0, "own"), opened(5.0, "middle"), opened(7.0, "inner"):
        async with opened(0.5, "before"):
            pass
        await asyncio.sleep(9.0)


async def inside_another_that_goes_on() -> None:
    async with opened(9.0, "around"):
        with suppress(TimeoutError):
            async with opened(1.0, "own"), opened(7.0, "inner"):
                await asyncio.sleep(9.0)


async def inside_a_budget() -> None:
    with budget(1.0):
        async with opened(3.0, "own"), opened(7.0, "inner"):
            await asyncio.sleep(9.0)


async def in_a_child() -> None:
    async with opened(1.0, "own"):
        await asyncio.create_task(inside_another_that_goes_on())


async def in_a_gather() -> None:
    async with opened(1.0, "own"), opened(5.0, "inner"):
        await asyncio.gather(asyncio.sleep(9.0), two_inside())


async def in_a_group() -> None:
    async with opened(1.0, "own"), opened(5.0, "inner"), asyncio.TaskGroup() as group:
        group.create_task(two_inside())


async def children_of_two_floors() -> None:
    async def child() -> None:
        async with opened(6.0, "child"), opened(7.0, "in the child"):
            await asyncio.sleep(9.0)

    async with opened(1.0, "own"), opened(5.0, "inner"):
        await asyncio.gather(child(), child(), asyncio.sleep(0.5))


async def a_child_that_is_cancelled_before() -> None:
    async with opened(1.0, "own"):
        child = asyncio.create_task(two_inside())
        await asyncio.sleep(0.5)
        child.cancel()
        await asyncio.sleep(9.0)


async def a_child_of_a_child() -> None:
    async def child() -> None:
        async with opened(6.0, "child"):
            await asyncio.create_task(two_inside())

    async with opened(0.5, "own"):
        await asyncio.create_task(child())


async def entered_twice_over() -> None:
    async with opened(1.0, "own"), opened(5.0, "inner"):
        with suppress(TimeoutError):
            async with opened(0.5, "first"), opened(7.0, "innermost"):
                await asyncio.sleep(9.0)
        await asyncio.sleep(9.0)


async def cancelled_as_well() -> None:
    async with opened(1.0, "own"), opened(5.0, "inner"):
        running_loop().call_at(running_loop().time() + 1.0, running_task().cancel)
        await asyncio.sleep(9.0)


def module(name: str, code: str, **names: object) -> dict[str, Any]:
    """The names of a module of another package."""
    made: dict[str, Any] = {"__name__": name, **names}
    exec(compile(code, f"/site/{name.replace('.', '/')}.py", "exec"), made)  # noqa: S102
    return made


LIBRARY = module(
    "library.pool",
    "async def acquire():\n    await sleep(9.0)\n"
    "async def call(function):\n    await function()\n"
    "async def leave(entered, exc):\n    await entered.__aexit__(type(exc), exc, exc.__traceback__)\n",
    sleep=asyncio.sleep,
)


DRIVER = module("driver.wire", "async def acquire():\n    await sleep(9.0)\n", sleep=asyncio.sleep)


async def waits_in_a_library() -> None:
    async with opened(1.0, "own"):
        await LIBRARY["acquire"]()


async def waits_in_a_library_for_one() -> None:
    await LIBRARY["call"](waits_in_a_library)


async def gathers_in_a_library() -> None:
    async with opened(1.0, "own"), opened(5.0, "inner"):
        await asyncio.gather(LIBRARY["acquire"](), asyncio.sleep(9.0))


async def gathers_in_a_library_for_one() -> None:
    await LIBRARY["call"](gathers_in_a_library)


async def left_by_a_library() -> None:
    entered = opened(1.0, "own")
    await entered.__aenter__()
    try:
        await LIBRARY["call"](DRIVER["acquire"])
    except asyncio.CancelledError as exc:
        await LIBRARY["leave"](entered, exc)


async def entered_later_than_made() -> None:
    late, inner = opened(2.0, "own"), opened(9.0, "inner")
    await asyncio.sleep(0.5)
    async with late, inner:
        await asyncio.sleep(9.0)


async def leaves_a_block_open() -> float:
    async with opened(9.0, "around"):
        with suppress(TimeoutError):
            async with opened(1.0, "own"):
                detach().__enter__()
                await asyncio.sleep(9.0)
        return remaining()


async def moved_beneath_another_that_goes_on() -> None:
    async with opened(9.0, "around") as around:
        with suppress(TimeoutError):
            async with opened(1.0, "own"):
                around.reschedule(running_loop().time() + 8.0)
                await asyncio.sleep(9.0)


EXPIRING = (alone, slow_to_stop, of_no_time, two_inside, inside_another_that_goes_on, inside_a_budget, in_a_child,
            in_a_gather, in_a_group, children_of_two_floors, a_child_that_is_cancelled_before, a_child_of_a_child,
            entered_twice_over, cancelled_as_well, waits_in_a_library, waits_in_a_library_for_one, gathers_in_a_library,
            gathers_in_a_library_for_one, left_by_a_library, entered_later_than_made, leaves_a_block_open,
            moved_beneath_another_that_goes_on)  # fmt: skip


@pytest.mark.parametrize("program", EXPIRING, ids=[each.__name__ for each in EXPIRING])
def test_the_straight_way_tells_what_the_other_does(program: Callable[[], Coroutine[Any, Any, object]]) -> None:
    """Of each timeout all that can be asked, the same error with the same words, the same figures to the last digit,
    the task asked to end as often, and nothing left for what comes after."""

    async def main(straight: bool) -> object:
        timeouts: list[Timeout] = []
        usual.set(straight)
        seen.set(timeouts)
        await asyncio.sleep(3.0)
        try:
            given: object = await program()
        except BaseException as exc:
            given = (type(exc), str(exc), type(exc.__cause__), getattr(exc, "where", None))
        told = [facts(each) for each in timeouts]
        left = list[float]()
        thread = threading.Thread(target=copy_context().run, args=(lambda: left.append(remaining()),))
        thread.start()
        thread.join()
        here = state_of(running_loop())
        kept = [*open_timeouts(), *here.unwinding, *here.around, *here.pending]
        return given, told, running_task().cancelling(), remaining(), left, kept

    def once(straight: bool) -> object:
        _process.reset()
        with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
            found = runner.run(main(straight))
        return found, {
            metric.name: {labels: vars_of(value) for labels, value in values.items()}
            for metric, values in _process.snapshot().items()
        }

    assert once(True) == once(False)


def facts(t: Timeout) -> tuple[object, ...]:
    ended = (t.name, t.outcome, t.owner, t.limit, t.requested, t.elapsed, t.overrun, t.source, t.spent, t.where)
    return (*ended, t.deadline(), t.remaining(), t.expired(), t._task)


def vars_of(value: _process.Value) -> object:
    return (value.counts, value.total) if isinstance(value, _process.Histogram) else value


async def gathers() -> None:
    await asyncio.gather(asyncio.sleep(50.0), asyncio.sleep(50.0))


async def timed() -> None:
    async with timeout(9.0, name="inner"):
        await gathers()


async def waited_for() -> None:
    await wait_for(gathers(), 9.0, name="inner")


@pytest.mark.parametrize("inner", [timed, waited_for])
async def test_what_gathers_ends_with_the_timeout_around_it(inner: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """In a block, and in a call, which says whose code it is in; the frames tell where it waited."""
    with pytest.raises(DeadlineExceeded, match=r"\bgathers\b") as caught:
        async with timeout(1.0, name="outer"):
            await inner()
    assert caught.value.owner == "outer"
    assert figures("inner")["duration"] == {"inherited": 1}


# Where it waited, as the other way than the straight one finds


async def waits_inside_another() -> None:
    async with timeout(1.0), timeout(9.0, name="inner"):
        await LIBRARY["acquire"]()


async def gathers_inside_two() -> None:
    async with timeout(1.0), timeout(1.0), timeout(9.0, name="inner") as inner:
        seen.get().append(inner)
        await asyncio.gather(LIBRARY["acquire"]())


async def fails_as_it_is_ended() -> None:
    async with timeout(1.0, name="inner"):
        try:
            await LIBRARY["acquire"]()
        except asyncio.CancelledError:
            raise LookupError  # noqa: B904  # the question


def line_of(program: Callable[[], object], number: int) -> str:
    return f"{__name__}:{program.__code__.co_firstlineno + number} in {program.__name__}"


async def test_observers_hear_where_one_waited_that_another_ended() -> None:
    """In the package that opened the timeout, where that is another's than the code that waits."""
    told: dict[str, Where | None] = {}

    def opened(view: View, /) -> Callable[[View], None]:
        return lambda ended: told.update({ended.name: ended.where})

    _observers.add(opened)
    with suppress(TimeoutError):
        await waits_inside_another()
    assert told["inner"] == line_of(waits_inside_another, 2)


async def test_one_that_two_others_ended_tells_where_it_waited() -> None:
    """Through a gather, which both have cancelled: whoever holds the timeout is told."""
    seen.set([])
    with suppress(TimeoutError):
        await LIBRARY["call"](gathers_inside_two)
    assert seen.get()[0].where == line_of(gathers_inside_two, 3)


async def test_an_expiry_behind_an_error_of_the_body_tells_where_it_waited() -> None:
    """By what stands in the context of the error."""
    with pytest.raises(LookupError) as caught:
        await LIBRARY["call"](fails_as_it_is_ended)
    context = caught.value.__context__
    assert isinstance(context, DeadlineExceeded)
    assert context.where == line_of(fails_as_it_is_ended, 3)


async def test_a_call_waited_in_the_code_of_who_made_it() -> None:
    """Also where a task of the standard library's making runs it, and its entry was no common one."""
    orders = module(
        "shop.orders",
        "async def query():\n    await acquire()\n"
        "async def order():\n    await create_task(wait_for(query(), 1.0, at_least=0.1))\n",
        acquire=LIBRARY["acquire"],
        create_task=asyncio.create_task,
        wait_for=wait_for,
    )
    with pytest.raises(DeadlineExceeded) as caught:
        await orders["order"]()
    assert caught.value.where == "shop.orders:2 in query"

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
from typing import Any

import pytest

from tests.support import figures, running_loop, running_task
from tests.support.watching import Ended, at_once
from tracedtimeout import DeadlineExceeded, Outcome, Timeout, View, budget, checkpoint, remaining, timeout, wait_for
from tracedtimeout._core import _observers
from tracedtimeout._core._exceeded import Where
from tracedtimeout._core._hot import enter, leave, left_by
from tracedtimeout._core._lane import Lane
from tracedtimeout._core._loop import state_of
from tracedtimeout._core._open import open_timeouts
from tracedtimeout._core.figures import _metrics, _process
from tracedtimeout.testing import VirtualClockLoop

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


@pytest.mark.parametrize(
    ("blocked", "outcome"), [(0.5, Outcome.FAILED), (1.0, Outcome.EXPIRED), (1.5, Outcome.EXPIRED)]
)
async def test_a_refusal_expires_who_has_nothing_left(blocked: float, outcome: Outcome) -> None:
    """With some time left it is an error of the body's; with none it tells that the deadline has passed."""
    with pytest.raises(DeadlineExceeded):
        async with timeout(1.0) as around:
            running_loop().block(blocked)
            async with timeout(5.0, at_least=2.0):
                pytest.fail("its body ran")
    assert around.outcome is outcome


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


async def test_what_was_known_of_a_nest_that_ended_is_forgotten() -> None:
    """A nest that is cancelled is walked once; with the last that had fired, what was found is let go of."""
    with suppress(TimeoutError):
        async with timeout(1.0), timeout(8.0), timeout(9.0):
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


async def test_one_that_was_moved_is_counted_as_used() -> None:
    """In time is in time, however short: a share of its limit was used."""
    async with timeout(9.0, name="moved") as moved:
        moved.reschedule(running_loop().time() + 0.5)
        await asyncio.sleep(0.25)
    assert moved.outcome is Outcome.COMPLETED
    assert recorded(_metrics.UTILIZATION, "moved").total == 0.5


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


# Broken off


class Strike(BaseException):
    """As a signal's handler raises."""


class StruckLoop(VirtualClockLoop):
    """A loop at whose clock's next reading an exception is raised, once that is asked for."""

    strikes = False

    def time(self) -> float:
        if self.strikes:
            self.strikes = False
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
            struck.strikes = True
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
                struck.strikes = True
                with pytest.raises(Strike):
                    await broken.__aexit__(None, None, None)
                assert child.timeout.deadline() == 3.0
                await asyncio.sleep(50.0)
        await task
        assert (child.at, child.owner) == (3.0, "around")

    struck.run_until_complete(main())
    struck.close()


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
        struck.strikes = True
        gc.collect()
        assert told == [Strike]
        assert figures("dropped")["duration"] == {"cancelled": 1}

    struck.run_until_complete(main())
    struck.close()


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


EXPIRING = (alone, slow_to_stop, of_no_time, two_inside, inside_another_that_goes_on, inside_a_budget, in_a_child,
            in_a_gather, in_a_group, children_of_two_floors, a_child_that_is_cancelled_before, a_child_of_a_child,
            entered_twice_over, cancelled_as_well)  # fmt: skip


@pytest.mark.parametrize("program", EXPIRING, ids=[each.__name__ for each in EXPIRING])
def test_the_straight_way_tells_what_the_other_does(program: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Of each timeout all that can be asked, the same error with the same words, the same figures to the last digit,
    the task asked to end as often, and nothing left for what comes after."""

    async def main(straight: bool) -> object:
        timeouts: list[Timeout] = []
        usual.set(straight)
        seen.set(timeouts)
        raised = None
        try:
            await program()
        except BaseException as exc:
            raised = (type(exc), str(exc), type(exc.__cause__), getattr(exc, "where", None))
        told = [
            (t.name, t.outcome, t.owner, t.limit, t.requested, t.elapsed, t.overrun, t.source, t.deadline(), t.spent)
            for t in timeouts
        ]
        left = list[float]()
        thread = threading.Thread(target=copy_context().run, args=(lambda: left.append(remaining()),))
        thread.start()
        thread.join()
        here = state_of(running_loop())
        kept = [*open_timeouts(), *here.unwinding, *here.around, *here.pending]
        return raised, told, running_task().cancelling(), remaining(), left, kept

    def once(straight: bool) -> object:
        _process.reset()
        with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
            found = runner.run(main(straight))
        return found, {
            metric.name: {labels: vars_of(value) for labels, value in values.items()}
            for metric, values in _process.snapshot().items()
        }

    assert once(True) == once(False)


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

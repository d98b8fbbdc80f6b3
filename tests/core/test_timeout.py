"""A timeout's own interface: asyncio's to the letter, what it says of itself, and what it refuses at the door."""

from __future__ import annotations

import asyncio
import copy
import gc
import inspect
import logging
import math
import pickle
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from tests.support import VIRTUAL, figures, running_loop, running_task
from tracedtimeout import (
    DeadlineExceeded,
    Outcome,
    Timeout,
    View,
    budget,
    checkpoint,
    remaining,
    timeout,
    timeout_at,
    wait_for,
    with_timeout,
)
from tracedtimeout._core import _observers, _warn
from tracedtimeout._core._budget import Budget
from tracedtimeout._core._exceeded import Spent, Where
from tracedtimeout._core._link import REMOTE
from tracedtimeout._core.figures import _process
from tracedtimeout.testing import VirtualClockLoop, run

virtual = pytest.mark.loops(*VIRTUAL)


def now() -> float:
    return asyncio.get_running_loop().time()


# asyncio's interface


@virtual
async def test_a_timeout_is_asyncios() -> None:
    """It can be passed wherever an asyncio.Timeout is asked for."""
    async with timeout(1) as opened:
        assert isinstance(opened, asyncio.Timeout)


@virtual
async def test_its_repr_is_a_status_line() -> None:
    """repr tells the state, and the deadline while it is active, as asyncio's does."""
    t = timeout_at(2.34567)
    seen = [repr(t)]
    with suppress(TimeoutError):
        async with t:
            seen.append(repr(t))
            t.reschedule(None)
            seen.append(repr(t))
            t.reschedule(1)
            try:
                await asyncio.sleep(9)
            finally:
                seen.append(repr(t))
    seen.append(repr(t))
    async with timeout(1) as finished:
        pass
    assert [*seen, repr(finished)] == [
        "<Timeout [created]>",
        "<Timeout [active] when=2.346>",
        "<Timeout [active] when=None>",
        "<Timeout [expiring]>",
        "<Timeout [expired]>",
        "<Timeout [finished]>",
    ]


@virtual
async def test_it_is_entered_once() -> None:
    """A second entry is an error, during and after the first."""
    async with timeout(1) as t:
        with pytest.raises(RuntimeError, match=r"^Timeout has already been entered$"):
            await t.__aenter__()
    with pytest.raises(RuntimeError, match=r"^Timeout has already been entered$"):
        await t.__aenter__()


@virtual
async def test_it_needs_a_task() -> None:
    """Outside a task there is nothing to cancel."""
    caught: list[BaseException] = []

    def enter() -> None:
        coroutine = timeout(1).__aenter__()
        try:
            coroutine.send(None)
        except RuntimeError as exc:
            caught.append(exc)

    running_loop().call_soon(enter)
    await asyncio.sleep(0)
    assert [str(exc) for exc in caught] == ["Timeout should be used inside a task"]


def test_it_needs_a_loop() -> None:
    """Without a running loop, timeout() is asyncio's RuntimeError; timeout_at() and Timeout() wait until they enter."""
    with pytest.raises(RuntimeError, match=r"^no running event loop$"):
        timeout(1)
    assert [timeout_at(1).when(), Timeout(None).when()] == [1, None]


@virtual
async def test_reschedule_moves_it() -> None:
    """Earlier, later, never, and back: what counts is the last word."""
    with pytest.raises(DeadlineExceeded):
        async with timeout(1) as t:
            for when in (3, None, 2.5):
                t.reschedule(when)
                assert t.when() == when
            await asyncio.sleep(9)
    assert (now(), t.expired(), t.reschedules) == (2.5, True, 3)


@virtual
async def test_reschedule_into_the_past_fires_at_the_next_suspension() -> None:
    """A deadline moved into the past is due at once, and not before."""
    with pytest.raises(TimeoutError):
        async with timeout(None) as t:
            t.reschedule(now() - 1)
            await asyncio.sleep(0)
            pytest.fail("not cancelled")


@virtual
async def test_reschedule_is_refused_when_it_makes_no_sense() -> None:
    """Before it is entered, as it expires and after it is left, with asyncio's words."""
    t = timeout(1)
    with pytest.raises(RuntimeError, match=r"^Timeout has not been entered$"):
        t.reschedule(1)
    with suppress(TimeoutError):
        async with t:
            try:
                await asyncio.sleep(9)
            finally:
                with pytest.raises(RuntimeError, match=r"^Cannot change state of expiring Timeout$"):
                    t.reschedule(1)
    with pytest.raises(RuntimeError, match=r"^Cannot change state of expired Timeout$"):
        t.reschedule(1)
    async with timeout(1) as t:
        pass
    with pytest.raises(RuntimeError, match=r"^Cannot change state of finished Timeout$"):
        t.reschedule(1)


@pytest.mark.parametrize("kind", [asyncio.timeout, timeout])
def test_reschedule_is_refused_outside_of_a_loop(kind: Callable[[float], asyncio.Timeout]) -> None:
    """As asyncio's is, though the timeout is open."""

    async def opened() -> asyncio.Timeout:
        return await kind(5.0).__aenter__()

    loop = asyncio.new_event_loop()
    one = loop.run_until_complete(opened())
    with pytest.raises(RuntimeError, match=r"^no running event loop$"):
        one.reschedule(9.0)
    loop.run_until_complete(one.__aexit__(None, None, None))
    loop.close()


@virtual
async def test_a_timeout_in_an_exit_stack() -> None:
    """AsyncExitStack enters and leaves it as `async with` does."""
    with pytest.raises(DeadlineExceeded):
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(timeout(1))
            await asyncio.sleep(9)


@virtual
async def test_a_timeout_made_elsewhere_is_entered_here() -> None:
    """Made with no loop running, or under another loop, it is timed and counted by the loop it is entered in."""

    async def made() -> Timeout:
        return timeout_at(1, name="t")

    with ThreadPoolExecutor(1) as thread:
        under_none, under_another = thread.submit(timeout_at, 1, name="t").result(), thread.submit(run, made()).result()
    for t in (under_none, under_another):
        assert (t.name, repr(t), t.kind) == ("t", "<Timeout [created]>", "timeout_at")
        with pytest.raises(DeadlineExceeded):
            async with t:
                await asyncio.sleep(9)
        assert (now(), t.outcome) == (1.0, Outcome.EXPIRED)
    assert figures("t")["duration"] == {"expired": 2}


@virtual
async def test_it_is_told_what_it_is() -> None:
    """kind says by which door it was opened, the first time and each time after."""
    seen: list[str] = []

    def sees(opened: View) -> None:
        seen.append(opened.kind)

    _observers.add(sees)
    for _ in range(2):
        async with timeout(1), timeout_at(now() + 1), Timeout(None):
            await wait_for(asyncio.sleep(0), 1)
            await with_timeout(1)(asyncio.sleep)(0)
    assert seen == ["timeout", "timeout_at", "timeout_at", "wait_for", "with_timeout"] * 2


@virtual
async def test_a_timeout_outlives_a_budget_around_it() -> None:
    """One that a bare budget timed, and that is still open when the budget is left, has its own deadline again."""
    async with AsyncExitStack() as stack:
        with budget(1):
            t = await stack.enter_async_context(timeout(3))
        await asyncio.sleep(2)
        assert (t.deadline(), t.owner) == (3.0, t.name)


# what it refuses

DOORS: dict[str, tuple[str, Callable[[Any], object]]] = {
    "timeout": ("delay", timeout),
    "timeout_at": ("when", timeout_at),
    "Timeout": ("when", Timeout),
    "reserve": ("reserve", lambda value: timeout(1, reserve=value)),
    "at_least": ("at_least", lambda value: timeout(1, at_least=value)),
    "at_least of Timeout": ("at_least", lambda value: Timeout(1, at_least=value)),
    "at_least of wait_for": ("at_least", lambda value: wait_for(None, 1, at_least=value)),  # type: ignore[arg-type]
    "budget": ("seconds", lambda value: budget(value).__enter__()),
}


async def opened_by(made: object) -> None:
    """Open it: what is awaited may be checked as late as that."""
    if inspect.isawaitable(made):
        await made


@virtual
@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("value", [math.nan, Decimal("nan"), 10**400], ids=["nan", "Decimal nan", "10**400"])
async def test_what_is_no_instant_is_a_value_error(door: str, value: object) -> None:
    """NaN and numbers no float can hold are refused before they reach the loop, which would die of NaN."""
    parameter, opens = DOORS[door]
    with pytest.raises(ValueError, match=f"^{parameter} must be a number of seconds, not ") as caught:
        await opened_by(opens(value))
    assert repr(value) in str(caught.value)


@virtual
async def test_a_delay_that_is_no_number_is_refused_at_the_first_and_the_second_call() -> None:
    """A name that has been counted before takes a quicker way in, which refuses NaN as well."""
    for _ in range(2):
        with pytest.raises(ValueError, match=r"^delay must be a number of seconds, not nan$"):
            timeout(math.nan, name="t")
        async with timeout(1, name="t"):
            pass


@virtual
@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("value", ["1", b"1", [1], object, 1j], ids=repr)
async def test_what_is_no_number_is_a_type_error(door: str, value: object) -> None:
    """Strings are no numbers, though float() would read them."""
    parameter, opens = DOORS[door]
    with pytest.raises(TypeError, match=f"^{parameter} must be a number of seconds, not ") as caught:
        await opened_by(opens(value))
    assert repr(value) in str(caught.value)


@virtual
@pytest.mark.parametrize("value", [math.nan, 10**400, "soon"], ids=["nan", "10**400", "string"])
async def test_reschedule_refuses_the_same(value: Any) -> None:
    """A bad instant leaves the timeout as it was."""
    async with timeout(1) as t:
        with pytest.raises((TypeError, ValueError), match=r"^when must be a number of seconds, not "):
            t.reschedule(value)
        assert (t.when(), t.reschedules) == (now() + 1, 0)


@virtual
@pytest.mark.parametrize("parameter", ["at_least", "reserve"])
async def test_negative_options_are_refused(parameter: str) -> None:
    """at_least and reserve are amounts: a negative one is a ValueError."""
    with pytest.raises(ValueError, match=f"^{parameter} must not be negative, not -0.5$"):
        timeout(1, **{parameter: -0.5})  # type: ignore[arg-type]  # either of two


class Own(float):
    """A number with arithmetic of its own, as numpy has."""

    def __radd__(self, other: float) -> Own:
        return Own(other + float(self))


class Unhashable:
    """A number that is no key, as an array with no dimensions is."""

    __hash__ = None  # type: ignore[assignment]  # as those have it

    def __float__(self) -> float:
        return 1.0

    def __radd__(self, other: float) -> float:
        return other + 1.0

    def __gt__(self, other: float) -> bool:
        return other < 1.0


ONES = [1, True, Fraction(1), Decimal(1), Own(1), Unhashable()]


@virtual
@pytest.mark.parametrize("value", ONES, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("turn", ["first", "next"])
async def test_any_number_of_seconds_will_do(value: Any, turn: str) -> None:
    """Integers, fractions, decimals and numpy's are numbers of seconds, each time; the figures stay plain numbers."""

    @with_timeout(value, name="decorated")
    async def decorated() -> None:
        await asyncio.sleep(9)

    for each in ("first", "next")[: 1 + (turn == "next")]:
        for ends in (decorated, lambda: wait_for(asyncio.sleep(9), value, name="waits")):
            with pytest.raises(DeadlineExceeded) as caught:
                await ends()
            assert (caught.value.elapsed, caught.value.limit) == (1.0, 1.0), each
        async with timeout(value, name="left") as left:
            await asyncio.sleep(0.5)
        when = left.when()
        assert isinstance(when, int | float)
        assert type(when) in (int, float)
        with pytest.raises(DeadlineExceeded) as caught:
            async with timeout(value):
                await asyncio.sleep(9)
        assert caught.value.elapsed == 1.0
    counted = [value for table in _process.snapshot().values() for value in table.values()]
    assert {type(value.total) for value in counted if not isinstance(value, int)} == {float}


@virtual
@pytest.mark.parametrize("value", ONES, ids=lambda value: type(value).__name__)
async def test_options_are_any_number_of_seconds(value: Any) -> None:
    """And the moments that a timeout is set for."""
    async with timeout(5, name="outer"):
        async with timeout(None, reserve=value) as kept:
            assert kept.limit == 4.0
            kept.reschedule(value)
            assert kept.when() == 1.0
        async with timeout_at(value, name="at") as at:
            assert at.deadline() == 1.0
        with pytest.raises(DeadlineExceeded, match=r"^'short' needs 1.000 s and its own limit is 0.500 s$"):
            async with timeout(0.5, at_least=value, name="short"):
                pytest.fail("not refused")


@virtual
async def test_an_infinite_delay_never_fires() -> None:
    """inf is as good as None, but for when()."""
    async with timeout(math.inf) as t:
        await asyncio.sleep(10**6)
    assert (t.when(), t.outcome, t.limit) == (math.inf, Outcome.COMPLETED, math.inf)


# what it says of itself


@virtual
async def test_it_tells_its_own_and_its_effective_deadline() -> None:
    """when() is its own deadline; deadline(), remaining(), limit, owner and source follow the one in force."""
    async with timeout(2, name="outer") as outer:
        async with timeout(5, name="inner") as inner:
            await asyncio.sleep(0.5)
            assert (inner.when(), inner.deadline(), inner.remaining(), inner.limit) == (5.0, 2.0, 1.5, 2.0)
            assert (inner.requested, inner.owner, inner.source, inner.elapsed) == (5.0, "outer", "inherited", 0.5)
            outer.reschedule(9)
            assert (inner.deadline(), inner.remaining(), inner.owner, inner.source) == (5.0, 4.5, "inner", "own")
            outer.reschedule(1)
            assert (inner.deadline(), inner.remaining(), inner.owner, inner.source) == (1.0, 0.5, "outer", "inherited")
    assert (inner.outcome, inner.elapsed, inner.overrun) == (Outcome.COMPLETED, 0.5, 0.0)


@virtual
async def test_one_without_a_deadline_says_so() -> None:
    """No deadline anywhere: None, inf, and no owner."""
    async with timeout(None) as t:
        assert (t.when(), t.deadline(), t.remaining(), t.limit) == (None, None, math.inf, math.inf)
        assert (t.requested, t.owner, t.source, t.overrun) == (None, "", "none", 0.0)


@virtual
async def test_one_that_is_not_entered_yet_looks_around() -> None:
    """Before it is entered, deadline() and remaining() are what they would be here."""
    async with timeout(1, name="outer"):
        t = timeout(5, name="t")
        assert (t.deadline(), t.remaining(), t.owner, t.source) == (1.0, 1.0, "outer", "inherited")
        assert (t.outcome, t.reschedules, t.where, t.spent) == (None, 0, None, ())
    assert (t.deadline(), t.owner) == (5.0, "t")


@virtual
async def test_a_header_is_a_source() -> None:
    """A deadline that came with a request is named so."""
    remote = Budget(1, name=REMOTE)
    remote.open()
    try:
        async with timeout(5) as t:
            assert (t.owner, t.source, t.limit) == ("_remote", "header", 1.0)
    finally:
        remote.close()


@virtual
async def test_the_overrun_is_the_time_past_the_deadline() -> None:
    """Slow clean-up and a blocked loop overrun; an exit in time does not."""
    with suppress(TimeoutError):
        async with timeout(1) as slow:
            try:
                await asyncio.sleep(9)
            finally:
                await asyncio.sleep(0.5)
    async with timeout(1) as blocked:
        running_loop().block(3)
    assert [(t.outcome, t.overrun) for t in (slow, blocked)] == [(Outcome.EXPIRED, 0.5), (Outcome.LATE, 2.0)]


@virtual
async def test_what_is_left_keeps_no_task_alive() -> None:
    """A timeout that is kept keeps neither its task nor an exception alive."""
    kept: list[Timeout] = []

    async def opens() -> None:
        async with timeout(1) as t:
            kept.append(t)
            await asyncio.sleep(9)

    task = asyncio.create_task(opens())
    await asyncio.wait([task])
    assert isinstance(task.exception(), DeadlineExceeded)
    alive = weakref.ref(task)
    del task
    gc.collect()
    assert (alive(), kept[0].outcome) == (None, Outcome.EXPIRED)


# the exception


async def query(seconds: float) -> None:
    async with timeout(5, name="db.query"):
        await asyncio.sleep(seconds)


async def charge() -> None:
    async with timeout(5, name="charge"):
        await asyncio.sleep(9)


@virtual
async def test_the_message_tells_whose_deadline_and_where_the_time_went() -> None:
    """Limit, elapsed time, the nested timeouts by name, longest first, unfinished ones last, and the place."""
    with pytest.raises(DeadlineExceeded) as caught:
        async with timeout(2, name="checkout"):
            for seconds in (0.5, 1.0, 0.25):
                await query(seconds)
            await wait_for(asyncio.sleep(0.125), 1, name="cache")
            await charge()
    exc = caught.value
    line = charge.__code__.co_firstlineno + 2
    assert str(exc) == (
        "'checkout' exceeded its 2.000 s deadline after 2.000 s: 1.750 s in db.query (x3), 0.125 s in cache, "
        f"0.125 s in charge (unfinished); waiting at tests.core.test_timeout:{line} in charge"
    )
    assert exc.spent == (Spent("db.query", 1.75, 3), Spent("cache", 0.125), Spent("charge", 0.125, 1, unfinished=True))
    assert (exc.name, exc.owner, exc.limit, exc.elapsed) == ("checkout", "checkout", 2.0, 2.0)
    assert exc.where is not None
    assert (exc.where.module, exc.where.line, exc.where.function) == ("tests.core.test_timeout", line, "charge")
    assert exc.where.path == __file__


@virtual
async def test_time_spent_at_once_is_counted_too() -> None:
    """Nested timeouts that are left at once are in `spent`, by name, with their count."""
    async with timeout(2) as outer:
        for name in ("a", "b", "a", "a"):
            async with timeout(1, name=name):
                pass
        await query(0.5)
        assert outer.spent == (Spent("db.query", 0.5), Spent("a", 0.0, 3), Spent("b", 0.0))


@virtual
async def test_the_message_of_an_interruption_names_the_owner() -> None:
    """One that another deadline ended says whose."""
    with pytest.raises(DeadlineExceeded) as caught:
        with budget(1):
            async with timeout(5, name="refund"):
                await asyncio.sleep(9)
    assert str(caught.value).startswith("'refund' was ended by the deadline of '_budget' after 1.000 s: waiting at ")


@virtual
async def test_the_message_of_a_rejection_says_what_was_missing() -> None:
    """What it needs, what is left, and of whose."""
    with pytest.raises(DeadlineExceeded) as caught:
        async with timeout(1, name="checkout"):
            await asyncio.sleep(0.988)
            async with timeout(1, name="refund", at_least=0.05):
                pytest.fail("its body ran")
    assert str(caught.value) == "'refund' needs 0.050 s and 0.012 s is left of 'checkout'"
    assert (caught.value.name, caught.value.owner, caught.value.elapsed) == ("refund", "checkout", 0.0)


@virtual
async def test_a_checkpoint_raises_when_the_budget_is_spent() -> None:
    """checkpoint() passes while time is left, and then names the owner."""
    with pytest.raises(DeadlineExceeded) as caught:
        async with timeout(1, name="report"):
            checkpoint()
            running_loop().block(1.5)
            assert remaining() == 0.0
            checkpoint()
    assert str(caught.value) == "'report' exceeded its 1.000 s deadline after 1.500 s"


def pickled(exc: DeadlineExceeded) -> DeadlineExceeded:
    """Through a pickle and back."""
    twin = pickle.loads(pickle.dumps(exc))  # noqa: S301  # our own
    assert type(twin) is DeadlineExceeded
    return twin


@pytest.mark.parametrize("duplicate", [pickled, copy.copy, copy.deepcopy])
def test_the_exception_pickles_and_copies(duplicate: Callable[[DeadlineExceeded], DeadlineExceeded]) -> None:
    """A copy has the message and every attribute; it still is a TimeoutError."""
    where = Where("shop.bank", 88, "charge", "/shop/bank.py")
    original = DeadlineExceeded(
        "spent", name="n", limit=1.0, elapsed=1.5, owner="o", where=where, spent=(Spent("db", 1.0, 2),)
    )
    twin = duplicate(original)
    assert isinstance(twin, TimeoutError)
    assert (str(twin), vars(twin), twin.errno) == ("spent", vars(original), None)
    assert twin.where is not None
    assert (str(twin.where), twin.where.line, twin.where.path) == ("shop.bank:88 in charge", 88, "/shop/bank.py")


def test_the_exception_can_be_made_with_no_word() -> None:
    """Its attributes have neutral values then."""
    bare = DeadlineExceeded()
    assert (str(bare), bare.name, bare.owner, bare.where, bare.spent) == ("", "", "", None, ())


# warnings


@virtual
async def test_what_runs_on_is_warned_of_once_a_minute(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A swallowed cancellation and a blocked loop are one warning each for a name, and again after a minute."""

    async def swallows() -> None:
        async with timeout(1, name="t"):
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(9)

    async def blocks() -> None:
        async with timeout(1, name="t"):
            running_loop().block(1.25)

    for program in (swallows, swallows, blocks, blocks):
        await program()
    assert [(r.levelno, r.getMessage()) for r in caplog.records] == [
        (logging.WARNING, "'t' swallowed the cancellation of its deadline and ran on, 0.000 s past it"),
        (
            logging.WARNING,
            "'t' left after its deadline, which could not fire: the event loop was blocked, 0.250 s past it",
        ),
    ]
    monkeypatch.setattr(_warn, "_EVERY", 0.0)
    await swallows()
    assert len(caplog.records) == 3


# real clocks


@pytest.mark.slow  # the loops' own timers are the point: 10 ms each
@pytest.mark.loops("plain", "debug", "eager", "uvloop")
async def test_it_fires_on_every_loop() -> None:
    """On asyncio's loop, in debug mode, with eager tasks and on uvloop, nested timeouts end as they should."""
    with pytest.raises(DeadlineExceeded) as caught:
        async with timeout(0.01, name="outer"), timeout(60, name="inner") as inner:
            await asyncio.sleep(60)
    assert (caught.value.owner, inner.outcome, running_task().cancelling()) == ("outer", Outcome.INHERITED, 0)
    with pytest.raises(DeadlineExceeded):
        await wait_for(asyncio.sleep(60), 0.01)
    async with timeout(60) as unused:
        await asyncio.sleep(0)
    assert (unused.outcome, 0 <= unused.elapsed < 60) == (Outcome.COMPLETED, True)


def test_a_program_of_ours_ends_when_it_should() -> None:
    """run() gives a result in virtual time, and its timeouts are measured on that clock."""

    async def main() -> tuple[float, float]:
        with suppress(TimeoutError):
            async with timeout(300) as t:
                await asyncio.sleep(3600)
        return t.elapsed, now()

    assert run(main()) == (300.0, 300.0)


def test_tasks_in_python_are_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks written in Python have timeouts: from 3.14 on, who runs them swaps `current_task` after it was imported."""
    tasks: Any = asyncio.tasks
    if hasattr(tasks, "_py_current_task"):  # from 3.12 on
        monkeypatch.setattr(tasks, "current_task", tasks._py_current_task)

    async def main() -> tuple[Outcome | None, str]:
        with suppress(TimeoutError):
            async with timeout(1.0, name="t") as t:
                await asyncio.sleep(2.0)
        return t.outcome, await wait_for(asyncio.sleep(1.0, "slept"), 2.0)

    def in_python(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> Any:
        return tasks._PyTask(coro, loop=loop, **options)

    with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
        runner.get_loop().set_task_factory(in_python)
        assert runner.run(main()) == (Outcome.EXPIRED, "slept")


@virtual
async def test_one_that_is_not_entered_tells_what_it_would_have() -> None:
    """Its own deadline as of now, bound by what is around."""
    made = timeout(5.0)
    assert (made.limit, made.requested, made.remaining(), timeout(None).limit) == (5.0, 5.0, 5.0, float("inf"))
    async with timeout(2.0):
        assert (made.limit, made.requested, made.source) == (2.0, 5.0, "inherited")


@virtual
async def test_where_it_waited_is_told_while_anybody_knows() -> None:
    """It is kept once somebody has asked; else it goes with the exception that tells."""
    for ask, told in ((True, True), (False, False)):
        t = timeout(1.0)
        try:
            async with t:
                await asyncio.sleep(9.0)
        except DeadlineExceeded:
            if ask:
                assert t.where is not None
        gc.collect()
        assert (t.where is not None) is told

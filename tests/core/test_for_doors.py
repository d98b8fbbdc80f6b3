"""What doors ask of the core: answers that are no failures, a caller's budget, contexts that are not a request's."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from tests.support import figures, running_loop, running_task
from tests.support.watching import now
from tracedtimeout import DeadlineExceeded, Outcome, View, budget, checkpoint, remaining, timeout, with_timeout
from tracedtimeout._core import _context, _deciding, _observers
from tracedtimeout._core._delays import limits_in_force
from tracedtimeout._core._granting import enter_granted
from tracedtimeout._core._hot import enter, leave, left_by
from tracedtimeout._core._loop import state_of
from tracedtimeout._core.figures import _metrics, _process

pytestmark = pytest.mark.loops("virtual")


# Answers


@pytest.fixture
def lookups_are_answers() -> Iterator[None]:
    before = _deciding.is_answer
    _deciding.answers_are(lambda exc: isinstance(exc, LookupError))
    yield
    _deciding.answers_are(before)


@pytest.mark.usefixtures("lookups_are_answers")
async def test_an_answer_leaves_a_function_as_a_return_does() -> None:
    """A `with_timeout`, and a request; a block of code fails by it."""

    @with_timeout(1.0, name="guarded")
    async def guarded() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await guarded()
    request = enter(1.0, "asked", "request")
    left_by(request, LookupError())
    with suppress(LookupError):
        async with timeout(1.0) as block:
            raise LookupError
    assert figures("guarded")["duration"] == {"completed": 1}
    assert (request.outcome, block.outcome) == (Outcome.COMPLETED, Outcome.FAILED)


# Expiries that code found, and hands on


async def test_a_group_of_expiries_found_by_code_is_one() -> None:
    """Where all that is in it tell of the same deadline; else it is an error like any other."""

    def found() -> DeadlineExceeded:
        with pytest.raises(DeadlineExceeded) as caught:
            checkpoint()
        return caught.value

    for others, outcome in (((), Outcome.EXPIRED), ((ValueError(),), Outcome.FAILED)):
        with pytest.raises(ExceptionGroup):
            async with timeout(1.0) as around:
                running_loop().block(1.5)
                raise ExceptionGroup("both", [found(), found(), *others])
        assert around.outcome is outcome


async def test_an_expiry_of_what_is_not_around_is_an_error_of_the_bodys() -> None:
    """Of a timeout that was left before, of one that is gone, or of one that was moved since."""
    with pytest.raises(DeadlineExceeded) as first:
        async with timeout(1.0):
            running_loop().block(1.5)
            checkpoint()
    with pytest.raises(DeadlineExceeded) as later:
        async with timeout(1.0) as another:
            raise first.value
    assert (later.value, another.outcome) == (first.value, Outcome.FAILED)
    with suppress(DeadlineExceeded):
        async with timeout(1.0) as moved:
            running_loop().block(1.5)
            try:
                checkpoint()
            finally:
                moved.reschedule(now() + 9.0)
    assert moved.outcome is Outcome.FAILED


# A caller's budget


async def asked(delay: float | None) -> None:
    """A request whose caller granted nothing."""
    leave(enter(delay, "asked", "request"))


async def granted(seconds: float) -> None:
    """A request of 5 seconds whose caller granted fewer."""
    request = enter_granted(seconds, 5.0, "asked")
    assert (request.deadline(), request.owner, request.source) == (now() + seconds, "_remote", "header")
    assert (request.when(), request.limit, remaining()) == (now() + 5.0, seconds, seconds)
    checkpoint()
    request.reschedule(now() + 6.0)
    assert (request.when(), request.deadline(), request.owner) == (now() + 6.0, now() + seconds, "_remote")
    leave(request)
    request._parent.close()
    assert remaining() == float("inf")


async def test_a_request_within_its_callers_budget_is_entered_at_once() -> None:
    """The deadline in force is the caller's; with more granted than its own limit, or inside another, it is not so."""
    await asyncio.create_task(asked(5.0))
    for seconds in (1.0, 0.25, 0.25, 0.01):
        await asyncio.create_task(granted(seconds))
    assert figures("asked")["duration"] == {"completed": 5}
    assert (enter_granted(9.0, 5.0, "asked"), enter_granted(1.0, 5.0, "new")) == (None, None)
    async with timeout(1.0):
        assert enter_granted(0.5, 5.0, "asked") is None


async def test_a_request_whose_entry_is_broken_off_leaves_nothing() -> None:
    """Neither it nor its caller's budget is in force, and nothing is timed."""
    await asyncio.create_task(asked(None))

    def interrupts(opened: View, /) -> Callable[[View], None]:
        raise KeyboardInterrupt

    _observers.add(interrupts)
    with pytest.raises(KeyboardInterrupt):
        enter_granted(1.0, None, "asked")
    assert (remaining(), state_of(asyncio.get_running_loop()).entries()) == (float("inf"), [])


# Contexts


async def test_what_a_request_inherits_is_its_tasks_own() -> None:
    """Not what the server's context has: but what is open in the task itself, or is given."""
    with budget(5.0):
        task = asyncio.create_task(asks())
        own, given, none = await task
    assert (own, given, none) == (3.0, 4.0, float("inf"))


async def asks() -> tuple[float, float, float]:
    """What is left inside a timeout of its own, beneath one that is given, and beneath none."""
    task = running_task()
    async with timeout(3.0):
        _context.inherit_own(task)
        own = remaining()
    async with timeout(4.0) as outer:
        _context.inherit_own(None, outer)
        given = remaining()
    _context.inherit_own(task)
    return own, given, remaining()


async def test_what_a_request_inherits_is_told_while_it_is_open() -> None:
    """Also as it ends; what was left is nobody's, in whatever context it is found."""
    task = running_task()
    with suppress(TimeoutError):
        async with timeout(3.0) as own:
            held = contextvars.copy_context()
            assert _context.inherit_own(task) is own
            try:
                await asyncio.sleep(50.0)
            finally:
                assert held.run(_context.inherit_own, task) is own
    assert held.run(_context.inherit_own, task) is None


class Elsewhere:
    """Another library's context, which holds a budget."""

    def __init__(self, held: Any) -> None:
        self.held = held

    def inherited(self, own: Any, reader: object) -> Any:
        return own or self.held

    def held_by(self, context: object) -> Any:
        return self.held

    def cut(self) -> None:
        return None


@contextmanager
def outside(held: Any) -> Iterator[None]:
    before = _context.outside
    _context.look_outside(Elsewhere(held))
    try:
        yield
    finally:
        _context.look_outside(before)


async def test_what_another_librarys_context_holds_is_inherited() -> None:
    """While there is one to be asked."""
    with budget(2.0):
        held = _context.current.get()
        token = _context.current.set(None)
        with outside(held):
            assert remaining() == 2.0
        assert remaining() == float("inf")
        with outside(held):
            async with timeout(5.0) as inner:
                assert inner.deadline() == now() + 2.0
        _context.current.reset(token)


# Figures


def test_figures_of_headers_are_the_processs() -> None:
    """By the header; they are forgotten with the rest."""
    loops = _process.LoopFigures()
    metric = next(iter(loops.headers))
    loops.of_header(metric, "grpc-timeout").record(1.0)
    assert loops.of_header(metric, "grpc-timeout").total == 1.0
    loops.forget()
    assert loops.of_header(metric, "grpc-timeout").total == 0.0


async def test_figures_of_headers_are_read_with_all_others() -> None:
    """By the header alone; from then on something is counted."""
    loops = state_of(asyncio.get_running_loop()).figures
    metric = next(iter(loops.headers))
    loops.of_header(metric, "grpc-timeout").record(1.0)
    read = _process.snapshot()[metric]["grpc-timeout",]
    assert isinstance(read, _process.Histogram)
    assert (read.total, _process.is_counting()) == (1.0, True)


def test_no_limits_are_in_force_where_none_are_configured() -> None:
    """For who lists them."""
    assert limits_in_force() == {}


async def test_owners_of_interruptions_are_few() -> None:
    """The first ten by name, and the others as one."""
    for number in range(12):
        with suppress(TimeoutError):
            async with timeout(1.0, name=f"owner {number}"), timeout(5.0, name="inner"):
                await asyncio.sleep(9.0)
    counted = _process.snapshot()[_metrics.INTERRUPTIONS]
    owners = {owner: value for (name, owner), value in counted.items() if name == "inner"}
    assert (len(owners), owners["_OTHER"]) == (11, 2)

"""A request within its caller's budget: entered at once, it is what the two are that are entered one by one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.support.watching import now
from tracedtimeout import View, remaining, timeout
from tracedtimeout._core import _observers
from tracedtimeout._core._budget import Budget
from tracedtimeout._core._granting import enter_granted
from tracedtimeout._core._hot import enter, leave, left_by
from tracedtimeout._core._link import REMOTE
from tracedtimeout._core._loop import state_of
from tracedtimeout._core.figures import _process
from tracedtimeout._core.figures._table import Histogram
from tracedtimeout.testing import run

OWN = 5.0
"""Seconds of the request's own."""
GRANTED = (
    0.004,
    0.0049,
    0.0051,
    0.0049,
    0.011,
    0.012,
    0.0499,
    0.0501,
    0.0502,
    0.099,
    0.11,
    0.51,
    0.52,
    0.53,
    2.4,
    4.999,
)
"""Seconds about the bounds of buckets, each after one of the same or of another."""


async def known(name: str) -> None:
    """A request of that name has been there, in a task of its own."""

    async def served() -> None:
        leave(enter(OWN, name, "request"))

    await asyncio.create_task(served())


def at_once(name: str, seconds: float) -> Any:
    request = enter_granted(seconds, OWN, name)
    assert request is not None
    return request


def one_by_one(name: str, seconds: float) -> Any:
    Budget(seconds, name=REMOTE).open()
    return enter(OWN, name, "request")


def counted(name: str) -> dict[str, dict[object, object]]:
    """All figures of that name; sums as far as they do not depend on the order of adding."""
    return {
        metric.name: {
            labels[1:]: (value.counts, round(value.total, 9)) if isinstance(value, Histogram) else value
            for labels, value in values.items()
            if labels[:1] == (name,)
        }
        for metric, values in _process.snapshot().items()
    }


@pytest.mark.parametrize("part", [0.0, 0.001, 0.3, 1.0, 1.5])
def test_entered_at_once_it_is_counted_as_one_by_one(part: float) -> None:
    """Whatever part it takes of what was granted: its facts and figures, and what is left in force."""

    async def served(how: Callable[[str, float], Any], name: str, seconds: float) -> list[object]:
        request = how(name, seconds)
        bound, began, raised = request._parent, now(), None
        try:
            beneath = bound._has_beneath()
            async with timeout(None, name="inside"):
                await asyncio.sleep(seconds * part)
        except asyncio.CancelledError as exc:
            raised = left_by(request, exc)
        else:
            leave(request)
        beside = bound._has_beneath()
        bound.close()
        facts = [request.outcome, request.owner, request.limit, request.elapsed, request.spent, request.when() - began]
        return [*facts, type(raised), beneath, beside, bound._spent is None, remaining()]

    async def main(how: Callable[[str, float], Any], name: str) -> list[object]:
        await known(name)
        return [await asyncio.create_task(served(how, name, seconds)) for seconds in GRANTED]

    assert run(main(at_once, "at once")) == run(main(one_by_one, "one by one"))
    assert counted("at once") == counted("one by one")


@pytest.mark.loops("virtual")
async def test_a_deadline_of_its_own_or_none_at_all_is_for_the_long_way() -> None:
    """Nothing is entered where the caller grants nothing, or as much as the request has."""
    await known("asked")
    assert [enter_granted(seconds, OWN, "asked") for seconds in (-1.0, 0.0, OWN, 9.0)] == [None] * 4
    assert enter_granted(1.0, OWN, "asked", since=now() - 1.0) is None
    request = enter_granted(1.0, OWN, "asked", since=now() - 0.25)
    assert (request.deadline(), request.limit) == (now() + 0.75, 0.75)
    leave(request)


@contextmanager
def observed(observer: Callable[[View], Any]) -> Iterator[None]:
    _observers.add(observer)
    try:
        yield
    finally:
        _observers.remove(observer)


@pytest.mark.loops("virtual")
async def test_broken_off_as_it_is_entered_it_is_not_there() -> None:
    """An observer that was told of it hears of its end; neither it nor the caller's budget is open."""
    await known("asked")
    seen: list[Any] = []
    ended: list[Any] = []

    def tells(view: View, /) -> Callable[[View], None]:
        seen.append(view)
        return ended.append

    def interrupts(view: View, /) -> Callable[[View], None]:
        raise KeyboardInterrupt

    before = counted("asked")
    with observed(tells), observed(interrupts), pytest.raises(KeyboardInterrupt):
        enter_granted(1.0, OWN, "asked")
    assert (ended, seen[0]._state.value, seen[0].outcome) == (seen, "finished", "failed")
    assert (seen[0]._parent._state.value, seen[0]._task) == ("finished", None)
    assert (remaining(), state_of(asyncio.get_running_loop()).entries()) == (float("inf"), [])
    assert counted("asked") == before


@pytest.mark.loops("uvloop")
async def test_its_time_is_measured_by_the_stopwatch() -> None:
    """The clock of uvloop stands still while the loop is blocked."""
    await known("asked")
    time.sleep(0.02)  # noqa: ASYNC251  # that is the point
    began = time.monotonic()
    request = at_once("asked", 1.0)
    leave(request)
    assert request.elapsed <= time.monotonic() - began
    request._parent.close()

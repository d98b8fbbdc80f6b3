"""Clocks of event loops: real ones, slow and fast ones, coarse ones, and those that stand still."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from tests.support import FLAVOURS
from tracedtimeout import Outcome, timeout
from tracedtimeout._core import _loop
from tracedtimeout._core._lanes import LINGER
from tracedtimeout._core._loop import LoopState, state_of
from tracedtimeout.testing import VirtualClockLoop

PAST = 1.0
"""Seconds, of a clock in a test's hands, after which its rate shows."""


def loop_with(clock: Callable[[], float]) -> asyncio.AbstractEventLoop:
    """An event loop whose time is `clock`'s."""

    class Loop(asyncio.SelectorEventLoop):
        def time(self) -> float:
            return clock()

    return Loop()


def state_with(clock: Callable[[], float]) -> LoopState:
    """The state of a loop whose time is `clock`'s, and that never ran."""
    loop = loop_with(clock)
    loop.close()
    return state_of(loop)


@pytest.mark.parametrize("origin", [0.0, 1e6, -1e6])
@pytest.mark.parametrize("rate", [0.001, 0.25, 0.5, 2.0, 60.0])
def test_a_clock_at_another_rate_is_virtual(rate: float, origin: float) -> None:
    """Durations are the clock's own, as deadlines are."""
    state = state_with(lambda: origin + rate * time.monotonic())
    assert not state.timed_apart
    assert state.stopwatch is state.clock


@pytest.mark.parametrize("origin", [0.0, 1e6, -1e6])
def test_a_clock_that_starts_elsewhere_is_real(origin: float) -> None:
    """Durations are measured by the monotonic clock, in the loop's coordinates; at the latest once its rate shows."""
    state = state_with(lambda: origin + time.monotonic())
    if state.undecided:  # the machine paused between two readings
        state._since = (state._since[0] - PAST, state._since[1] - PAST)
        state.decide()
    assert state.timed_apart
    assert state.stopwatch() == pytest.approx(state.clock(), abs=PAST)


class Hands:
    """Time that goes on by so much as it is read, in the place of the machine's, which may pause between two clocks."""

    def __init__(self, step: float) -> None:
        self.now = 0.0
        self._step = step

    def monotonic(self) -> float:
        self.now += self._step
        return self.now


@pytest.fixture
def hands(monkeypatch: pytest.MonkeyPatch) -> Hands:
    hands = Hands(2.0**-17)
    monkeypatch.setattr(_loop, "time", hands)
    return hands


@pytest.mark.parametrize("origin", [0.0, 0.5, 64.0])
def test_a_clock_that_goes_on_as_time_does_is_real_at_once(hands: Hands, origin: float) -> None:
    """Its loop's timer lingers, and durations are measured by the monotonic clock itself if that is the same."""
    state = state_with(lambda: origin + hands.now)
    assert (state.undecided, state.timed_apart, state._linger) == (False, True, LINGER)
    assert (state.stopwatch == hands.monotonic) == (origin == 0.0)
    assert state.stopwatch is not state.clock


def test_a_clock_that_stops_as_it_is_looked_at_is_virtual(hands: Hands) -> None:
    """It goes on as time does for a moment, and stands where it is from then on."""
    state = state_with(lambda: min(hands.now, 2.0**-16))
    assert (state.undecided, state.timed_apart, state._linger) == (True, False, 0.0)


def test_a_clock_is_looked_at_again_as_the_timer_rests(hands: Hands) -> None:
    """One that is read once a turn has gone on by then."""
    turn = [0.0]
    state = state_with(lambda: turn[0])
    state.rest()
    assert state.undecided
    hands.now += PAST
    turn[0] = hands.now
    state.rest()
    assert (state.undecided, state.timed_apart) == (False, True)


def advance_loop(patch: pytest.MonkeyPatch, loop: Any, seconds: float) -> None:
    """As tests do that have no loop of their own."""
    now = loop.time()
    patch.setattr(loop, "time", lambda: now + seconds)


def advance_time(patch: pytest.MonkeyPatch, loop: Any, seconds: float) -> None:
    """As the libraries do that freeze time."""
    now = loop.time()
    patch.setattr(time, "monotonic", lambda: now + seconds)


@pytest.mark.parametrize("advance", [advance_loop, advance_time])
@pytest.mark.parametrize("before", [False, True])
def test_a_clock_may_be_replaced(monkeypatch: pytest.MonkeyPatch, advance: Any, before: bool) -> None:
    """Before the first timeout of its loop, too, again and again, and put back: deadlines are what the loop says."""

    async def expires(loop: Any, seconds: float) -> bool:
        earliest = loop.time() + 10.0
        with suppress(TimeoutError):
            async with timeout(10.0) as opened:
                when = opened.when()
                assert when is not None
                assert earliest <= when <= loop.time() + 10.0
                advance(monkeypatch, loop, seconds)
                for _ in range(3):
                    await asyncio.sleep(0)
        return opened.expired()

    async def main() -> list[bool]:
        loop = asyncio.get_running_loop()
        if before:
            advance(monkeypatch, loop, 1000.0)
        seen = [await expires(loop, seconds) for seconds in (11.0, 9.0, 500.0)]
        monkeypatch.undo()
        seen.append(await expires(loop, -1.0))
        monkeypatch.undo()
        with pytest.raises(TimeoutError):
            async with timeout(0.001):
                await asyncio.sleep(60.0)
        return seen

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        assert runner.run(main()) == [True, False, True, False]


async def test_a_timer_that_is_early_replaces_no_clock() -> None:
    """A loop may round the instants at which it calls."""
    state = state_of(asyncio.get_running_loop())
    clock = state.clock
    async with timeout(60.0):
        state._tick(state.clock() + 0.5)
        assert state.clock is clock


def test_time_may_stand_as_a_loop_is_met(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for it to go on."""
    monkeypatch.setattr(time, "monotonic", lambda: 1.0)
    assert state_with(lambda: 5.0).undecided


@pytest.mark.parametrize("resolution", [1e-3, 0.0156])
def test_a_coarse_clock_is_real_once_it_has_gone_on(resolution: float) -> None:
    """A clock of Windows, or one that a loop reads once a turn, is told from a virtual one when its rate shows."""
    state = state_with(lambda: math.floor(time.monotonic() / resolution) * resolution)
    state._since = (state._since[0] - PAST, state._since[1] - PAST)
    state.decide()
    assert state.timed_apart


def test_a_clock_that_stands_still_is_virtual() -> None:
    """Until it is moved, and after that."""
    now = [0.0]
    state = state_with(lambda: now[0])
    now[0] += 10 * PAST
    state.decide()
    assert not state.undecided
    assert not state.timed_apart


def test_our_virtual_clock_is_not_asked() -> None:
    """It says what it is: moved as far as time has gone on while a machine paused, it would look real."""
    loop = VirtualClockLoop()
    state = state_of(loop)
    loop.block(PAST)
    state._since = (0.0, state._since[1] - PAST)
    state.rest()
    assert not state.timed_apart
    loop.close()


@pytest.mark.slow
@pytest.mark.parametrize("rate", [0.25, 4.0])
def test_a_timeout_is_timed_by_its_loops_slow_or_fast_clock(rate: float) -> None:
    """Work in time is `completed`, and lasts as long as the loop says. On the real clock, for it is the subject."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        state_of(loop)
        time.sleep(0.8)  # noqa: ASYNC251  # by now a clock of another rate stands elsewhere
        before = loop.time()
        async with timeout(0.5 * max(rate, 1.0)) as block:
            inside = loop.time()
            time.sleep(0.1)  # noqa: ASYNC251  # a clock that stood still would not show
            least = loop.time() - inside
        assert block.outcome is Outcome.COMPLETED
        assert block.elapsed is not None
        assert least <= block.elapsed <= loop.time() - before

    loop = loop_with(lambda: 1e5 + rate * time.monotonic())
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(main())


def test_a_coarse_clock_is_not_told_before_its_rate_shows() -> None:
    """Until then durations are the clock's own, which is right for a virtual one and for a real one."""
    state = state_with(lambda: math.floor(time.monotonic() / 3600.0) * 3600.0)
    state.decide()
    assert (state.undecided, state.timed_apart, state.stopwatch) == (True, False, state.clock)


def test_a_loop_that_does_not_tell_its_resolution_has_a_fine_one() -> None:
    """Deadlines are due at their instant there; the timer of asyncio's own loops lingers, and that of uvloop's."""
    loop: Any = asyncio.SelectorEventLoop()
    assert state_of(loop)._linger == LINGER
    loop.close()
    loop = asyncio.SelectorEventLoop()
    del loop._clock_resolution
    assert state_of(loop).resolution < 1e-6
    loop.close()
    loop = FLAVOURS["uvloop"]()
    assert (state_of(loop).resolution, state_of(loop)._linger) == (1e-3, LINGER)  # whole milliseconds
    loop.close()

"""The timers: whatever the order of deadlines, each fires when its own timer of the loop would have."""

from __future__ import annotations

import asyncio
import gc
import math
import random
import sys
import threading
import time
import weakref
from contextlib import suppress
from typing import Any

import pytest

from tests.support import FLAVOURS, figures, running_loop
from tests.support.watching import live_timers
from tracedtimeout import Outcome, timeout, timeout_at, wait_for
from tracedtimeout._core._lane import Entry, Lane
from tracedtimeout._core._lanes import LINGER, MOST, Lanes
from tracedtimeout._core._loop import state_of
from tracedtimeout.testing import run

Fired = list[tuple[float, int]]


class Fake:
    """What is timed, and when it fired."""

    def __init__(self, number: int, fired: Fired, loop: asyncio.AbstractEventLoop) -> None:
        self.number = number
        self._lane: Any = None
        self._fired = fired
        self._loop = loop

    def _timer_ran(self, when: float, lane: Lane, now: float, by_timer: bool) -> None:
        lane.pop(self)
        self._fired.append((self._loop.time(), self.number))

    def place(self, lanes: Lanes, when: float) -> None:
        lanes.place(self, when)

    def remove(self, lanes: Lanes) -> None:
        del self._lane[self]
        if not self._lane and not lanes.idle:
            lanes.rest()


def lanes_here() -> Lanes:
    return state_of(running_loop())


async def fired_by_lanes(whens: list[float], gone: set[int]) -> Fired:
    """Who fires when, of deadlines in that order, but for those gone before."""
    loop, lanes, fired = running_loop(), lanes_here(), Fired()
    fakes = [Fake(number, fired, loop) for number in range(len(whens))]
    for fake, when in zip(fakes, whens, strict=True):
        fake.place(lanes, when)
    for number in gone:
        fakes[number].remove(lanes)
    await asyncio.sleep(max(whens) + 1.0)
    return fired


async def fired_by_call_at(whens: list[float], gone: set[int]) -> Fired:
    """The same with a timer of the loop for each."""
    loop, fired = running_loop(), Fired()

    def fire(number: int) -> None:
        fired.append((loop.time(), number))

    timers = [loop.call_at(when, fire, number) for number, when in enumerate(whens)]
    for number in gone:
        timers[number].cancel()
    await asyncio.sleep(max(whens) + 1.0)
    return fired


@pytest.mark.parametrize("seed", range(20))
def test_deadlines_in_any_order_fire_in_theirs(seed: int) -> None:
    """Thousands of distinct deadlines, out of order and some gone again, fire as those of call_at do."""
    rng = random.Random(seed)
    whens = [rng.uniform(0.001, 60.0) for _ in range(2000)]
    gone = set(rng.sample(range(2000), 700))
    seen = run(fired_by_lanes(whens, gone))
    assert seen == run(fired_by_call_at(whens, gone))
    assert len(seen) == 1300


@pytest.mark.parametrize("seed", range(5))
def test_equal_deadlines_all_fire_at_their_time(seed: int) -> None:
    """Of deadlines of which many are equal, none fires before its time and none after."""
    rng = random.Random(seed)
    whens = [float(rng.randint(1, 9)) for _ in range(500)]
    seen = run(fired_by_lanes(whens, {7, 8, 9}))
    assert sorted(seen) == sorted(run(fired_by_call_at(whens, {7, 8, 9})))
    assert [time for time, _ in seen] == sorted(time for time, _ in seen)


@pytest.mark.parametrize("seed", range(10))
def test_a_storm_of_reschedules_ends_each_at_its_last_deadline(seed: int) -> None:
    """However often deadlines are moved while others come and go, each timeout fires at the one it had last."""
    rng = random.Random(seed)

    async def one(number: int) -> tuple[float, float]:
        await asyncio.sleep(rng.uniform(0.0, 5.0))
        with suppress(TimeoutError):
            async with timeout(rng.uniform(1.0, 9.0)) as mine:
                for _ in range(rng.randint(0, 20)):
                    mine.reschedule(rng.choice([None, running_loop().time() + rng.uniform(0.5, 9.0)]))
                    await asyncio.sleep(rng.uniform(0.0, 0.02))
                mine.reschedule(running_loop().time() + rng.uniform(0.5, 9.0))
                last = mine.when()
                await asyncio.sleep(50.0)
        assert last is not None
        return running_loop().time(), last

    async def storm() -> list[tuple[float, float]]:
        ended = await asyncio.gather(*map(one, range(300)))
        assert lanes_here().entries() == []
        return ended

    for ended, last in run(storm()):
        assert ended == last


def test_a_lane_whose_head_has_gone_fires_the_next_in_time() -> None:
    """The timer that stood at a deadline that was left runs for nobody, and the next one is not late."""

    async def brief() -> None:
        async with timeout(2.0):
            await asyncio.sleep(1.0)

    async def main() -> float:
        task = asyncio.create_task(brief())
        await asyncio.sleep(0)
        with suppress(TimeoutError):
            async with timeout(3.0):
                await task
                await asyncio.sleep(50.0)
        return running_loop().time()

    assert run(main()) == 3.0


def test_past_so_many_lanes_the_rest_have_timers_of_their_own() -> None:
    """Deadlines that come in descending order need a lane each: past the last one, they use the loop's timers."""

    async def main() -> tuple[int, int]:
        lanes, fired = lanes_here(), Fired()
        fakes = [Fake(number, fired, running_loop()) for number in range(MOST + 10)]
        for number, fake in enumerate(fakes):
            fake.place(lanes, 100.0 - number)
        loose, open_now = len(lanes.loose), len(lanes.entries())
        for fake in fakes:
            fake.remove(lanes)
        assert lanes.entries() == []
        assert live_timers(running_loop()) == []
        return loose, open_now

    assert run(main()) == (10, MOST + 10)


def test_one_that_is_moved_leaves_no_timer_behind() -> None:
    """A deadline with a timer of its own has one, wherever it is moved: to another, to none, or into a lane."""

    async def main() -> list[int]:
        lanes, fired, counts = lanes_here(), Fired(), list[int]()
        fakes = [Fake(number, fired, running_loop()) for number in range(MOST + 1)]
        for number, fake in enumerate(fakes):
            fake.place(lanes, 100.0 - number)
        for when in (20.0, 30.0, math.inf, 10.0, 200.0):
            fakes[-1].place(lanes, when)
            counts.append(len(live_timers(running_loop())))
            assert lanes.entries().count(fakes[-1]) == (when < math.inf)
        assert fakes[-1] in lanes.lanes[0]
        await asyncio.sleep(300.0)
        assert fired[-1] == (200.0, MOST)
        assert len(fired) == MOST + 1
        return counts

    assert run(main()) == [2, 2, 1, 2, 1]


def test_one_that_is_moved_within_its_lane_takes_a_new_turn_there() -> None:
    """Who was behind it comes before it, and fires in time."""

    async def main() -> Fired:
        lanes, fired = lanes_here(), Fired()
        first, second = (Fake(number, fired, running_loop()) for number in range(2))
        first.place(lanes, 10.0)
        second.place(lanes, 11.0)
        first.place(lanes, 12.0)
        assert first._lane is second._lane
        await asyncio.sleep(20.0)
        return fired

    assert run(main()) == [(11.0, 1), (12.0, 0)]


def test_who_is_due_as_it_is_queued_is_told_so() -> None:
    """It takes its turn among the loop's callbacks, as in asyncio; whoever waits for a timer is not told that."""

    class Told(Fake):
        def _timer_ran(self, when: float, lane: Lane, now: float, by_timer: bool) -> None:
            super()._timer_ran(when, lane, now, by_timer)
            told.append(by_timer)

    told: list[bool] = []

    async def main() -> None:
        loop, lanes, fired = running_loop(), lanes_here(), Fired()
        Told(0, fired, loop).place(lanes, loop.time())
        Told(1, fired, loop).place(lanes, loop.time() - 1.0)
        await asyncio.sleep(1.0)
        assert told == [False, False]
        fakes = [Fake(number, fired, loop) for number in range(MOST)]
        for number, fake in enumerate(fakes):
            fake.place(lanes, 100.0 - number)
        Told(2, fired, loop).place(lanes, 10.0)
        await asyncio.sleep(20.0)

    run(main())
    assert told == [False, False, True]


def test_deadlines_of_any_order_take_as_few_lanes_as_they_can() -> None:
    """In order behind others they queue there, those that are equal too; else where nobody is left, or in a new one."""

    async def main() -> None:
        lanes, fired = lanes_here(), Fired()
        first, second, third, fourth, fifth = (Fake(number, fired, running_loop()) for number in range(5))
        first.place(lanes, 10.0)
        second.place(lanes, 5.0)
        third.place(lanes, 10.0)
        assert (first._lane, second._lane) == (third._lane, lanes.lanes[1])
        second.remove(lanes)
        fourth.place(lanes, 20.0)
        assert fourth._lane is first._lane
        fifth.place(lanes, 5.0)
        assert fifth._lane is lanes.lanes[1]
        assert len(lanes.lanes) == 2
        await asyncio.sleep(30.0)

    run(main())


def test_lanes_of_a_delay_and_those_of_any_are_counted_apart() -> None:
    """There are so many of the one and so many of the other, and none is made past them."""

    async def main() -> None:
        lanes, fired = lanes_here(), Fired()
        for number in range(MOST):
            fake = Fake(number, fired, running_loop())
            lane = lanes.lane_of(200.0 + number)
            lane[fake] = 200.0 + number
        assert lanes.lane_of(1.0) is lanes.loose
        fakes = [Fake(number, fired, running_loop()) for number in range(MOST + 1)]
        for number, fake in enumerate(fakes):
            fake.place(lanes, 100.0 - number)
        assert list(lanes.loose) == [fakes[-1]]
        await asyncio.sleep(300.0)
        assert len(fired) == 2 * MOST + 1

    run(main())


def test_a_deadline_is_due_at_its_instant_and_no_sooner_than_the_clock_can_tell() -> None:
    """The timer of the loop runs that much early, as it does for asyncio's own."""

    async def main() -> None:
        loop = running_loop()
        lanes, fake = Lanes(loop, lambda: 10.0, resolution=0.5, linger=0.0), Fake(0, Fired(), loop)
        assert [lanes.is_due(when) for when in (9.0, 10.5, 10.75)] == [True, True, False]
        fake.place(lanes, 20.0)
        assert [each for _, each, _ in lanes._due(20.0)[0]] == [fake]
        assert lanes._due(19.9)[0] == []

    run(main())


def test_a_tick_leaves_what_an_exit_could_not() -> None:
    """A timeout whose exit broke off where the stack is at its end is left as the next fires, whoever stays open."""

    class BrokenOff(Fake):
        def _clear_up(self) -> None:
            left.append(running_loop().time())

    left: list[float] = []

    async def main() -> None:
        lanes, fired = lanes_here(), Fired()
        for number, when in enumerate([1.0, 50.0]):
            Fake(number, fired, running_loop()).place(lanes, when)
        lanes.pending[BrokenOff(2, fired, running_loop())] = None
        await asyncio.sleep(2.0)
        assert (left, lanes.pending) == ([1.0], {})
        await asyncio.sleep(60.0)
        assert left == [1.0]

    run(main())


def test_one_whose_turn_was_broken_off_has_another() -> None:
    """Soon, unless it is left before: then no timer stays behind."""

    class Faulty(Fake):
        def _timer_ran(self, when: float, lane: Lane, now: float, by_timer: bool) -> None:
            turns.append(by_timer)
            raise ValueError("mine")

    turns: list[bool] = []

    async def main() -> None:
        loop, lanes = running_loop(), lanes_here()
        loop.set_exception_handler(lambda *_: None)
        fake = Faulty(0, Fired(), loop)
        fake.place(lanes, loop.time() - 1.0)
        await asyncio.sleep(0)
        assert turns == [False]
        await asyncio.sleep(LINGER + 0.001)
        assert turns == [False, False]
        del fake._lane[fake]
        assert live_timers(loop) == []

    run(main())


def test_who_is_due_at_once_fires_in_the_order_of_deadlines() -> None:
    """Whatever the lanes that they are in, as when the loop was blocked."""

    async def main() -> list[float]:
        lanes, fired = lanes_here(), Fired()
        for number, (delay, when) in enumerate([(5.0, 1.0), (5.0, 3.0), (6.0, 2.0), (6.0, 4.0)]):
            fake = Fake(number, fired, running_loop())
            fake._lane = lanes.lane_of(delay)
            fake._lane[fake] = when
        due = lanes._due(3.0)[0]
        for _, each, lane in due:
            del lane[each]
        return [when for when, _, _ in due]

    assert run(main()) == [1.0, 2.0, 3.0]


def test_nothing_is_timed_on_a_loop_that_has_ended() -> None:
    """What is left there late, when the loop is closed or gone, has no timer to see to."""
    loop = asyncio.new_event_loop()
    lanes = Lanes(loop, lambda: 0.0, resolution=1e-9, linger=LINGER)
    loop.close()
    lanes.rest()
    assert lanes.loop() is loop
    del loop
    gc.collect()
    assert lanes.loop() is None
    lanes.rest()
    assert lanes.idle


def test_a_loop_with_nothing_left_to_time_is_soon_asleep() -> None:
    """The timer outlives the last exit by less than 50 ms, whenever it would have run."""

    async def main() -> list[int]:
        loop, counts = running_loop(), list[int]()
        lanes, fake = Lanes(loop, loop.time, resolution=1e-9, linger=LINGER), Fake(0, Fired(), loop)
        for _ in range(2):
            fake.place(lanes, 100.0)
            fake.remove(lanes)
            counts.append(len(live_timers(loop)))
            await asyncio.sleep(0.05)
            counts.append(len(live_timers(loop)))
        return counts

    assert run(main()) == [2, 0, 2, 0]


def test_who_comes_before_the_loop_is_asleep_has_it_awake_until_he_is_gone() -> None:
    """Then it sleeps, though it was on its way to do so before he came; and leaves what an exit could not."""

    class BrokenOff(Fake):
        def _clear_up(self) -> None:
            left.append(self.number)

    left: list[int] = []

    async def main() -> list[int]:
        loop, lanes, counts = running_loop(), lanes_here(), list[int]()
        lanes._linger = LINGER
        first, second, third = Fake(0, Fired(), loop), Fake(1, Fired(), loop), BrokenOff(2, Fired(), loop)
        first.place(lanes, 100.0)
        first.remove(lanes)
        second.place(lanes, 100.0)
        lanes.pending[third] = None
        await asyncio.sleep(0.05)
        counts.append(len(live_timers(loop)))
        assert (left, lanes.pending) == ([2], {})
        second.remove(lanes)
        await asyncio.sleep(0.05)
        counts.append(len(live_timers(loop)))
        return counts

    assert run(main()) == [1, 0]


def test_a_crowd_that_has_left_leaves_its_memory() -> None:
    """A dict keeps the room of its largest size until it is cleared; an empty lane is, as the loop goes to sleep."""

    async def main() -> None:
        here = lanes_here()
        lane = here.lane_of(5.0)
        for number in range(10_000):
            lane[number] = 5.0
        for number in range(10_000):
            del lane[number]
        assert sys.getsizeof(lane) > 100_000
        async with timeout(5.0):
            pass
        await asyncio.sleep(1.0)
        assert sys.getsizeof(lane) < 1_000

    run(main())


def test_an_entry_finds_a_timer_that_was_lost() -> None:
    """What it was to end is ended as the next is entered 0.2 s later, though that one has long to go."""

    async def main() -> Fired:
        loop, lanes, fired = running_loop(), lanes_here(), Fired()
        Fake(0, fired, loop).place(lanes, 1.0)
        live_timers(loop)[0].cancel()
        await asyncio.sleep(1.25)
        Fake(1, fired, loop).place(lanes, 50.0)
        await asyncio.sleep(0.25)
        return fired

    assert run(main()) == [(1.25, 0)]


def test_an_entry_that_raises_does_not_keep_the_others_from_firing() -> None:
    """What is due behind it fires in the next iteration: nobody is lost with it."""

    class Faulty(Fake):
        def _timer_ran(self, when: float, lane: Lane, now: float, by_timer: bool) -> None:
            super()._timer_ran(when, lane, now, by_timer)
            raise ValueError("mine")

    async def main() -> list[int]:
        loop, lanes, fired, errors = running_loop(), lanes_here(), Fired(), list[Any]()
        loop.set_exception_handler(lambda _, context: errors.append(context["exception"]))
        for number, kind in enumerate([Fake, Faulty, Fake]):
            kind(number, fired, loop).place(lanes, 1.0)
        await asyncio.sleep(2.0)
        assert [str(error) for error in errors] == ["mine"]
        return [number for _, number in fired]

    assert run(main()) == [0, 1, 2]


@pytest.mark.parametrize("flavour", ["plain", "debug", "uvloop", "virtual", "virtual-debug"])
def test_deadlines_fire_on_every_loop(flavour: str) -> None:
    """In order and out of it, on asyncio's loop, in debug mode, on uvloop and under a virtual clock; none early."""
    loop = FLAVOURS[flavour]()
    delays = [0.03, 0.01, 0.02, 0.0, -1.0, 0.05, 0.04, 0.01]

    async def one(delay: float) -> tuple[bool, bool]:
        started = loop.time()
        try:
            async with timeout(delay) as mine:
                await asyncio.sleep(30.0)
        except TimeoutError:
            return mine.expired(), loop.time() - started >= delay - 0.0011  # uvloop: whole milliseconds
        return False, False

    async def main() -> list[tuple[bool, bool]]:
        return await asyncio.gather(*map(one, delays))

    try:
        assert loop.run_until_complete(main()) == [(True, True)] * len(delays)
    finally:
        loop.close()


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("delay", [5e-5, 2e-3])
def test_a_tick_tells_the_loop_of_no_error(flavour: str, delay: float) -> None:
    """On every loop, whatever its handles can do: also where the deadline is due by the time that the timer is set."""
    loop, told = FLAVOURS[flavour](), list[dict[str, Any]]()
    loop.set_exception_handler(lambda _, context: told.append(context))

    async def main() -> None:
        for _ in range(20):
            with suppress(TimeoutError):
                async with timeout(delay):
                    until = time.perf_counter() + 2e-4
                    while time.perf_counter() < until:
                        pass
                    await asyncio.sleep(9.0)

    try:
        loop.run_until_complete(main())
    finally:
        loop.close()
    assert told == []


@pytest.mark.parametrize("flavour", ["plain", "uvloop"])
def test_a_deadline_in_the_past_can_still_be_moved(flavour: str) -> None:
    """What was to fire at once and is moved before it could does not fire, on uvloop as on asyncio."""
    loop = FLAVOURS[flavour]()

    async def main() -> bool:
        async with timeout(-1.0) as mine:
            mine.reschedule(loop.time() + 50.0)
            for _ in range(3):
                await asyncio.sleep(0)
        expired: bool = mine.expired()
        return expired

    try:
        assert loop.run_until_complete(main()) is False
    finally:
        loop.close()


def test_a_clock_that_was_replaced_is_the_one_in_use() -> None:
    """A loop whose time() is another function, as test suites do, is timed and measured by that."""
    loop: Any = asyncio.new_event_loop()
    now = [5e6]
    loop.time = lambda: now[0]

    async def main() -> tuple[float, ...]:
        with suppress(TimeoutError):
            async with timeout(20.0) as mine:
                for _ in range(100):
                    now[0] += 1.0
                    await asyncio.sleep(0)
        return mine.limit, mine.elapsed, now[0]

    try:  # the timer runs in the turn after the one that reaches the deadline, and the body after that
        assert loop.run_until_complete(main()) == (20.0, 21.0, 5e6 + 21.0)
    finally:
        loop.close()


def test_entry_is_what_a_timeout_is() -> None:
    """The lanes time whatever has `_timer_ran`, and a Timeout has it."""

    async def main() -> None:
        entry: Entry = timeout_at(5.0)
        assert callable(entry._timer_ran)

    run(main())


def test_lanes_that_are_empty_are_given_to_other_delays() -> None:
    """However many delays a loop has seen, it has few lanes; one whose lane another has now fires in time."""

    async def main() -> list[float]:
        here = lanes_here()
        for number in range(3 * MOST):
            async with timeout(1.0 + number, name=f"name {number // 10}"):
                pass
        assert len(here.by_delay) <= MOST
        assert len(here.lanes) <= MOST
        fired = []
        for delay in (1.0, 2.0, 1.0):
            began = running_loop().time()
            with suppress(TimeoutError):
                async with timeout(delay, name="name 0"):
                    await asyncio.sleep(999)
            fired.append(running_loop().time() - began)
        return fired

    assert run(main()) == [1.0, 2.0, 1.0]


def test_each_delay_has_a_lane_while_there_are_few() -> None:
    """Those that are open at once queue apart, and none needs a timer of its own; a lane stays for who comes next."""

    async def main() -> None:
        here = lanes_here()
        for _ in range(2):
            async with timeout(3.0, name="a"), timeout(2.0, name="b"), timeout(1.0, name="c"):
                assert [len(lane) for lane in here.lanes] == [1, 1, 1]
                assert list(here.by_delay) == [3.0, 2.0, 1.0]

    run(main())


def test_one_that_never_ends_is_in_no_lane() -> None:
    """No deadline, or an infinite one: a task that is dropped with it goes, and no timer runs for it."""

    async def main() -> None:
        loop = running_loop()
        for delay in (None, math.inf, math.inf):
            task: Any = asyncio.create_task(wait_for(loop.create_future(), delay, name="t"))
            task._log_destroy_pending = False
            await asyncio.sleep(0)
            gone = weakref.ref(task)
            del task
            gc.collect()
            assert gone() is None
            async with timeout(delay):
                pass
            assert (lanes_here().lanes, live_timers(loop)) == ([], [])

    run(main())


def test_delays_beyond_the_lanes_have_timers_of_their_own() -> None:
    """With every lane in use, further delays fire in time all the same."""

    async def main() -> list[float]:
        fired = []

        async def wait(delay: float) -> None:
            with suppress(TimeoutError):
                async with timeout(delay, name=f"name {delay // 10}"):
                    await asyncio.sleep(999)
            fired.append(running_loop().time())

        delays = [1.0 + number / 2 for number in range(3 * MOST)]
        await asyncio.gather(*map(wait, reversed(delays)))
        assert fired == delays
        return fired

    assert len(run(main())) == 3 * MOST


@pytest.mark.parametrize("wait", [0.0, 0.002, 0.5, 3.0])
def test_one_that_was_made_before_it_is_entered_begins_as_it_is_entered(wait: float) -> None:
    """Its deadline stands from when it was made, as asyncio's does; its limit and duration from when it was entered."""

    async def main() -> tuple[float, float]:
        made = timeout(5.0, name="made")
        await asyncio.sleep(wait)
        async with made:
            await asyncio.sleep(1.0)
        return made.limit, made.elapsed

    assert run(main()) == (5.0 - wait, 1.0)


class Changing(Lane):
    """A lane that the garbage collector takes something out of, the first time that it is looked at."""

    __slots__ = ("looks",)

    def items(self) -> Any:
        self.looks = getattr(self, "looks", 0) + 1
        for each in list(super().items()):
            yield each
            if self.looks == 1:
                raise RuntimeError("dictionary changed size during iteration")


def test_a_lane_that_changes_as_it_is_looked_at_is_looked_at_again() -> None:
    """What is due in it fires in the same turn, once."""

    async def main() -> tuple[int, Fired]:
        here, fired, errors = lanes_here(), Fired(), list[Any]()
        running_loop().set_exception_handler(lambda _, context: errors.append(context))
        here.by_delay[1.0] = lane = Changing(here, 1.0)
        here.lanes.append(lane)
        lane[Fake(7, fired, running_loop())] = lane.tail = 1.0
        here.arm(1.0)
        assert here.is_due(1.0) is False
        await asyncio.sleep(9.0)
        assert here.is_due(1.0) is True
        assert errors == []
        return lane.looks, fired

    assert run(main()) == (2, [(1.0, 7)])


def test_a_timer_that_is_gone_hinders_nobody_who_leaves() -> None:
    """An exception may have broken off the exit that cancelled it."""

    async def main() -> None:
        lanes, fake = lanes_here(), Fake(0, Fired(), running_loop())
        fake.place(lanes, running_loop().time() - 1.0)
        lanes.loose.handles.pop(fake).cancel()
        del lanes.loose[fake]
        assert lanes.entries() == []

    run(main())


def test_one_that_raises_once_it_has_had_its_turn_has_no_other() -> None:
    """The loop is told of the exception."""

    class Faulty(Fake):
        def _timer_ran(self, when: float, lane: Lane, now: float, by_timer: bool) -> None:
            super()._timer_ran(when, lane, now, by_timer)
            raise ValueError("mine")

    async def main() -> None:
        loop, fired, errors = running_loop(), Fired(), list[Any]()
        loop.set_exception_handler(lambda _, context: errors.append(context["exception"]))
        Faulty(7, fired, loop).place(lanes_here(), loop.time())
        await asyncio.sleep(1.0)
        assert (fired, [str(error) for error in errors], live_timers(loop)) == ([(0.0, 7)], ["mine"], [])

    run(main())


def test_what_is_yet_to_be_left_is_left_in_the_thread_of_its_loop() -> None:
    """Whoever comes upon it."""

    class BrokenOff(Fake):
        def _clear_up(self) -> None:
            left.append(threading.get_ident())

    left: list[int] = []

    async def main() -> None:
        here = state_of(running_loop())
        here.pending[BrokenOff(0, Fired(), running_loop())] = None
        other = threading.Thread(target=here.clear_up)
        other.start()
        other.join()
        assert left == []
        await asyncio.sleep(1.0)
        assert (left, here.pending) == ([threading.get_ident()], {})

    run(main())


def test_one_that_was_left_is_not_left_again() -> None:
    """Though it stands among those whose exit was broken off."""

    async def main() -> None:
        async with timeout(1.0, name="left") as left:
            pass
        here = state_of(running_loop())
        here.pending[left] = None
        here.clear_up()
        assert (here.pending, left.outcome) == ({}, Outcome.COMPLETED)
        assert figures("left")["duration"] == {"completed": 1}

    run(main())


def test_one_sweep_is_on_its_way_however_many_are_left() -> None:
    """Beside the timer, which it is to see to."""

    async def main() -> int:
        loop = asyncio.get_running_loop()
        for _ in range(5):
            async with timeout(60.0, name="t"):
                pass
        return len(live_timers(loop))

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        assert runner.run(main()) == 2


def test_a_tick_too_many_leaves_one_timer() -> None:
    """One runs early where an overdue one was doubled, and what stands then is another's."""

    async def main() -> int:
        lanes = lanes_here()
        Fake(0, Fired(), running_loop()).place(lanes, 1.0)
        lanes._tick(0.0)
        return len(live_timers(running_loop()))

    assert run(main()) == 1


def test_a_tick_that_leaves_nothing_to_time_leaves_no_timer() -> None:
    """Though what fired in it had another placed, which has gone by its end."""

    class Places(Fake):
        def _timer_ran(self, when: float, lane: Lane, now: float, by_timer: bool) -> None:
            super()._timer_ran(when, lane, now, by_timer)
            another = Fake(1, self._fired, self._loop)
            another.place(lanes_here(), 50.0)
            del another._lane[another]

    async def main() -> list[int]:
        counts = list[int]()
        Places(0, Fired(), running_loop()).place(lanes_here(), 1.0)
        await asyncio.sleep(2.0)
        counts.append(len(live_timers(running_loop())))
        return counts

    assert run(main()) == [0]


def test_a_timer_of_its_own_clears_up_what_was_broken_off() -> None:
    """In the place of having that fire: its task is not in its body any more."""

    async def main() -> None:
        overdue = timeout(-1.0, name="overdue")
        await overdue.__aenter__()
        here = state_of(running_loop())
        here.pending[overdue] = None
        await asyncio.sleep(1.0)
        assert (here.entries(), here.pending, overdue.outcome) == ([], {}, Outcome.FAILED)

    run(main())

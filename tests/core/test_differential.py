"""Random programs behave under us as they do under asyncio, to the letter; and as the model says beyond that."""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import islice, permutations

from hypothesis import HealthCheck, example, given, settings

from . import statements as p
from . import strategies
from .model import MODEL
from .programs import Body, Event, Library, Trace, execute
from .reference import ASYNCIO, DIRECT, OURS, OURS_NAMED
from .virtual import Order

Run = Callable[..., Trace]

PROGRAMS = int(os.environ.get("TRACEDTIMEOUT_PROGRAMS", "2000"))

many = settings(max_examples=PROGRAMS // 3, deadline=None, suppress_health_check=list(HealthCheck), database=None)
some = settings(many, max_examples=PROGRAMS // 10)


def agree(program: Body, ours: Library, reference: Library, *, eager: bool = False) -> None:
    """Assert that both show the same events.

    Not so to the letter in two cases. Of several tasks (or a task and who cancels it from outside), which is served
    first when the timers of both come due in one iteration of the loop: then the same as under some order is asked
    for. And when a callback blocks the loop in the midst of an iteration, deadlines pass after asyncio has looked for
    them: we see them in the same iteration, it in the next.
    """
    run = partial(execute, eager=eager)
    expected = run(program, reference)
    seen = run(program, ours)
    if seen.events == expected.events or expected.loop.delayed or seen.loop.delayed:
        return
    if expected.actors == 1 or not under_some_order(program, reference, seen.events, run):
        assert seen.events == expected.events


def under_some_order(program: Body, reference: Library, events: list[Event], run: Run) -> bool:
    """Whether the reference shows `events` when timers that come due at once run in some other order.

    Looks at what came due last before the events part, takes the order that agrees with them longest, and goes on.
    """
    orders: dict[int, Order] = {}
    trace = run(program, reference)
    while trace.events != events:
        better = _agrees_longer(partial(run, program, reference), events, orders, trace)
        if better is None:
            return False
        orders = better
        trace = run(program, reference, orders)
    return True


def _agrees_longer(
    rerun: Callable[[dict[int, Order]], Trace], events: list[Event], orders: dict[int, Order], trace: Trace
) -> dict[int, Order] | None:
    """The best of the orders that agree with `events` for longer than those of `trace` do."""
    best, longest = None, _alike(trace.events, events)
    before = [number for number, (_, progress) in enumerate(trace.loop.crowds) if progress <= longest]
    for number in before[:-4:-1]:
        order = orders.get(number, tuple(range(trace.loop.crowds[number][0])))
        for other in _orders_near(order):
            tried = {**orders, number: other}
            alike = _alike(rerun(tried).events, events)
            if alike > longest:
                best, longest = tried, alike
            if alike == len(events):
                return best
        if best is not None:
            return best
    return None


def _orders_near(order: Order) -> Iterator[Order]:
    """All orders of a few, else those with one or two of them moved."""
    if len(order) <= 5:
        yield from permutations(order)
        return
    once = list(_with_one_moved(order))
    yield from once
    yield from islice((twice for each in once for twice in _with_one_moved(each)), 4000)


def _with_one_moved(order: Order) -> Iterator[Order]:
    for taken, put in permutations(range(len(order)), 2):
        rest = order[:taken] + order[taken + 1 :]
        yield (*rest[:put], order[taken], *rest[put:])


def _alike(some: list[Event], others: list[Event]) -> int:
    """How many of the first events are the same."""
    return next((n for n, (one, other) in enumerate(zip(some, others, strict=False)) if one != other), len(some))


@many
@given(strategies.one_task)
def test_one_task_sees_what_asyncio_shows_it(program: Body) -> None:
    """Programs of one task agree with asyncio: result, exceptions, counts, and the time of every event."""
    agree(program, OURS, ASYNCIO)


OVERDUE = p.Group(((p.Within(2.0004, (p.Sleep(1.0),)),), ()), (p.Await((p.Block(3.0),)), p.Within(-1.0, ())))
"""A timer that is overdue, and about to run, as a timeout is entered whose deadline passed before that."""


@many
@given(strategies.structured)
@example((OVERDUE,))
def test_structured_programs_see_what_asyncio_shows_them(program: Body) -> None:
    """Programs whose child tasks are awaited by their creator agree with asyncio."""
    agree(program, OURS, ASYNCIO)


@some
@given(strategies.broken_off)
def test_work_that_is_broken_off_sees_what_asyncio_shows_it(program: Body) -> None:
    """Programs with generators and coroutines that are closed, or dropped, inside a timeout agree with asyncio."""
    agree(program, OURS, ASYNCIO)


def test_what_nobody_holds_lives_as_long_as_under_asyncio() -> None:
    """Tasks that nobody holds are closed at the same collection, or end at the same deadline."""

    @settings(some, max_examples=PROGRAMS // 60)
    @given(strategies.forgotten)
    @example((p.Forget(None), p.Collect()))
    def check(program: Body) -> None:
        agree(program, OURS, ASYNCIO)

    gc.collect()
    gc.freeze()  # else each collection of a program would take a tenth of a second
    gc.disable()  # only programs collect
    try:
        check()
    finally:
        gc.enable()
        gc.unfreeze()


if sys.version_info >= (3, 12):  # which has eager tasks; what a Python cannot have is not run at all

    @some
    @given(strategies.structured)
    def test_eager_tasks_see_what_asyncio_shows_them(program: Body) -> None:
        """Programs whose tasks start as they are created agree with asyncio."""
        agree(program, OURS, ASYNCIO, eager=True)


@some
@given(strategies.unsupervised, strategies.broken_off)
def test_loops_in_threads_do_not_disturb_each_other(program: Body, other: Body) -> None:
    """A program shows in one thread, beside others on loops of their own, what it shows by itself."""
    expected = [execute(each, OURS_NAMED).events for each in (program, other, program)]
    seen: dict[int, list[Event]] = {}

    def run(place: int, program: Body) -> None:
        seen[place] = execute(program, OURS_NAMED).events

    threads = [threading.Thread(target=run, args=each) for each in enumerate((program, other, program))]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert [seen[place] for place in range(len(threads))] == expected


@some
@given(strategies.structured)
def test_plain_calls_see_what_asyncio_shows(program: Body) -> None:
    """What `wait_for` and the doors enter and leave without awaiting agrees with asyncio too."""
    agree(program, DIRECT, ASYNCIO)


_SLEEP = (p.Sleep(1.0),)
_scene, _slow_scene = strategies._scene, strategies._slow_scene
BENEATH_A_BUDGET = _scene(1.0, p.Spawn, 0.0, (p.Bare(1.0, (_slow_scene(0.0, p.Spawn, 1.0, 1.0, _SLEEP),)),), _SLEEP)
"""A timeout whose nearest budget was set before the one around that fired, and which is opened after."""
CUT_OFF = p.Within(1.0, (p.Spawn((p.Within(1.0, (p.Spawn((p.Within(1.0, _SLEEP),)), p.Cancel(0, 0.0), *_SLEEP)),)),
                         p.Reschedule(0, 0.0), *_SLEEP))  # fmt: skip
"""Three orphans deep: the second is cancelled from outside as the first fires."""
CLEANING_UP = _slow_scene(2.0, p.Spawn, 3.0, 1.0, (_scene(1.0, p.Await, 1.0, _SLEEP, _SLEEP),))
"""An orphan in which a timeout of its clean-up fires just before it is to end."""
LISTED_ANEW = p.Within(1.0, (
    p.Try((p.Within(0.0, (p.Spawn((strategies._caught(p.Within(None, _SLEEP), (p.Within(None, (p.Sleep(2.0),)),)),)),
                          *_SLEEP)),),
          "TimeoutError", (p.Within(None, (p.Spawn((p.Within(None, (p.Sleep(2.0),)),)), *_SLEEP)),), "swallow"),
))  # fmt: skip
"""Two orphans that end at once, one of them handed on to the timeout around it after that had fired."""
LEFT_MEANWHILE = _slow_scene(1.0, p.Spawn, 0.0, 0.0, (p.WaitFor(2.0, _SLEEP),))
"""An orphan's `wait_for` that is left in the turn in which it is to end."""
DUE_AND_ORPHANED = _scene(1.0, p.Spawn, 0.0, (_scene(1.0, p.Spawn, 0.0, _SLEEP, _SLEEP),), (p.Within(0.0, _SLEEP),))
"""A timeout that is due when the one around it is left."""
WAITING_IN_CLEANUP = strategies._gather_scene(1.0, 2.0, (
    strategies._caught(p.Within(0.0, _SLEEP), (strategies._caught(p.WaitFor(0.0, _SLEEP), _SLEEP),)),
))  # fmt: skip
"""A child that a gather cancelled, whose clean-up waits with no time as the timeout around both is left."""


@many
@given(strategies.unsupervised)
@example((BENEATH_A_BUDGET,))
@example((DUE_AND_ORPHANED,))
@example((CUT_OFF,))
@example((CLEANING_UP,))
@example((LISTED_ANEW,))
@example((WAITING_IN_CLEANUP,))
@example((LEFT_MEANWHILE,))
def test_what_nobody_supervises_ends_with_the_timeout_around_it(program: Body) -> None:
    """Programs with tasks that outlive their creators agree with the model, and on whose deadline it was."""
    agree(program, OURS_NAMED, MODEL)


@some
@given(strategies.structured)
def test_the_model_adds_nothing_to_structured_programs(program: Body) -> None:
    """Of programs whose child tasks are awaited by their creator, the model says what asyncio does."""
    agree(program, replace(MODEL, owners=False), ASYNCIO)

"""The facts that a timeout shows of itself: before it is entered, while it is open, and once it has ended."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

import pytest

from tests.support import figures, running_loop
from tests.support.watching import now
from tracedtimeout import DeadlineExceeded, Outcome, Timeout, budget, checkpoint, timeout, timeout_at
from tracedtimeout._core._facts import ended_usually, usual
from tracedtimeout._core.figures import _process

pytestmark = pytest.mark.loops("virtual")


async def test_what_was_left_at_the_end_stays() -> None:
    """However long ago that was; never negative."""
    await asyncio.sleep(3.0)
    async with timeout(5.0) as early:
        await asyncio.sleep(2.0)
    async with timeout(1.0) as just:
        await asyncio.sleep(0.75)
    async with timeout(1.0) as late:
        running_loop().block(1.5)
    assert [each.remaining() for each in (early, just, late)] == [3.0, 0.25, 0.0]


@pytest.mark.parametrize("left", [0.5, 0.0, -1.0])
async def test_a_limit_before_the_entry_is_what_is_left_now(left: float) -> None:
    """Nothing, where the deadline has passed."""
    await asyncio.sleep(3.0)
    assert timeout_at(now() + left).limit == max(0.0, left)


async def test_no_time_at_all_is_never_less_than_none() -> None:
    """However its deadline was rounded: open, left, and as the time that the one around it spent."""
    for _ in range(50):
        await asyncio.sleep(0.1)
        async with timeout(0.7, name="outer") as outer:
            async with timeout(0.3, name="inner") as inner:
                assert (0.0 <= inner.elapsed < 1e-9, inner.remaining() <= 0.3 + 1e-9) == (True, True)
        assert 0.0 <= inner.elapsed < 1e-9
        assert [str(each) for each in outer.spent] in (["0.000 s in inner"], ["0.0 ms in inner"])


async def wait_in(leaf: Timeout) -> None:
    async with leaf:
        await asyncio.sleep(50.0)


async def within_a_budget(leaf: Timeout) -> None:
    with budget(1.0):
        async with timeout(None), timeout(9.0):
            await wait_in(leaf)


async def in_a_child_within_a_budget(leaf: Timeout) -> None:
    with budget(1.0):
        async with timeout(9.0):
            await asyncio.gather(wait_in(leaf))


async def in_a_child_that_nobody_supervises(leaf: Timeout) -> None:
    async with timeout(1.0, name="owner"):
        children.append(asyncio.create_task(wait_in(leaf)))
        await asyncio.sleep(50.0)


async def in_such_a_child_of_such_a_child(leaf: Timeout) -> None:
    async with timeout(1.0, name="owner"):
        children.append(asyncio.create_task(in_a_child_of(timeout(7.0), leaf)))
        await asyncio.sleep(50.0)


async def in_a_child_of(around: Timeout, leaf: Timeout) -> None:
    async with around:
        children.append(asyncio.create_task(wait_in(leaf)))
        await asyncio.sleep(50.0)


async def in_such_a_child_within_a_budget(leaf: Timeout) -> None:
    with budget(1.0):
        await in_a_child_of(timeout(9.0), leaf)


async def within_a_budget_that_is_left_before(leaf: Timeout) -> None:
    outer = budget(1.0)
    outer.__enter__()
    async with leaf:
        try:
            await asyncio.sleep(50.0)
        finally:
            outer.__exit__(None, None, None)


async def found_by_code(leaf: Timeout) -> None:
    async with timeout(1.0, name="owner"), leaf:
        running_loop().block(1.5)
        checkpoint()


children: list[asyncio.Task[None]] = []
ENDED = [
    within_a_budget,
    in_a_child_within_a_budget,
    in_a_child_that_nobody_supervises,
    in_such_a_child_of_such_a_child,
    in_such_a_child_within_a_budget,
    within_a_budget_that_is_left_before,
    found_by_code,
]


@pytest.mark.parametrize("program", ENDED, ids=lambda program: program.__name__)
async def test_who_is_ended_by_anothers_deadline_had_that(program: Callable[[Timeout], Awaitable[None]]) -> None:
    """Whose it was, where it came from, the limit, and the deadline: at the end as while it was open."""
    leaf = timeout(5.0, name="leaf")
    with suppress(TimeoutError):
        await program(leaf)
    while children:
        await asyncio.wait([children.pop()])
    assert (leaf.outcome, leaf.source, leaf.deadline(), leaf.limit) == (Outcome.INHERITED, "inherited", 1.0, 1.0)
    assert (leaf.owner, leaf.remaining()) == ("_budget" if "budget" in program.__name__ else "owner", 0.0)
    assert leaf.overrun == leaf.elapsed - 1.0
    assert figures("leaf")["utilization"] == 1


async def test_of_two_deadlines_that_are_equal_its_own_is_the_one() -> None:
    """Before it is entered as inside."""
    async with timeout(2.0, name="around") as around:
        made = timeout_at(around.when(), name="inside")
        assert (made.deadline(), made.owner, made.source) == (2.0, "inside", "own")
        async with made:
            assert (made.deadline(), made.owner, made.source) == (2.0, "inside", "own")


async def test_one_that_code_found_expired_tells_what_lay_inside() -> None:
    """As it stood: there was no moment at which a timer ran."""
    with suppress(DeadlineExceeded):
        async with timeout(2.0) as expired:
            async with timeout(9.0, name="inside"):
                running_loop().block(3.0)
            checkpoint()
    assert expired.outcome is Outcome.EXPIRED
    assert [str(each) for each in expired.spent] == ["3.000 s in inside"]


async def test_one_that_another_ended_tells_what_lay_inside() -> None:
    """Its own record, for none of its deadlines fired."""
    with suppress(DeadlineExceeded):
        async with timeout(2.0), timeout(5.0) as ended:
            async with timeout(9.0, name="inside"):
                await asyncio.sleep(1.5)
            await asyncio.sleep(50.0)
    assert ended.outcome is Outcome.INHERITED
    assert [str(each) for each in ended.spent] == ["1.500 s in inside"]


async def test_who_comes_from_another_loop_after_an_expiry_hears_whose_it_was() -> None:
    """A timeout that is entered there in the midst of the firing here, and known here once all is over."""
    entered, owners = threading.Event(), list[str]()

    async def there() -> None:
        try:
            async with timeout(3600.0):
                entered.set()
                await asyncio.Event().wait()
        except DeadlineExceeded as exc:
            owners.append(exc.owner)

    class Slow(asyncio.Task[None]):
        """A task that is cancelled in so many steps that others come between."""

        def cancel(self, msg: object = None) -> bool:
            cancelled = super().cancel(msg)
            work.append(pool.submit(inside[0].run, asyncio.run, there()))
            return cancelled and entered.wait(10)

    async def here() -> None:
        async with timeout(None, name="here"):
            inside.append(contextvars.copy_context())
            await asyncio.sleep(50.0)

    work, inside = list[Future[None]](), list[contextvars.Context]()
    with ThreadPoolExecutor(1) as pool:
        with budget(1.0), suppress(DeadlineExceeded):
            await Slow(here())
        await asyncio.to_thread(work[0].result, 10)
    assert owners == ["_budget"]


# What telemetry says of most


async def told_of(made: Timeout) -> list[object]:
    """`usual` and `ended_usually` of `made`: before it is entered, inside, and once it has ended."""
    told: list[object] = [usual(made)]
    with suppress(DeadlineExceeded):
        async with made:
            told.append(usual(made))
            await asyncio.sleep(0.5)
    return [*told, usual(made), ended_usually(made)]


async def test_the_usual_facts_are_those_of_a_limit_of_its_own() -> None:
    """While it is open, and as the code has it; the end is a usual one that came in time."""
    assert await told_of(timeout(0.7, name="own")) == [None, ("own", "timeout", 0.7), None, True]
    assert await told_of(timeout(None, name="unlimited")) == [None, None, None, True]
    assert await told_of(timeout_at(now() + 0.7)) == [None, None, None, True]
    assert await told_of(timeout(0.25)) == [
        None,
        ("tests.core.test_facts:test_the_usual_facts_are_those_of_a_limit_of_its_own", "timeout", 0.25),
        None,
        False,
    ]


async def test_what_others_bound_or_somebody_moved_is_not_usual() -> None:
    """Nor is a deadline that may have moved since it was known, nor one of a name that is another's label."""
    async with timeout(2.0):
        assert await told_of(timeout(3.0)) == [None, None, None, False]
    with budget(2.0):
        assert await told_of(timeout(3.0)) == [None, None, None, False]
    async with timeout(3.0, name="moved") as moved:
        moved.reschedule(now() + 3.0)
        assert usual(moved) is None
    assert not ended_usually(moved)
    async with timeout(9.0) as around, timeout(3.0, name="beneath") as beneath:
        assert usual(beneath) == ("beneath", "timeout", 3.0)
        around.reschedule(now() + 1.0)
        assert usual(beneath) is None


async def test_a_name_past_the_cap_owns_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is counted with others, and no other is told to have fired."""
    monkeypatch.setattr(_process, "max_names", 0)
    with pytest.raises(DeadlineExceeded) as caught:
        async with timeout(1.0, name="past the cap") as expired:
            await asyncio.sleep(50.0)
    assert (caught.value.owner, expired.owner) == ("past the cap", "past the cap")

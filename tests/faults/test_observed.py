"""Whatever observers and span processors do, the program is as it would be without them."""

from __future__ import annotations

import asyncio
import gc

import pytest

from tests.support import figures, running_loop, running_task
from tracedtimeout import Outcome, View, timeout

from .observed import ACTS, MOMENTS, Meddler, changed, installed, spans

PROGRAMS = range(4)


@pytest.fixture(scope="module", autouse=True)
def _loops_of_other_tests() -> None:
    """The loops that tests before have left are let go of: an observer that asks for all timeouts looks at each."""
    gc.collect()


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_program_shows_what_asyncios_does(moment: str, act: str) -> None:
    """Its result, its exceptions, how often its tasks were asked to end, and the order of all that."""
    assert changed(moment, act, PROGRAMS) == []


def hangs(told: object) -> None:
    """Keep the loop for two seconds."""
    running_loop().block(2.0)


@pytest.mark.loops("virtual")
@pytest.mark.parametrize("moment", MOMENTS)
async def test_an_observer_that_hangs_costs_its_time_and_no_timer(moment: str) -> None:
    """Each timeout that is due meanwhile fires as the loop goes on, and is counted; later ones are on time."""
    late = Meddler(hangs) if moment == "beside another" else None
    ended: list[tuple[str, float]] = []

    async def limited(name: str, delay: float) -> None:
        try:
            async with timeout(delay, name=name):
                await asyncio.sleep(50.0)
        except TimeoutError:
            ended.append((name, running_loop().time()))

    before = asyncio.create_task(limited("before", 1.0))
    await asyncio.sleep(0)
    with installed(*([late] if late is not None else MOMENTS[moment](hangs))):
        await limited("hung", 0.5)
    took = running_loop().time()
    await before
    await limited("after", 1.0)
    assert [name for name, _ in ended] in (["before", "hung", "after"], ["hung", "before", "after"])
    assert ended[-1] == ("after", max(took, ended[-2][1]) + 1.0)
    assert {figures(name)["duration"] == {"expired": 1} for name in ("before", "hung", "after")} == {True}


@pytest.mark.loops("virtual", "virtual-eager")
@pytest.mark.parametrize("moment", ["as it opens", "as it closes", "in each span"])
async def test_an_observer_that_cancels_its_task_is_one_who_cancels(moment: str) -> None:
    """The task has been asked to end, once: that is not lost, and not taken for an expiry."""
    asked = 0

    def cancels(told: object) -> None:
        nonlocal asked
        if not asked:
            asked += 1
            running_task().cancel()

    async def body() -> tuple[str, int]:
        limited = timeout(1.0, name="limited")
        try:
            with installed(*MOMENTS[moment](cancels)):
                async with limited:
                    await asyncio.sleep(0.5)
            await asyncio.sleep(0.5)
        except asyncio.CancelledError:
            return str(limited.outcome), running_task().cancelling()
        return "nobody was cancelled", 0

    told = await asyncio.create_task(body())
    assert told == ("completed" if moment == "as it closes" else "cancelled", 1)
    async with timeout(1.0, name="after") as after:
        await asyncio.sleep(0.5)
    assert after.outcome is Outcome.COMPLETED


@pytest.mark.loops("virtual")
async def test_what_an_observer_keeps_can_be_asked_when_all_is_over() -> None:
    """A view is the timeout: it says what it said at the end."""
    kept: list[View] = []
    with installed(Meddler(kept.append), spans("late", repr)):
        with pytest.raises(TimeoutError):
            async with timeout(1.0, name="outer"), timeout(5.0, name="inner"):
                await asyncio.sleep(50.0)
    assert [(view.name, str(view.outcome), view.elapsed) for view in kept[2:]] == [
        ("inner", "inherited", 1.0),
        ("outer", "expired", 1.0),
    ]

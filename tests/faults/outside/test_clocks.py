"""Clocks that step: deadlines are the loop's clock's, whatever the system's does; after a pause what is due is told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.sdk import metrics as sdk
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader

from tests.support import figures
from tracedtimeout import otlp, testing, timeout
from tracedtimeout._core.figures import _metrics, _process
from tracedtimeout.propagation import _received

HOUR = 3600.0


async def guarded(delay: float, name: str) -> float:
    """The seconds after which a timeout ended what waits for ever."""
    started = asyncio.get_running_loop().time()
    with pytest.raises(TimeoutError):
        async with timeout(delay, name=name):
            await asyncio.sleep(10 * HOUR)
    return asyncio.get_running_loop().time() - started


def test_after_a_suspension_all_that_is_due_fires_once() -> None:
    """What was due meanwhile expires at once, and `timer_lag` tells how late; what was not fires at its instant."""

    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, testing.VirtualClockLoop)
        tasks = [
            asyncio.create_task(guarded(delay, "due" if delay < HOUR else "not due")) for delay in (1, 2, 2 * HOUR)
        ]
        await asyncio.sleep(0)
        loop.block(HOUR)
        return list(await asyncio.gather(*tasks))

    assert testing.run(main()) == [HOUR, HOUR, 2 * HOUR]
    assert figures("due")["duration"] == {"expired": 2}
    assert figures("not due")["duration"] == {"expired": 1}
    lag = _process.snapshot()[_metrics.TIMER_LAG][()]
    assert isinstance(lag, _process.Histogram)
    assert lag.total == (HOUR - 1) + (HOUR - 2)


STEPS = {"forward": 3 * HOUR, "back": -3 * HOUR}


@pytest.fixture(params=STEPS)
def step(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Steps the system's clock when it is called."""
    stepped = 0.0
    seconds, nanoseconds = time.time, time.time_ns

    def take() -> None:
        nonlocal stepped
        stepped = STEPS[request.param]

    monkeypatch.setattr(time, "time", lambda: seconds() + stepped)
    monkeypatch.setattr(time, "time_ns", lambda: nanoseconds() + int(stepped * 1e9))
    return take


def test_no_deadline_moves_with_the_systems_clock(step: Callable[[], None]) -> None:
    """Neither what is open nor what comes after it."""

    async def main() -> list[float]:
        first = asyncio.create_task(guarded(2, "open"))
        await asyncio.sleep(1)
        step()
        return [await first, await guarded(2, "later")]

    assert testing.run(main()) == [2, 2]
    assert (figures("open")["duration"], figures("later")["duration"]) == ({"expired": 1}, {"expired": 1})


def test_a_header_is_never_lengthened_by_the_systems_clock(step: Callable[[], None]) -> None:
    """A transit that cannot be true takes nothing of the budget, and gives nothing."""
    sent = f"5000;sent={time.time_ns() // 10**6}"
    step()
    found = _received.seconds([("deadline-budget", sent)], accept=("deadline-budget",))
    assert found is not None
    assert 4.0 < found <= 5.0


@pytest.mark.parametrize("temporality", [AggregationTemporality.DELTA, AggregationTemporality.CUMULATIVE])
def test_no_point_ends_before_it_starts(step: Callable[[], None], temporality: AggregationTemporality) -> None:
    """A clock that was put back moves the start of what is exported too: backends drop points that end before that."""
    kinds: dict[type, AggregationTemporality] = {sdk.Histogram: temporality, sdk.ObservableCounter: temporality}
    reader = InMemoryMetricReader(preferred_temporality=kinds)
    undo = otlp.instrument(MeterProvider([reader]))
    testing.run(guarded(1, "before"))
    reader.get_metrics_data()
    step()
    testing.run(guarded(1, "after"))
    data: Any = reader.get_metrics_data()
    points = [
        point
        for scope in data.resource_metrics[0].scope_metrics
        for metric in scope.metrics
        if metric.name != "tracedtimeout.active" and not metric.name.endswith("build.info")
        for point in metric.data.data_points
    ]
    undo()
    assert points
    assert [point for point in points if point.start_time_unix_nano > point.time_unix_nano] == []

"""Cases of unchanged code: each answers in a few words what an instrumentation of asyncio says of a timeout."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any

import tracedtimeout
from tracedtimeout import View

Watched = Callable[[], Awaitable[object]]


async def _work() -> None:
    await asyncio.sleep(5)


async def _refuses() -> None:
    raise TimeoutError("the driver's own")


async def _block() -> None:
    async with asyncio.timeout(1.0):
        await asyncio.sleep(5)


async def _nested() -> None:
    async with asyncio.timeout(1.0), asyncio.timeout(2.0):
        await asyncio.sleep(5)


WATCHED: dict[str, Watched] = {
    "`wait_for(work(), 1.0)` expires": lambda: asyncio.wait_for(_work(), 1.0),
    "`work()` in it raises a `TimeoutError` of its own": lambda: asyncio.wait_for(_refuses(), 1.0),
    "a block of `asyncio.timeout` expires": _block,
    "two nested blocks, of 1 and 2 s, expire": _nested,
}
"""Each case by what happens in it."""


def by_opentelemetry(watched: Watched, run: Callable[[Any], object]) -> str:
    """The states that OpenTelemetry's instrumentation counts, told to trace all coroutines of these cases."""
    metrics = import_module("opentelemetry.sdk.metrics")
    reader = import_module("opentelemetry.sdk.metrics.export").InMemoryMetricReader()
    os.environ["OTEL_PYTHON_ASYNCIO_COROUTINE_NAMES_TO_TRACE"] = "_work,_refuses,_block,_nested"
    instrumentor = import_module("opentelemetry.instrumentation.asyncio").AsyncioInstrumentor()
    instrumentor.instrument(meter_provider=metrics.MeterProvider(metric_readers=[reader]))
    try:
        run(_endured(watched))
    finally:
        instrumentor.uninstrument()
        del os.environ["OTEL_PYTHON_ASYNCIO_COROUTINE_NAMES_TO_TRACE"]
    return " and ".join(f"`{state}`" for state in _states(reader.get_metrics_data())) or "nothing"


def _states(data: Any) -> Iterator[str]:
    """The states of all that was counted as it ended."""
    for resource in data.resource_metrics if data else ():
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                if metric.name == "asyncio.process.created":
                    yield from (point.attributes["state"] for point in metric.data.data_points)


def by_ours(watched: Watched, run: Callable[[Any], object]) -> str:
    """The outcomes that `TracedTimeoutInstrumentor` tells its observers, innermost first."""
    outcomes: list[str] = []

    def closed(timeout: View) -> None:
        outcomes.append(f"`{timeout.outcome}`")

    with _observed(closed):
        run(_endured(watched))
    return " and ".join(outcomes) or "nothing"


@contextmanager
def _observed(closed: Callable[[View], None]) -> Iterator[None]:
    """asyncio's own timeouts, watched by ours."""
    instrumentor = import_module("tracedtimeout.instrument").TracedTimeoutInstrumentor()
    undo = tracedtimeout.install(registry=None, spans="off", observers=[lambda _: closed])
    instrumentor.instrument()
    try:
        yield
    finally:
        instrumentor.uninstrument()
        undo()


async def _endured(watched: Watched) -> None:
    with suppress(TimeoutError):
        await watched()

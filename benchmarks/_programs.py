"""The programs that are measured: the same work under each library's timeout."""
# ruff: noqa: ASYNC100  # entering and leaving is what is measured

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from time import perf_counter
from typing import Any

import anyio
import async_timeout
import hyx.timeout
import quattro
from opentelemetry import trace
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

import tracedtimeout

from ._measure import Program

Opened = Callable[[float], AbstractAsyncContextManager[Any]]


async def bare(times: int) -> None:
    for _ in range(times):
        async with asyncio.timeout(5):
            pass


async def named(times: int) -> None:
    for _ in range(times):
        async with tracedtimeout.timeout(5, name="named"):
            pass


async def default_name(times: int) -> None:
    for _ in range(times):
        async with tracedtimeout.timeout(5):
            pass


async def bare_nested(times: int) -> None:
    for _ in range(times):
        async with asyncio.timeout(7):
            async with asyncio.timeout(6):
                async with asyncio.timeout(5):
                    pass


async def nested(times: int) -> None:
    for _ in range(times):
        async with tracedtimeout.timeout(7, name="outer"):
            async with tracedtimeout.timeout(6, name="middle"):
                async with tracedtimeout.timeout(5, name="inner"):
                    pass


async def bare_rising(times: int) -> None:
    for _ in range(times):
        async with asyncio.timeout(5):
            async with asyncio.timeout(6):
                async with asyncio.timeout(7):
                    pass


async def rising(times: int) -> None:
    for _ in range(times):
        async with tracedtimeout.timeout(5):
            async with tracedtimeout.timeout(6):
                async with tracedtimeout.timeout(7):
                    pass


async def bare_unlimited(times: int) -> None:
    for _ in range(times):
        async with asyncio.timeout(None):
            pass


async def unlimited(times: int) -> None:
    for _ in range(times):
        async with tracedtimeout.timeout(None, name="unlimited"):
            pass


async def bare_each_another(times: int) -> None:
    for i in range(times):
        async with asyncio.timeout(5 + i % 7):
            pass


async def each_another(times: int) -> None:
    for i in range(times):
        async with tracedtimeout.timeout(5 + i % 7, name="varying"):
            pass


async def bare_in_a_child_task(times: int) -> None:
    async with asyncio.timeout(60):
        await asyncio.create_task(bare(times))


async def in_a_child_task(times: int) -> None:
    async with tracedtimeout.timeout(60, name="parent"):
        await asyncio.create_task(named(times))


async def beneath_a_budget(times: int) -> None:
    with tracedtimeout.budget(60):
        await named(times)


async def answer() -> int:
    return 42


async def bare_wait_for(times: int) -> None:
    for _ in range(times):
        await asyncio.wait_for(answer(), 5)


async def wait_for(times: int) -> None:
    for _ in range(times):
        await tracedtimeout.wait_for(answer(), 5, name="wait_for")


async def bare_task_of_ten(seconds: float) -> None:
    for _ in range(10):
        async with asyncio.timeout(5):
            await asyncio.sleep(seconds)


async def our_task_of_ten(seconds: float) -> None:
    for _ in range(10):
        async with tracedtimeout.timeout(5, name="task"):
            await asyncio.sleep(seconds)


def crowd(task: Callable[[float], Awaitable[None]], seconds: float) -> Program:
    """As many tasks as told, at once."""

    async def program(times: int) -> None:
        await asyncio.gather(*[task(seconds) for _ in range(times)])

    return program


SOON = 5e-5
"""Seconds after which a timeout expires that is to: the program spins until then, so that no sleep is counted."""


def expiring(make: Opened, inner: int = 0) -> Program:
    """A timeout that expires around `inner` others: entered, fired and left."""

    async def program(times: int) -> float:
        counted = 0.0
        for _ in range(times):
            start = perf_counter()
            try:
                async with make(SOON):
                    await _nested(make, inner)
            except TimeoutError:
                counted += perf_counter() - start - spun[0]
        return counted

    async def _nested(make: Opened, depth: int) -> None:
        if depth:
            async with make(60):
                await _nested(make, depth - 1)
        spun[0] = _spin()
        await asyncio.sleep(60)

    spun = [0.0]
    return program


def _spin() -> float:
    """Keep the processor busy until whatever expires `SOON` is due; returns the seconds that this took."""
    start = now = perf_counter()
    while now < start + 2 * SOON:
        now = perf_counter()
    return now - start


def storm(make: Opened) -> Program:
    """As many timeouts as told, each in a task of its own, that all expire in one tick: fired and left."""

    async def program(times: int) -> float:
        delay = times * 5e-5  # longer than it takes to enter them all
        tasks = [asyncio.create_task(_in_vain(make, delay)) for _ in range(times)]
        await asyncio.sleep(0)
        due = perf_counter() + delay
        while perf_counter() < due:
            pass
        start = perf_counter()
        await asyncio.wait(tasks)
        return perf_counter() - start

    return program


async def _in_vain(make: Opened, delay: float) -> None:
    try:
        async with make(delay):
            await asyncio.sleep(3600)
    except TimeoutError:
        pass


def deep(make: Opened, depth: int) -> Program:
    """As many timeouts as told, `depth` of them around each other at a time: a multiple of that."""

    async def program(times: int) -> None:
        for _ in range(times // depth):
            await nest(depth)

    async def nest(left: int) -> None:
        async with make(5):
            if left > 1:
                await nest(left - 1)

    return program


def opened_by(make: Opened) -> Program:
    async def program(times: int) -> None:
        for _ in range(times):
            async with make(5):
                pass

    return program


def entered_by(make: Callable[[float], AbstractContextManager[Any]]) -> Program:
    async def program(times: int) -> None:
        for _ in range(times):
            with make(5):
                pass

    return program


OTHERS: dict[str, Program] = {
    "async-timeout": opened_by(async_timeout.timeout),
    "quattro": entered_by(quattro.fail_after),
    "anyio": entered_by(anyio.fail_after),
    "hyx": opened_by(hyx.timeout.timeout),
}


def with_prometheus_by_hand() -> Program:
    """asyncio.timeout and the four metrics of prometheus_client that say what ours do."""
    registry = CollectorRegistry()
    limit = Histogram("limit_seconds", "", ["timeout"], registry=registry).labels("by-hand")
    duration = Histogram("duration_seconds", "", ["timeout", "outcome"], registry=registry)
    completed = duration.labels("by-hand", "completed")
    active = Gauge("active", "", ["timeout"], registry=registry).labels("by-hand")
    expirations = Counter("expirations", "", ["timeout"], registry=registry).labels("by-hand")

    async def program(times: int) -> None:
        clock = asyncio.get_running_loop().time
        for _ in range(times):
            limit.observe(5)
            start = clock()
            with active.track_inprogress():
                try:
                    async with asyncio.timeout(5):
                        pass
                except TimeoutError:
                    expirations.inc()
                    raise
                completed.observe(clock() - start)

    return program


def with_span_by_hand(tracer: trace.Tracer) -> Program:
    """asyncio.timeout and the span that ours makes, made by hand."""

    async def program(times: int) -> None:
        for _ in range(times):
            attributes: dict[str, str | float] = {
                "tracedtimeout.name": "by-hand",
                "tracedtimeout.kind": "timeout",
                "tracedtimeout.limit": 5.0,
                "tracedtimeout.source": "own",
            }
            with tracer.start_as_current_span("timeout by-hand", attributes=attributes) as span:
                async with asyncio.timeout(5):
                    pass
                span.set_attribute("tracedtimeout.outcome", "completed")

    return program

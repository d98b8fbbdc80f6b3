"""Very many timeouts at once, in one process: all counted, all gone again, and everybody else served meanwhile."""

from __future__ import annotations

import asyncio
import gc
import resource
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tracedtimeout
from tracedtimeout._core.figures import _metrics, _process

LIMIT = 3600.0
SPREAD = 50
"""Limits that the timeouts of a crowd have; one name each."""


@dataclass(frozen=True)
class Crowd:
    """What a crowd showed."""

    opened: int
    outcomes: dict[str, int]
    active: int
    """Open at the end, as counted."""
    bytes_each: float
    """What the process grew by as they opened, tasks included, to each."""
    left_over: int
    """Objects of the crowd's that are there at the end."""

    def __str__(self) -> str:
        ends = ", ".join(f"{times} {outcome}" for outcome, times in sorted(self.outcomes.items()))
        return (
            f"{self.opened} open at once: {ends}; {self.active} open afterwards, {self.left_over} left in memory; "
            f"{self.bytes_each:.0f} bytes each, task included"
        )


def crowd(size: int) -> Crowd:
    """Open so many at once, one task each: a third completes, a third is moved and expires, a third is cancelled."""
    _process.reset()
    gc.collect()
    gc.freeze()
    try:
        with asyncio.Runner() as runner:
            grown = runner.run(_crowd(size))
        gc.collect()
        left = sum(isinstance(each, tracedtimeout.Timeout) for each in gc.get_objects())
    finally:
        gc.unfreeze()
    outcomes, active = _counted()
    return Crowd(size, outcomes, active, grown / size, left)


async def _crowd(size: int) -> float:
    loop = asyncio.get_running_loop()
    before = _resident()
    gates = [loop.create_future() for _ in range(size)]  # one each: leaving a future that many wait for is quadratic
    timeouts: list[tracedtimeout.Timeout] = []
    tasks = [loop.create_task(_member(number, gate, timeouts)) for number, gate in enumerate(gates)]
    while len(timeouts) < size:
        await asyncio.sleep(0)
    grown = _resident() - before
    for number, timeout in enumerate(timeouts):
        if number % 3 == 1:
            timeout.reschedule(loop.time())
    await asyncio.wait(tasks[1::3])
    for task in tasks[2::3]:
        task.cancel()
    await asyncio.wait(tasks[2::3])
    for gate in gates[0::3]:
        gate.set_result(None)
    await asyncio.wait(tasks[0::3])
    return grown


async def _member(number: int, gate: asyncio.Future[None], timeouts: list[tracedtimeout.Timeout]) -> None:
    with suppress(TimeoutError):
        async with tracedtimeout.timeout(LIMIT + number % SPREAD, name=f"crowd {number % SPREAD}") as timeout:
            timeouts.append(timeout)
            await gate


@dataclass(frozen=True)
class Storm:
    """What a storm showed."""

    size: int
    between: dict[str, int]
    """The most of those that expired that ran between two turns of a bystander: ours, asyncio's."""
    longest: dict[str, float]
    """The longest that the bystander waited, in milliseconds."""
    counted: int

    def __str__(self) -> str:
        rows = [f"{who} {self.between[who]}, {self.longest[who]:.0f} ms" for who in self.between]
        return f"{self.size} expire at once, {self.counted} counted; a bystander waits for {'; '.join(rows)}"


def storm(size: int) -> Storm:
    """Have so many expire at once, beside a bystander who wants but to run; ours, then asyncio's."""
    _process.reset()
    between, longest = {}, {}
    makes: dict[str, Callable[[None], Any]] = {"ours": _named, "asyncio": asyncio.timeout}
    for who, make in makes.items():
        with asyncio.Runner() as runner:
            between[who], longest[who] = runner.run(_storm(size, make))
    return Storm(size, between, longest, _counted()[0].get("expired", 0))


def _named(delay: None) -> tracedtimeout.Timeout:
    return tracedtimeout.timeout(delay, name="storm")


async def _storm(size: int, make: Callable[[None], Any]) -> tuple[int, float]:
    loop = asyncio.get_running_loop()
    expired = [0]
    timeouts = [make(None) for _ in range(size)]
    tasks = [loop.create_task(_caught(timeout, expired)) for timeout in timeouts]
    await asyncio.sleep(0)  # all of them are entered
    when = loop.time() + 0.5
    for timeout in timeouts:
        timeout.reschedule(when)
    most, longest, before, at = 0, 0.0, 0, time.perf_counter()
    while expired[0] < size:
        await asyncio.sleep(0)
        now = time.perf_counter()
        if expired[0]:
            most, longest = max(most, expired[0] - before), max(longest, now - at)
        before, at = expired[0], now
    await asyncio.wait(tasks)
    return most, longest * 1e3


async def _caught(timeout: Any, expired: list[int]) -> None:
    try:
        async with timeout:
            await asyncio.sleep(LIMIT)
    except TimeoutError:
        expired[0] += 1


def _counted() -> tuple[dict[str, int], int]:
    table = _process.snapshot()
    outcomes: Counter[str] = Counter()
    for labels, each in table.get(_metrics.DURATION, {}).items():
        outcomes[labels[-1]] += sum(each.counts) if isinstance(each, _process.Histogram) else 0
    return +outcomes, sum(each for each in table.get(_metrics.ACTIVE, {}).values() if isinstance(each, int))


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

"""Helpers of the tests: event loops by name, and skips that say what to install."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

import pytest

from tracedtimeout._core.figures import _process
from tracedtimeout.testing import VirtualClockLoop

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def missing(what: str, install: str) -> NoReturn:
    """Skip the running test for want of `what`."""
    pytest.skip(f"{what} is missing: {install}")


def available(flavour: str) -> bool:
    """Whether this Python can have that loop at all, whatever is installed."""
    return sys.version_info >= (3, 12) or "eager" not in flavour


def eager(make: LoopFactory) -> asyncio.AbstractEventLoop:
    loop = make()
    if sys.version_info >= (3, 12):
        loop.set_task_factory(asyncio.eager_task_factory)
    return loop


def debug(make: LoopFactory) -> asyncio.AbstractEventLoop:
    loop = make()
    loop.set_debug(True)
    return loop


def uvloop() -> asyncio.AbstractEventLoop:
    try:
        from uvloop import new_event_loop  # noqa: PLC0415  # an optional program of the tests
    except ImportError:
        missing("uvloop", "pip install uvloop")
    return new_event_loop()


FLAVOURS: dict[str, LoopFactory] = {
    "plain": asyncio.SelectorEventLoop,
    "debug": lambda: debug(asyncio.SelectorEventLoop),
    "eager": lambda: eager(asyncio.SelectorEventLoop),
    "uvloop": uvloop,
    "virtual": VirtualClockLoop,
    "virtual-debug": lambda: debug(VirtualClockLoop),
    "virtual-eager": lambda: eager(VirtualClockLoop),
}
"""Event loops by name; those called virtual keep virtual time."""

VIRTUAL = ("virtual", "virtual-debug", "virtual-eager")


def shape(exc: BaseException | None) -> str:
    """An exception, its group members and what it came from, in a line; any TimeoutError reads so, ours too."""
    if exc is None:
        return "None"
    name = "TimeoutError" if isinstance(exc, TimeoutError) else type(exc).__name__
    if isinstance(exc, BaseExceptionGroup):
        name += f"[{', '.join(map(shape, exc.exceptions))}]"
    if exc.__cause__ is not None:
        name += f" from {shape(exc.__cause__)}"
    if exc.__context__ is not None and exc.__context__ is not exc.__cause__:
        name += f" during {shape(exc.__context__)}"
    return name


async def outcome_of(program: Coroutine[Any, Any, object]) -> tuple[object, int, float]:
    """What a program gives, run as a task of its own: its result or the shape of its exception, the count of
    cancellations it leaves, and how long it took on the loop's clock."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    task = asyncio.create_task(program)
    await asyncio.wait([task])
    took = loop.time() - started
    if task.cancelled():
        return "CancelledError", task.cancelling(), took
    return shape(exc) if (exc := task.exception()) else task.result(), task.cancelling(), took


def running_loop() -> VirtualClockLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualClockLoop)
    return loop


def running_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


def figures(name: str) -> dict[str, object]:
    """What was counted under that name: counters as they are, histograms as the number of values; no zeros."""
    found: dict[str, object] = {}
    for metric, values in _process.snapshot().items():
        mine = {labels[1:]: value for labels, value in values.items() if labels[:1] == (name,)}
        numbers = {labels: sum(v.counts) if isinstance(v, _process.Histogram) else v for labels, v in mine.items()}
        by_label = {"/".join(labels): number for labels, number in numbers.items() if number}
        if by_label:
            found[metric.name.removeprefix("tracedtimeout.")] = by_label.get("", by_label)
    return found

"""What the core holds for one event loop: its clocks, its timers and its figures."""

from __future__ import annotations

import asyncio
import contextlib
import math
import sys
import time
import weakref
from collections.abc import Callable
from types import CodeType, SimpleNamespace

from . import _names, _series
from ._arguments import seconds_of
from ._lanes import LINGER, Lanes
from ._series import LoopSeries
from ._tally import Series

if sys.version_info >= (3, 12):
    tasks = asyncio.tasks  # asked at each entry: who runs tasks written in Python swaps `current_task`, from 3.14 on
else:
    # What 3.11's `current_task` does, in Python: 60 ns.
    tasks = SimpleNamespace(current_task=asyncio.tasks._current_tasks.get)  # type: ignore[attr-defined]  # private

_AGREES = 1.0
"""Seconds that a loop's clock may differ from `time.monotonic` and be the same clock: uvloop's stands still while a
callback runs. A virtual clock starts elsewhere."""


class LoopState:
    """One loop's clocks, timers and figures; found by `state_of`.

    `clock` is the loop's own, on which deadlines stand. `stopwatch` measures durations: `time.monotonic`, unless the
    loop's clock does not agree with it (virtual time). `two_clocks` says that they are not the same function.
    """

    __slots__ = ("__weakref__", "clock", "figures", "lanes", "loop", "series", "sites", "stopwatch", "two_clocks")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = weakref.ref(loop)
        self.clock, self.stopwatch = _clocks_of(loop)
        self.two_clocks = self.clock is not self.stopwatch
        virtual = self.stopwatch is not time.monotonic
        self.lanes = Lanes(
            loop,
            self.clock,
            resolution=1e-3 if self.two_clocks else 1e-9,  # uvloop: whole milliseconds
            linger=0.0 if virtual else LINGER,  # who replaces the clock looks at what is scheduled on it
        )
        self.figures: LoopSeries = _series.register(self)
        self.series: dict[str, Series] = self.figures.by_name
        self.sites = self.figures.sites

    def series_of(self, name: str) -> Series:
        """The series that counts `name`, made if need be: its own, or that of all names past the cap."""
        label = _series.label(name)
        series = self.series.get(label)
        if series is None:
            series = self.series[label] = Series(label, self.lanes.first())
        return series

    def remember(self, code: CodeType, series: Series) -> None:
        """Have `sites` tell the series of the default name of `code` at once the next time."""
        site = _names.sites.get(id(code))
        if site is not None and site[0] == series.name:
            self.sites[id(code)] = series

    def soon(self, callback: Callable[..., None], *args: object) -> None:
        """Have the loop call `callback`; this may be another thread's."""
        loop = self.loop()
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # closed, perhaps just now in its own thread: nothing runs there
                loop.call_soon_threadsafe(callback, *args)


def state_of(loop: asyncio.AbstractEventLoop) -> LoopState:
    """The state of `loop`, made at first use. It is an attribute of the loop: 5 ns to read, and it goes with it."""
    try:
        return loop._tracedtimeout  # type: ignore[attr-defined,no-any-return]  # ours, on a foreign object
    except AttributeError:
        state = LoopState(loop)
        loop._tracedtimeout = state  # type: ignore[attr-defined]  # as above
        return state


def deadline_in(delay: float | None) -> float | None:
    """The instant `delay` seconds from now on the running loop's clock.

    Raises:
        TypeError, ValueError: it is not a number of seconds. (NaN would end the loop: CPython's heap cannot sort it.)
        RuntimeError: no event loop is running.
    """
    loop = asyncio.get_running_loop()
    if delay is None:
        return None
    try:
        when: float = loop._tracedtimeout.clock() + delay  # type: ignore[attr-defined]  # see state_of
        if not when <= math.inf:
            raise ValueError  # NaN
    except (AttributeError, TypeError, ValueError, OverflowError):
        when = state_of(loop).clock() + seconds_of("delay", delay)
    return when


def states() -> list[LoopState]:
    """The states of the loops that are alive. Safe in any thread."""
    return [state for state in _series.writers() if isinstance(state, LoopState)]


def _clocks_of(loop: asyncio.AbstractEventLoop) -> tuple[Callable[[], float], Callable[[], float]]:
    """The loop's clock and the stopwatch for durations. The one place that decides."""
    if getattr(loop.time, "__func__", None) is asyncio.BaseEventLoop.time:
        return time.monotonic, time.monotonic  # what that function returns, one call nearer
    clock = loop.time  # a bound method is another one each time it is asked for, and these are compared by identity
    return clock, time.monotonic if abs(clock() - time.monotonic()) < _AGREES else clock

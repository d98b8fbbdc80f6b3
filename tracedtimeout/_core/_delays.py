"""The series of a name by its delays, and whose limit is configured: what is looked up as a timeout is made."""

from __future__ import annotations

import weakref
from threading import get_ident
from typing import Any

from . import _limits
from ._arguments import seconds_of
from .figures import _process
from .figures._metrics import OTHER
from .figures._series import NEVER, Figures, Series, Varied

MOST_LIMITS = 16
"""Limits of one name that are counted each by itself. Computed limits may be any number."""


class Delays(dict[Any, Any]):
    """The series of one name and kind by delay, None for none. Each is made as it is asked for, while they are few."""

    __slots__ = ("figures", "here", "kind")

    def __init__(self, here: Any, figures: Figures, kind: str) -> None:
        super().__init__()
        self.here = weakref.ref(here)
        self.figures = figures
        self.kind = kind

    def __missing__(self, delay: object) -> Series | Varied:
        """The series of a new delay.

        Raises:
            TypeError, ValueError: it is not a number of seconds, or one of another class than Python's own.
        """
        if not isinstance(delay, int | float | None):
            raise TypeError
        here, figures = self.here(), self.figures
        assert here is not None  # who asks runs in its loop
        varied = figures.varied_of(self.kind, here.untimed)
        if len(figures.series) >= MOST_LIMITS or figures.name == OTHER:
            if delay is not None:
                seconds_of("delay", delay)
            return varied
        seconds = NEVER if delay is None else float(seconds_of("delay", delay))
        lane = here.untimed if delay is None else here.lane_of(seconds)
        if lane is here.loose:
            return varied
        series = Series(figures, self.kind, seconds, lane)
        # fmt: off
        figures.series.append(series); self[delay] = series  # one step: what is found here is read
        # fmt: on
        return series


class Limited(dict[Any, Any]):
    """The series of a name whose limit is configured.

    There is nothing in it: who looks up a delay goes the long way, where `granted` tells the limit.
    """

    __slots__ = ("delays", "limit")

    def __init__(self, delays: Delays, limit: float) -> None:
        super().__init__()
        self.delays = delays
        self.limit = limit


def limited(delays: Delays, name: str) -> Delays | Limited:
    limit = _limits.limit_of(delays.kind, name)
    return delays if limit is None else Limited(delays, limit)


def limits_in_force() -> dict[str, float]:
    """The limits from configuration of the names that were used. Safe in any thread."""
    return {
        name: found.limit
        for state in _process.writers()
        for by_name in list(state.series.values())
        for name, found in list(by_name.items())
        if isinstance(found, Limited)
    }


def resolve_limits() -> None:
    """Have every loop take the limits that are configured now: this thread's at once, others in their next turn."""
    for state in _process.writers():
        if state.thread == get_ident():
            state.resolve_limits()
        else:
            state.soon(state.resolve_limits)

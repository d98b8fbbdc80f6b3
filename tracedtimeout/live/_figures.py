"""The memory of the live page: the last timeouts that ran out of time, and figures by name over the last minute."""

from __future__ import annotations

import itertools
import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

from tracedtimeout._core._delays import limits_in_force
from tracedtimeout._core._exceeded import DeadlineExceeded, Spent
from tracedtimeout._core._observers import Unhurried
from tracedtimeout._core._outcome import Outcome
from tracedtimeout._core._view import View
from tracedtimeout._core._words import words
from tracedtimeout._core.figures import _process
from tracedtimeout._core.figures._metrics import ACTIVE, DURATION, LIMIT
from tracedtimeout._core.figures._process import Histogram
from tracedtimeout._shared.histograms import quantile, since

OUT_OF_TIME = frozenset(outcome for outcome in Outcome if outcome.is_overdue)
"""Outcomes in which a deadline had a part."""

LOOKS = 60
"""Looks that a sparkline shows."""

GAP = 10.0
"""Seconds without a look after which the sparklines begin anew: nobody watched."""

_ENDINGS = {
    Outcome.SUPPRESSED: "; its body swallowed the cancellation and went on",
    Outcome.LATE: "; it could not fire in time, for something blocked the event loop",
}


@dataclass(frozen=True, slots=True)
class Ended:
    """A timeout that ran out of time."""

    number: int
    at: float
    """Unix time."""
    name: str
    outcome: str
    owner: str
    elapsed: float
    limit: float
    message: str
    spent: tuple[Spent, ...]


class Recent:
    """An observer that keeps the last timeouts that ran out of time."""

    def __init__(self, keep: int) -> None:
        self._kept: deque[Ended] = deque(maxlen=keep)
        self._numbers = itertools.count(1)  # for the loops of several threads
        self._closer = Unhurried(self._note)  # one for all: what ends well pays for no object

    def __call__(self, timeout: View, /) -> Unhurried:
        return self._closer

    def latest(self) -> list[Ended]:
        """The last one first."""
        return list(self._kept.copy())[::-1]

    def _note(self, timeout: View) -> None:
        outcome = timeout.outcome
        if outcome not in OUT_OF_TIME:
            return
        message = _message(timeout, outcome)
        facts = (timeout.name, outcome.value, timeout.owner, timeout.elapsed, timeout.limit, message, timeout.spent)
        self._kept.append(Ended(next(self._numbers), time.time(), *facts))


def _message(timeout: View, outcome: Outcome) -> str:
    """The message of the timeout's DeadlineExceeded; of a foreign one the type alone: its words may be private."""
    if isinstance(timeout.error, DeadlineExceeded) and timeout.error.name == timeout.name:
        return words(timeout.error)
    if outcome is Outcome.INHERITED:
        return f"{timeout.name!r} was ended by the deadline of {timeout.owner!r} after {timeout.elapsed:.3f} s"
    what = f"{timeout.name!r} exceeded its {timeout.limit:.3f} s deadline after {timeout.elapsed:.3f} s"
    raised = f"; its body raised {words(type(timeout.error).__name__)} instead" if timeout.error is not None else ""
    return words(what + _ENDINGS.get(outcome, raised))


@dataclass(slots=True)
class Totals:
    """The counts of one name."""

    durations: Histogram = field(default_factory=lambda: Histogram(DURATION.bounds))
    out_of_time: int = 0
    open: int = 0
    limits: int = 0
    granted: float = 0.0

    @property
    def count(self) -> int:
        """The number of timeouts that ended."""
        return sum(self.durations.counts)


@dataclass(frozen=True, slots=True)
class Figures:
    """The row of one name."""

    name: str
    open: int
    rates: tuple[float, ...]
    """Ends in a second, between every two looks."""
    p50: float
    p95: float
    p99: float
    limit: float
    """The mean of the limits granted."""
    configured: float | None
    """The limit from configuration."""
    ended: int
    out_of_time: int


class Names:
    """The figures of every name at the last looks."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._looks: deque[tuple[float, dict[str, Totals]]] = deque(maxlen=LOOKS + 1)

    def look(self) -> list[Figures]:
        """The figures now: percentiles of what ended since the first look kept, or else since the process began."""
        now = self._clock()
        if self._looks and now - self._looks[-1][0] > GAP:
            self._looks.clear()
        self._looks.append((now, _totals()))
        limits = limits_in_force()
        return [self._figures(name, totals, limits.get(name)) for name, totals in sorted(self._looks[-1][1].items())]

    def _figures(self, name: str, totals: Totals, configured: float | None) -> Figures:
        first = self._looks[0][1].get(name, Totals())
        recent = since(first.durations, totals.durations)
        window = recent if any(recent.counts) else totals.durations
        p50, p95, p99 = (quantile(window, share) for share in (0.5, 0.95, 0.99))
        limit = totals.granted / totals.limits if totals.limits else math.inf
        rates = tuple(self._rates(name))
        ended, out_of_time = totals.count, totals.out_of_time
        return Figures(name, totals.open, rates, p50, p95, p99, limit, configured, ended, out_of_time)

    def _rates(self, name: str) -> list[float]:
        counts = [(when, by_name[name].count if name in by_name else 0) for when, by_name in self._looks]
        return [max(0, after - before) / max(1e-9, end - start) for (start, before), (end, after) in pairwise(counts)]


def _totals() -> dict[str, Totals]:
    totals: dict[str, Totals] = {}
    table = _process.snapshot()
    for (name, outcome), value in table.get(DURATION, {}).items():
        its = totals.setdefault(name, Totals())
        if isinstance(value, Histogram):
            its.durations.add(value)
            its.out_of_time += sum(value.counts) if outcome in OUT_OF_TIME else 0
    for (name,), value in table.get(LIMIT, {}).items():
        if isinstance(value, Histogram):
            its = totals.setdefault(name, Totals())
            its.limits, its.granted = sum(value.counts), value.total
    for (name,), value in table.get(ACTIVE, {}).items():
        if isinstance(value, int) and (value or name in totals):
            totals.setdefault(name, Totals()).open = value
    return totals

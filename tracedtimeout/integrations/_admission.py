"""The admission of a request: the terms of a `Door`, and the timeout that each request gets by them."""

from __future__ import annotations

import asyncio
import logging
import math
import reprlib
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from tracedtimeout import DeadlineExceeded, remaining
from tracedtimeout._core import _context
from tracedtimeout._core._arguments import seconds_of
from tracedtimeout._core._budget import Budget
from tracedtimeout._core._granting import enter_granted
from tracedtimeout._core._hot import enter, leave, left_by
from tracedtimeout._core._link import BUDGET, REMOTE
from tracedtimeout._core._timeout import Timeout
from tracedtimeout._core.figures import _metrics, _process
from tracedtimeout.propagation import HEADERS, _attached, _received

_log = logging.getLogger("tracedtimeout")

_ANY = 1e-9
"""Seconds that must be left on arrival for a request to be served at all."""


class Admission:
    """The terms of one door: see `Door`, which has the same arguments."""

    def __init__(
        self, *, default: float | None, maximum: float | None, accept: Collection[str], at_least: float, dark: bool
    ) -> None:
        bound_by_default = maximum is None and default is not None
        maximum = default if maximum is None else maximum
        for parameter, value in (("default", default), ("maximum", maximum), ("at_least", at_least)):
            if (value is not None or parameter == "at_least") and seconds_of(parameter, value) < 0.0:
                raise ValueError(f"{parameter} must not be negative, not {reprlib.repr(value)}")
        if not isinstance(accept, Collection):
            raise TypeError(f"accept must be some of {HEADERS}, not {reprlib.repr(accept)}")
        if isinstance(accept, str) or not set(accept) <= set(HEADERS):
            raise ValueError(f"accept must be some of {HEADERS}, not {reprlib.repr(accept)}")
        least = min((bound for bound in (default, maximum) if bound is not None), default=None)
        self.default: float | None = None if dark else least
        """Seconds for a request that came with no deadline: no more than `maximum` either."""
        self.unenforced: float | None = least if dark else None
        """The seconds of `default` with `dark=True`: a request that outlives them is counted."""
        self._maximum = maximum
        self._untold = bound_by_default
        """No header has been cut by `default` yet: the first one is told."""
        self._accept = frozenset(accept)
        self.at_least: float = 0.0 if dark else at_least
        """Seconds, less than which refuse a request that came with no deadline."""
        self._default_is_enough = self.default is None or self.default >= self.at_least
        self._needed = 0.0 if dark else max(at_least, _ANY)
        self._maximum_is_enough = maximum is None or maximum >= self._needed
        self._dark_below = max(at_least, _ANY) if dark else None
        self._plain = at_least == 0.0 and not dark

    def enter_plainly(self, name: str, lines: list[tuple[object, object]] | None) -> Timeout | None:
        """`admit`, where there is nothing around the request but what its caller granted, which is its parent then.

        None, and nothing is entered or counted, where more is to be looked at.
        """
        if not self._plain or _context.inherited() is not None:
            return None
        try:
            request: Timeout = enter(self.default, name, "request") if lines is None else self.admit(name, lines)[0]
            return request
        except BaseException as exc:
            never_entered(None, exc)
            raise

    def admit(
        self, name: str, lines: Sequence[tuple[object, object]], *, stays: bool = False, queued: bool = False
    ) -> tuple[Timeout, Budget | None, float | None]:
        """The timeout of the request `name`, entered; with it, opened, the deadline that its caller granted, if that is
        the earlier one.

        The number is the seconds granted: None where it came with no deadline, so that `default` is its own; 0.0 where
        it is told as refused, and runs in the dark.

        Args:
            lines: its header lines; those that are none of ours are skipped.
            stays: it is to stay open, such as a WebSocket: only its caller's deadline ends it.
            queued: it waited in a queue.

        Raises:
            DeadlineExceeded: the request is refused.
        """
        clock = asyncio.get_running_loop().time
        since = clock()  # before the wall clock is read: what passes in between lengthens no deadline
        if self._dark_below is None:
            counted, told = _attached.overrule(), False
            granted = _received.seconds(lines, accept=self._accept, queued=queued, counted=counted)
        else:
            granted, told = self.granted(name, lines, queued=queued)
        if granted is None:
            return self.admit_unasked(name, stays), None, 0.0 if told else None
        maximum, needed = self._maximum, self._needed
        if maximum is not None and granted >= maximum:  # equal: the terms end it
            if self._untold and granted > maximum:
                self._tell(name, granted)
            if self._maximum_is_enough and _context.inherited() is None:
                needed = 0.0  # as nearly always: asking costs 4 us
            return enter(maximum, name, "request", needed), None, granted
        if granted >= needed:
            request = enter_granted(granted, maximum, name, since)
            if request is not None:
                return request, request._parent, granted
        bound = Budget(granted - (clock() - since), name=REMOTE)
        bound.open()
        try:
            return enter(maximum, name, "request", needed), bound, granted
        except BaseException:
            bound.close()
            raise

    def admit_unasked(self, name: str, stays: bool) -> Timeout:
        """`admit`, of a request that came with no deadline."""
        at_least = self.at_least
        if at_least and self._default_is_enough and _context.inherited() is None:
            at_least = 0.0  # as nearly always: asking costs 4 us
        request: Timeout = enter(None if stays else self.default, name, "request", at_least)
        return request

    def admit_to_thread(
        self, name: str, lines: Sequence[tuple[object, object]], *, queued: bool = False
    ) -> tuple[Budget, bool]:
        """The deadline of a request that is served in a thread, where no timeout can end it; not opened yet.

        The flag is as that of `admit`.

        Raises:
            DeadlineExceeded: it is refused.
        """
        granted, told = self.granted(name, lines, queued=queued)
        bounds = (self.default,) if granted is None else (granted, self._maximum)
        seconds = min((bound for bound in bounds if bound is not None), default=math.inf)
        if seconds < (self.at_least if granted is None else self._needed):
            reason = "at_least" if seconds > 0.0 else "expired"
            _process.count(_metrics.REJECTIONS, (_process.label(name), reason, "enforce"))
            raise DeadlineExceeded(
                f"{name!r} is refused with {seconds:.3f} s left", name=name, limit=seconds, owner=REMOTE
            )
        return Budget(seconds, name=REMOTE if granted == seconds else BUDGET), granted is None and not told

    def granted(self, name: str, lines: Iterable[tuple[object, object]], *, queued: bool) -> tuple[float | None, bool]:
        """Seconds that the caller granted, None if it granted none; True if it is told as refused, and runs in the
        dark: with what it has, or if that is nothing without a deadline."""
        granted = _received.seconds(lines, accept=self._accept, queued=queued, counted=_attached.overrule())
        if granted is None or self._dark_below is None:
            return granted, False
        left = min(granted, remaining(), math.inf if self._maximum is None else self._maximum)
        if left >= self._dark_below:
            return granted, False
        reason = "at_least" if left > 0.0 else "expired"
        _process.count(_metrics.REJECTIONS, (_process.label(name), reason, "dark"))
        return (granted if left > 0.0 else None), True

    def _tell(self, name: str, granted: float) -> None:
        self._untold = False
        _log.info(
            "a caller asks for %.3f s of %r and gets the default of %.3f s: maximum= lets callers ask for more",
            granted,
            name,
            self._maximum,
        )

    def count_outlived(self, name: str, elapsed: float) -> None:
        """Count a request that took so many seconds, if the `default` that is not enforced would have cut it."""
        if self.unenforced is not None and elapsed > self.unenforced:
            _process.count(_metrics.REJECTIONS, (_process.label(name), "expired", "dark"))


def never_entered(around: Any, exc: BaseException) -> None:
    """Take back a request that `exc` broke off as it was entered beneath the link `around`; None for none.

    What was entered stands in the context, though whoever entered it was not told: that has no moment in between.
    """
    task, link = asyncio.current_task(), _context.current.get()
    while link is not None and link is not around:
        if link._task is task and isinstance(link, Budget):
            link.close()
        elif link._task is task and link.outcome is None:
            left_by(link, exc)
        link = link._parent
    _context.current.set(around)


def leave_plainly(request: Timeout) -> None:
    """Leave what was entered plainly, and whose body raised nothing."""
    bound: Any = request._parent
    try:
        leave(request)
    finally:
        if bound is not None:
            bound.close()
        if _context.current.get() is not request:  # one that was left beneath it may be open for good
            _context.current.set(None)


def budget_around(request: Timeout) -> Budget | None:
    """The deadline that its caller granted to a request that was entered plainly; None if it granted none."""
    bound: Any = request._parent
    return bound if isinstance(bound, Budget) else None

"""The admission of a request: the terms of a server's door, and the timeout that each request gets by them."""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Iterable, Sequence

from tracedtimeout import DeadlineExceeded, Outcome, remaining
from tracedtimeout._core import _link
from tracedtimeout._core._arguments import seconds_of
from tracedtimeout._core._budget import Budget
from tracedtimeout._core._hot import enter, left_by
from tracedtimeout._core._link import BUDGET, REMOTE
from tracedtimeout._core._timeout import Timeout
from tracedtimeout._core.figures import _metrics, _process
from tracedtimeout.propagation import HEADERS, _attached, _received

from . import _answered, _endpoints, _logged  # noqa: F401  # they tell the core of answers and of where requests wait
from ._naming import packages

_log = logging.getLogger("tracedtimeout")

_ANY = 1e-9
"""Seconds that must be left on arrival for a request to be served at all."""


class Admission:
    """The terms of one door: what each `DeadlineMiddleware` and interceptor is given.

    Args:
        default: seconds for a request that came with no deadline; None for none.
        maximum: seconds that no request gets more than; by default those of `default`, so that a client can shorten a
            deadline and never lengthen it; ``math.inf`` for no such bound.
        accept: the headers believed; ``()`` at an edge that strangers reach.
        at_least: seconds; with less than these left on arrival a request is refused.
        dark: what would be refused on arrival is counted, and served; if expired, as if it had come with no deadline.

    Raises:
        TypeError, ValueError: bad input; the message names the parameter and the value.
    """

    def __init__(
        self,
        *,
        default: float | None = None,
        maximum: float | None = None,
        accept: Collection[str] = HEADERS,
        at_least: float = 0.0,
        dark: bool = False,
    ) -> None:
        bound_by_default = maximum is None and default is not None
        maximum = default if maximum is None else maximum
        for parameter, value in (("default", default), ("maximum", maximum), ("at_least", at_least)):
            if (value is not None or parameter == "at_least") and seconds_of(parameter, value) < 0.0:
                raise ValueError(f"{parameter} must not be negative, not {value!r}")
        if not isinstance(accept, Collection):
            raise TypeError(f"accept must be some of {HEADERS}, not {accept!r}")
        if isinstance(accept, str) or not set(accept) <= set(HEADERS):
            raise ValueError(f"accept must be some of {HEADERS}, not {accept!r}")
        self.default: float | None = min((bound for bound in (default, maximum) if bound is not None), default=None)
        """Seconds for a request that came with no deadline: no more than `maximum` either."""
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

    def admit(
        self,
        name: str,
        lines: Sequence[tuple[object, object]],
        *,
        stays: bool = False,
        queued: bool = False,
        enforced: bool = True,
    ) -> tuple[Timeout, Budget | None]:
        """The timeout of the request `name`, entered: to be left by `leave`, or by `left_with` what was raised.

        With it, opened, the deadline that its caller granted, to be closed after.

        Args:
            lines: its header lines; those that are none of ours are skipped.
            stays: it is to stay open, such as a WebSocket: only its caller's deadline ends it.
            queued: it waited in a queue.
            enforced: `default` holds for it.

        Raises:
            DeadlineExceeded: the request is refused.
        """
        granted = self.granted(name, lines, queued=queued) if lines else None
        if granted is None:
            return self.admit_unasked(name, stays=stays or not enforced), None
        if self._untold and self._maximum is not None and granted > self._maximum:
            self._untold = False
            _log.info(
                "a caller asks for %.3f s of %r and gets the default of %.3f s: maximum= lets callers ask for more",
                granted,
                name,
                self._maximum,
            )
        of_terms = self._maximum is not None and granted >= self._maximum  # equal: the terms end it
        bound = Budget(math.inf if of_terms else granted, name=REMOTE)
        bound.open()
        enough = granted >= self._needed and self._maximum_is_enough and bound._parent is None  # as nearly always
        try:
            return enter(self._maximum, name, "request", 0.0 if enough else self._needed), bound
        except BaseException:
            bound.close()
            raise

    def admit_unasked(self, name: str, stays: bool = False) -> Timeout:
        """`admit`, of a request that came with no deadline."""
        at_least = self.at_least
        if at_least and self._default_is_enough and _link.inherited() is None:
            at_least = 0.0  # as nearly always: asking costs 4 us
        return enter(None if stays else self.default, name, "request", at_least)

    def admit_to_thread(self, name: str, lines: Sequence[tuple[object, object]]) -> Budget:
        """The deadline of a request that is served in a thread, where no timeout can end it; not opened yet.

        Raises:
            DeadlineExceeded: it is refused.
        """
        granted = self.granted(name, lines)
        bounds = (self.default,) if granted is None else (granted, self._maximum)
        seconds = min((bound for bound in bounds if bound is not None), default=math.inf)
        if seconds < (self.at_least if granted is None else self._needed):
            reason = "at_least" if seconds > 0.0 else "expired"
            _process.count(_metrics.REJECTIONS, (_process.label(name), reason, "enforce"))
            raise DeadlineExceeded(
                f"{name!r} is refused with {seconds:.3f} s left", name=name, limit=seconds, owner=REMOTE
            )
        return Budget(seconds, name=REMOTE if granted == seconds else BUDGET)

    def granted(self, name: str, lines: Iterable[tuple[object, object]], *, queued: bool = False) -> float | None:
        """Seconds that the caller granted; None if it granted none, or if it runs on in the dark without."""
        granted = _received.seconds(lines, accept=self._accept, queued=queued, counted=_attached.overrule())
        if granted is None or self._dark_below is None:
            return granted
        left = min(granted, remaining(), math.inf if self._maximum is None else self._maximum)
        if left >= self._dark_below:
            return granted
        reason = "at_least" if left > 0.0 else "expired"
        _process.count(_metrics.REJECTIONS, (_process.label(name), reason, "dark"))
        return granted if left > 0.0 else None

    def count_dark(self, name: str) -> None:
        """Count a request that outlived a `default` that was not enforced."""
        _process.count(_metrics.REJECTIONS, (_process.label(name), "expired", "dark"))


def left_with(request: Timeout, exc: BaseException) -> BaseException | None:
    """Leave `request` with `exc`; what it raises in its stead, if its deadline ended it."""
    raised: BaseException | None = left_by(request, exc, packages.get(request.name, ""))
    found = request.expired() or request.outcome is Outcome.INHERITED
    if raised is None and found and isinstance(exc, DeadlineExceeded | ExceptionGroup):
        raised = exc  # code found the deadline passed
    if raised is not None:
        _logged.tell(request.name, raised)
    return raised

"""The warnings for work that did not stop: at most one a minute for each name."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from ._outcome import Outcome

if TYPE_CHECKING:
    from ._timeout import Timeout

_EVERY = 60.0
"""Seconds between two warnings of one name."""

_log = logging.getLogger("tracedtimeout")
_warned: dict[tuple[str, Outcome], float] = {}


def ran_on(self: Timeout) -> None:
    """Warn that the body of `self` outlived its deadline: it swallowed the cancellation, or blocked the loop."""
    assert self.outcome is not None
    key = (self._series.name, self.outcome)  # the metric's label: at most max_names of them
    now = time.monotonic()
    if now - _warned.get(key, -_EVERY) < _EVERY:
        return
    _warned[key] = now
    if self.outcome is Outcome.SUPPRESSED:
        what = "swallowed the cancellation of its deadline and ran on"
    else:
        what = "left after its deadline, which could not fire: the event loop was blocked"
    _log.warning("%r %s, %.3f s past it", self.name, what, self.overrun)

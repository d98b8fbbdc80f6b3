"""The warnings for work that did not stop: at most one a minute for each name."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from ._outcome import Outcome
from .figures import _process

if TYPE_CHECKING:
    from ._view import View

_EVERY = 60.0
"""Seconds between two warnings of one name."""

_log = logging.getLogger("tracedtimeout")
_warned: dict[tuple[str, Outcome], float] = {}


def ran_on(self: View) -> None:
    """Warn that the body of `self` outlived its deadline: it swallowed the cancellation, or blocked the loop."""
    assert self.outcome is not None
    key = (_process.label(self.name), self.outcome)  # the metric's label: at most max_names of them
    now = time.monotonic()
    if now - _warned.get(key, -_EVERY) < _EVERY:
        return
    _warned[key] = now
    if self.outcome is Outcome.SUPPRESSED:
        what = "swallowed the cancellation of its deadline and ran on"
    else:
        what = "left after its deadline, which could not fire: the event loop was blocked"
    _log.warning("%r %s, %.3f s past it", self.name, what, self.overrun)

"""The log's line for a request that a deadline ended, where no observer has one: at most one a second and name."""

from __future__ import annotations

import logging
import os
import time

from tracedtimeout import DeadlineExceeded
from tracedtimeout._core import _observers
from tracedtimeout._core._words import words
from tracedtimeout._core.figures import _process
from tracedtimeout.logs import LogObserver

_EVERY = 1.0
"""Seconds between two lines of one name."""
_ON = os.environ.get("TRACEDTIMEOUT_LOG", "").lower() not in {"0", "false", "no", "off"}

_log = logging.getLogger("tracedtimeout")
_told: dict[str, tuple[float, int]] = {}
"""By the metric's label, so that they are at most `max_names`: when a line was written, and how many were not since."""


def tell(name: str, expiry: BaseException) -> None:
    """Log that the request `name` was ended by `expiry`. A LogObserver's own line stands in its place."""
    if not _ON or not _log.isEnabledFor(logging.WARNING) or _is_told_by_an_observer():
        return
    label, now = _process.label(name), time.monotonic()
    before, left_out = _told.get(label, (now - _EVERY, 0))
    if now - before < _EVERY:
        _told[label] = before, left_out + 1
        return
    _told[label] = now, 0
    message = words(expiry) if isinstance(expiry, DeadlineExceeded) else f"{name!r}: {words(expiry)}"
    _log.warning("%s%s", message, f" (and {left_out} more)" if left_out else "")


def _is_told_by_an_observer() -> bool:
    return any(isinstance(each, LogObserver) for each in _observers.installed)

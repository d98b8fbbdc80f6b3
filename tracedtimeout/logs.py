"""Logs: an observer that writes one line for each expiry."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping

from ._core import _observers
from ._core._exceeded import DeadlineExceeded
from ._core._observers import Closer, Unhurried
from ._core._outcome import Outcome
from ._core._view import View, message_of
from ._core._words import words

__all__ = ["LogObserver"]

_RAISED = frozenset({Outcome.EXPIRED, Outcome.INHERITED, Outcome.REJECTED})
_RAN_ON = frozenset({Outcome.REPLACED, Outcome.SUPPRESSED})


class LogObserver:
    """Logs every expiry with the message of its `DeadlineExceeded`: ``install(observers=[LogObserver()])``.

    Rejections are logged too, and what was left late. Not logged are timeouts that an enclosing one's expiry merely
    cancelled: that expiry has its own line. The record carries ``timeout_name``, ``timeout_outcome``,
    ``timeout_owner``, ``timeout_limit`` (None with no deadline), ``timeout_elapsed``, ``timeout_overrun`` (all in
    seconds), ``timeout_where`` and ``timeout_spent`` for structured formatters.

    One event is one line: while one is installed, the warnings stay out that tell without it of work that ran on.

    Args:
        logger: by default that named ``tracedtimeout``. structlog has its lines and their fields where it renders those
            of the standard library: ``ProcessorFormatter(foreign_pre_chain=[structlog.stdlib.ExtraAdder()], ...)``.
        level: of the lines.
    """

    def __init__(self, logger: logging.Logger | None = None, *, level: int = logging.WARNING) -> None:
        self._logger = logging.getLogger("tracedtimeout") if logger is None else logger
        self._level = level
        self._closer = Unhurried(self._closed)  # one for all: what ends well pays for no object, and no call
        logging.getLogger("tracedtimeout").addFilter(_told_once)  # the same one is added once

    def __call__(self, timeout: View, /) -> Closer:
        return self._closer

    def _closed(self, timeout: View) -> None:
        message = _message(timeout)
        if message is not None and self._logger.isEnabledFor(self._level):
            self._logger.log(self._level, "%s", words(message), extra=_extra(timeout))


def _told_once(record: logging.LogRecord) -> bool:
    """Keep out the core's warning of what a `LogObserver` has a line for."""
    return record.module != "_warn" or not any(isinstance(each, LogObserver) for each in _observers.installed)


def _message(timeout: View) -> str | None:
    """The line for `timeout`; None if another's line tells of its expiry, or there was none."""
    error = timeout.error
    if timeout.outcome in _RAISED:
        return words(error) if isinstance(error, DeadlineExceeded) else None
    if timeout.outcome in _RAN_ON:
        then = "suppressed by its body" if error is None else f"replaced by {words(error, show=repr)}"
        return f"{message_of(timeout)}; {then}"
    if timeout.outcome is Outcome.LATE:
        late = f"left {timeout.overrun:.3f} s after its deadline, which could not fire: the event loop was blocked"
        return f"{timeout.name!r} {late}"
    return None


def _extra(timeout: View) -> Mapping[str, object]:
    """Fields of the record; prefixed, for `name` and others are LogRecord's own."""
    return {
        "timeout_name": timeout.name,
        "timeout_outcome": str(timeout.outcome),
        "timeout_owner": timeout.owner,
        "timeout_limit": timeout.limit if math.isfinite(timeout.limit) else None,
        "timeout_elapsed": timeout.elapsed,
        "timeout_overrun": timeout.overrun,
        "timeout_where": words(timeout.where) if timeout.where else None,
        "timeout_spent": [words(spent) for spent in timeout.spent],
    }

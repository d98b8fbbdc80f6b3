"""Errors of telemetry are logged once: they may come with every timeout, and must not flood the program's log."""

from __future__ import annotations

import logging

_log = logging.getLogger("tracedtimeout")


class Once:
    """Logs the first of the errors that it is given, with its traceback."""

    __slots__ = ("_logged",)

    def __init__(self) -> None:
        self._logged = False

    def __call__(self, message: str, error: BaseException) -> None:
        """Log `error` under `message`, and that later ones are not logged; unless one was logged before."""
        if not self._logged:
            self._logged = True
            _log.error("%s; not logged again", message, exc_info=error)

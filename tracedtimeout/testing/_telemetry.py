"""`no_telemetry()`: a block in which nobody is told of timeouts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tracedtimeout import _install
from tracedtimeout._core import _observers

from ._expire import expire
from ._timeouts import Timeouts


@contextmanager
def no_telemetry() -> Iterator[None]:
    """A block in which no exporter, span or observer is told of timeouts, and `install()` wires nothing.

    What was installed is so again afterwards. `install()` still refuses bad input. `Timeouts` and `expire` go on.
    """
    with _install.suspended():
        aside = [each for each in _observers.installed if not isinstance(each, Timeouts | expire)]
        _observers.remove(*aside)
        try:
            yield
        finally:
            _observers.add(*aside)

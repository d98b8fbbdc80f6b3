"""`expire()`: a timeout that fires at its next await, for the test of what code does then."""

from __future__ import annotations

import asyncio
import threading
from types import TracebackType
from typing import Any, Self

from tracedtimeout._core import _observers
from tracedtimeout._core._firing import fire
from tracedtimeout._core._link import ACTIVE
from tracedtimeout._core._open import open_timeouts
from tracedtimeout._core._timeout import Timeout
from tracedtimeout._core._view import View

_in_force: list[expire] = []


class expire:  # noqa: N801  # called like a function
    """Have every timeout called `name` fire at its next await, without waiting: those open now, and those to come.

    In force from the call until the end of the test, or of a ``with`` block. What follows is what follows from a
    deadline: the body is cancelled, `DeadlineExceeded` is raised, telemetry counts an expiry. A body that does not
    await, and a timeout that has no deadline of its own, completes. asyncio's own timeouts are left alone.

    Args:
        name: of the timeout.
        times: so many of them alone; by default all.

    `count` has how many fired.
    """

    def __init__(self, name: str, *, times: int | None = None) -> None:
        self.name = name
        self.times = times
        self.count: int = 0
        self._lock = threading.Lock()
        _in_force.append(self)
        _observers.add(self)
        for timeout in open_timeouts():
            if timeout.name == name and (loop := timeout._here.loop()) is not None:
                loop.call_soon_threadsafe(self._fire, timeout)

    def end(self) -> None:
        """Let timeouts of that name be as they are."""
        if self in _in_force:
            _in_force.remove(self)
            _observers.remove(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.end()

    def __call__(self, timeout: View) -> None:
        """Observe that `timeout` was entered."""
        if timeout.name == self.name:
            asyncio.get_running_loop().call_soon(self._fire, timeout)

    def _fire(self, timeout: Any) -> None:
        if not isinstance(timeout, Timeout) or timeout._state is not ACTIVE or timeout.when() is None:
            return
        with self._lock:
            if self not in _in_force or (self.times is not None and self.count >= self.times):
                return
            self.count += 1
        fire(timeout, timeout._when)  # as at that instant: the deadline is its own


def end_all() -> None:
    """Let every timeout be as it is."""
    while _in_force:
        _in_force[-1].end()

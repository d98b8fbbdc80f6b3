"""One request of a `Door`, from its admission to its end."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any

from tracedtimeout import DeadlineExceeded, Outcome, Timeout, View, remaining
from tracedtimeout._core import _context
from tracedtimeout._core._hot import enter, leave, left_by
from tracedtimeout._core._link import NO_LOOP, REMOTE, reader_here
from tracedtimeout.propagation._received import lines_of

from . import _answered, _endpoints, _logged, _threads  # noqa: F401  # two tell the core of answers and of endpoints
from ._admission import Admission, budget_around, never_entered
from ._naming import packages

Carrier = Mapping[Any, Any] | Iterable[tuple[Any, Any]] | None
"""A mapping or pairs of names and values, each text, bytes or bytearray; None for none."""

ENTERED = "this request of a door has already been entered"
LEFT: Any = object()
"""Stands for what was in force before a request that has been left."""


class Opened:
    """One request of a door, to be entered once: by ``async with``, or by `enter` and `leave`.

    Those are for a door that answers in its own way, and saves two calls: ours for ASGI, aiohttp and gRPC.
    """

    # fmt: off
    __slots__ = (
        "_before", "_bound", "_carrier", "_granted", "_name", "_outer", "_queued", "_request", "_since", "_stays",
        "_terms",
    )
    # fmt: on

    _request: Any
    """The `Timeout` of the request once it is entered; in a thread its `Budget`."""
    _bound: Any
    """The `Budget` that the carrier granted, where that is the earlier deadline; in a thread, that or the terms'."""
    _granted: float | None
    """Seconds; see `Admission.admit`."""
    _since: float | None
    """Set where a `default` that is not enforced is its own: in a thread the time of its entry, else 0."""

    def __init__(  # noqa: PLR0917  # once a request
        self, terms: Admission, name: str, carrier: Carrier, queued: bool, stays: bool, outer: View | None
    ) -> None:
        self._terms, self._name, self._carrier = terms, name, carrier
        self._queued, self._stays, self._outer = queued, stays, outer
        self._request = self._bound = self._granted = self._before = self._since = None

    @property
    def granted(self) -> bool:
        """True once the request is entered, if its carrier granted a deadline that is believed."""
        return bool(self._granted)

    def enter(self) -> Timeout:
        """Enter the request.

        Raises:
            DeadlineExceeded: the request is refused.
        """
        if self._request is not None:
            raise RuntimeError(ENTERED)
        terms, lines = self._terms, self._carrier and lines_of(self._carrier)
        self._before = before = _context.current.get()
        around = LEFT
        try:
            if before is None and self._outer is None:
                around = None  # as nearly always, there is nothing to leave out
            else:
                around = _context.inherit_own(asyncio.current_task(), self._outer)
            if lines:
                self._request, self._bound, self._granted = terms.admit(
                    self._name, lines, stays=self._stays, queued=self._queued
                )
                unasked = self._granted is None
            else:
                unasked = not self._stays
                if terms.at_least:
                    self._request = terms.admit_unasked(self._name, self._stays)
                else:  # the same, with a call less
                    self._request = enter(terms.default if unasked else None, self._name, "request")
            if unasked and terms.unenforced is not None:
                self._since = 0.0
            request: Timeout = self._request
            return request
        except BaseException as exc:
            if around is not LEFT:
                never_entered(around, exc)
            self._request = self._bound = None
            _context.current.set(before)
            raise

    def of(self, request: Timeout) -> Opened:
        """Take over `request`, which was entered plainly; returns itself."""
        self._request, self._bound = request, budget_around(request)
        return self

    def leave(self, exc: BaseException | None = None) -> BaseException | None:
        """Leave the request with `exc`; returns what the deadline makes of that, None if the deadline ended nothing."""
        request = self._request
        ended: BaseException | None = None
        try:
            if self._before is LEFT or request.outcome is not None:  # broken off, and left again with what did that
                return None
            if exc is None:
                leave(request)
                return None
            ended = left_by(request, exc, packages.get(self._name, ""))
            if ended is None and _found_by_code(request, exc):
                ended = exc
            if ended is not None:
                _logged.tell(self._name, ended)
                _threads.count_abandoned(self._name, exc)
            return ended
        finally:
            self._close()
            if self._since is not None:
                self._terms.count_outlived(self._name, request.elapsed)
            exc = ended = None  # their tracebacks lead to this frame

    def close(self) -> None:
        """Leave the request, if it was entered and its leaving was broken off: by a signal's exception, say."""
        request = self._request
        if request is not None and (self._before is not LEFT or request.outcome is None):
            if request.outcome is None:
                left_by(request, sys.exception() or asyncio.CancelledError())
            self._close()

    def _close(self) -> None:
        if self._bound is not None:
            self._bound.close()
        if self._before is not LEFT:
            _context.current.set(self._before)
        self._before = LEFT

    async def __aenter__(self) -> View:
        return self.enter()

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        try:
            ended = self.leave(exc)
            if ended is not None and ended is not exc:
                raise ended
        finally:
            exc = ended = None  # as above
            self.close()

    def __enter__(self) -> None:
        if reader_here() is not NO_LOOP:
            raise RuntimeError("`with` is for threads: where a loop runs, it is `async with door.open(...)`")
        if self._request is not None:
            raise RuntimeError(ENTERED)
        self._bound, unasked = self._terms.admit_to_thread(self._name, lines_of(self._carrier), queued=self._queued)
        self._request = self._bound
        if unasked and self._terms.unenforced is not None:
            self._since = time.monotonic()
        self._bound.open()

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        try:
            if isinstance(exc, DeadlineExceeded) and remaining() <= 0.0:
                _logged.tell(self._name, exc)
        finally:
            self._bound.close()
        if self._since is not None:
            self._terms.count_outlived(self._name, time.monotonic() - self._since)


def _found_by_code(request: Timeout, exc: BaseException) -> bool:
    """True if `exc` tells of the deadline of `request`, or of one around it, that code found passed."""
    if request.expired() or request.outcome is Outcome.INHERITED:
        return isinstance(exc, DeadlineExceeded | ExceptionGroup)
    return too_little(exc, request.name)


def too_little(exc: BaseException, name: str) -> bool:
    """True if `exc` is the refusal of a timeout that needs more than the request `name` has left, or a group of it."""
    if isinstance(exc, BaseExceptionGroup):
        return all(too_little(each, name) for each in exc.exceptions)
    return isinstance(exc, DeadlineExceeded) and exc.rejected and exc.owner in (name, REMOTE)

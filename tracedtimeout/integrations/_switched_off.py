"""One request of a `Door` with TRACEDTIMEOUT_DISABLED=1: asyncio's own timeout of `default` seconds, and no more."""

from __future__ import annotations

import sys
from asyncio import CancelledError
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from tracedtimeout import DeadlineExceeded, Timeout, timeout

from ._opened import Opened


class SwitchedOff(Opened):
    """No header of the request is read; nothing of it is counted or logged, and nothing inherits from it."""

    __slots__ = ()

    def enter(self) -> Timeout:
        request: Any = timeout(None if self._stays else self._terms.default, name=self._name)
        request.kind, self._request = "request", request
        _at_once(request.__aenter__())
        entered: Timeout = request
        return entered

    def leave(self, exc: BaseException | None = None) -> BaseException | None:
        request = self._request
        try:
            _at_once(request.__aexit__(None if exc is None else type(exc), exc, None))
        except TimeoutError:
            ended = DeadlineExceeded(
                f"{self._name!r} exceeded its {request.limit:.3f} s deadline after {request.elapsed:.3f} s",
                name=self._name,
                limit=request.limit,
                elapsed=request.elapsed,
                owner=self._name,
            )
            ended.__cause__ = exc
            return ended
        return None

    def close(self) -> None:
        if self._request is not None and self._request.outcome is None:
            self.leave(sys.exception() or CancelledError())

    def __enter__(self) -> None:
        """Nothing: no timeout of asyncio's ends what runs in a thread."""

    def __exit__(self, *exc_info: object) -> None:
        pass


def _at_once(coroutine: Coroutine[Any, Any, Any]) -> None:
    """Run what never waits: entering and leaving asyncio's timeouts."""
    with suppress(StopIteration):
        coroutine.send(None)

"""A door for whatever brings a deadline: requests, messages of a queue, jobs."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping
from types import TracebackType
from typing import Any

from tracedtimeout import View, timeout
from tracedtimeout._core import _link
from tracedtimeout._core._hot import leave
from tracedtimeout._disabled import DISABLED
from tracedtimeout.propagation import HEADERS
from tracedtimeout.propagation._received import lines_of

from ._admission import Admission, left_with

__all__ = ["Door"]

Carrier = Mapping[Any, Any] | Iterable[tuple[Any, Any]] | None
"""A mapping or pairs of names and values, each text, bytes or bytearray; None for none."""


class Door:
    """The terms by which requests, messages or jobs are let in: ``async with door.open(name, carrier) as request:``.

    The deadline of each is the least that its carrier grants, and no later than `maximum`; with none it is `default`.
    It inherits what is open in its own task, and nothing else of the context that it was started in.

    Args:
        default: seconds for what came with no deadline; None for none.
        maximum: seconds that nothing gets more than; by default those of `default`, so that a client can shorten a
            deadline and never lengthen it; ``math.inf`` for no such bound.
        accept: the headers believed; ``()`` where strangers may write.
        at_least: seconds; with less than these left on arrival it is refused.
        dark: what would be refused, or ended by `default`, is counted and runs.

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
        self._terms = Admission(default=default, maximum=maximum, accept=accept, at_least=at_least, dark=dark)
        self._unenforced = self._terms.default if dark else None

    def open(self, name: str, carrier: Carrier, *, queued: bool = False) -> _Request:
        """One timeout of kind ``request``, named `name`, for ``async with``, which gives its `View`.

        Ended by the deadline that the carrier granted it is ``inherited``, owner ``_remote``; by the terms it is
        ``expired``.

        Args:
            name: one of few: a route, a queue, a job's function.
            carrier: headers, metadata or the fields of a message: a mapping or pairs, text or bytes; None for none.
            queued: it waited in a queue: all the time since it was sent is taken off.

        Raises:
            DeadlineExceeded: on entry, it is refused; on exit, its deadline has ended it.
        """
        return _Request(self._terms, self._unenforced, name, carrier, queued)


class _Request:
    """One request of a door, to be entered once."""

    def __init__(self, terms: Admission, unenforced: float | None, name: str, carrier: Carrier, queued: bool) -> None:
        self._terms, self._unenforced = terms, unenforced
        self._name, self._carrier, self._queued = name, carrier, queued
        self._request: Any = None
        self._bound: Any = None
        self._before: Any = None

    async def __aenter__(self) -> View:
        if self._request is not None:
            raise RuntimeError("this request of a door has already been entered")
        if DISABLED:
            self._request = timeout(None, name=self._name)
            return await self._request.__aenter__()  # type: ignore[no-any-return]  # a View
        self._before = _link.current.get()
        _link.inherit_own(asyncio.current_task())
        try:
            self._request, self._bound = self._terms.admit(
                self._name, lines_of(self._carrier), queued=self._queued, enforced=self._unenforced is None
            )
        except BaseException:
            _link.current.set(self._before)
            raise
        return self._request  # type: ignore[no-any-return]  # as above

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        request = self._request
        if DISABLED:
            await request.__aexit__(exc_type, exc, tb)
            return
        raised: BaseException | None = None
        try:
            if exc is None:
                leave(request)
            else:
                raised = left_with(request, exc)
            if raised is not None and raised is not exc:
                raise raised
        finally:
            if self._bound is not None:
                self._bound.close()
            _link.current.set(self._before)
            if self._unenforced is not None and request.elapsed > self._unenforced:
                self._terms.count_dark(request.name)
            self._before = exc = raised = None  # their tracebacks lead to this frame

"""Requests that run on after their deadline, shielded or in a thread: their peers are answered all the same."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from contextvars import Context

from tracedtimeout import Timeout
from tracedtimeout._asgi import Scope
from tracedtimeout._core import _expiry, _metrics, _series

from ._answers import Response

GRACE = 0.1
"""Seconds that an application has to unwind or to answer for itself."""


class Open:
    """The requests that one middleware has open, each with its way back to its peer.

    Kept apart from their timeouts. What hangs on one may be kept for long after (uvicorn's timer for idle connections
    keeps the context of the last request), and a class of their own would cost all other timeouts of the process 0.3 us
    each: the interpreter's caches on the hot path hold one class.
    """

    def __init__(self, in_thread: Callable[[Scope], bool]) -> None:
        self.answers: dict[Timeout, Response] = {}
        """Seen to by the door, in line: a call each would be a tenth of what it adds to a request."""
        self._in_thread = in_thread
        self._abandoned: set[Timeout] = set()
        _doors.add(self)

    def answer_in_time(self, request: Timeout) -> None:
        """The deadline of `request` has fired: have its peer answered, if the application does not come back."""
        if request in self.answers:
            asyncio.get_running_loop().call_later(GRACE, self._answer, request, context=Context())

    async def come_back(self, request: Timeout, answered: asyncio.Task[None]) -> None:
        """The application has, whose peer was answered meanwhile: whatever ran on is over."""
        if request in self._abandoned:
            self._abandoned.remove(request)
            _count(request, -1)
        await answered

    def _answer(self, request: Timeout) -> None:
        answer, task = self.answers.get(request), request._task
        if answer is None or task is None or answer.late is not None:
            return
        if answer.expire_late(task) and self._in_thread(answer.scope):
            self._abandoned.add(request)
            _count(request, 1)


_doors: weakref.WeakSet[Open] = weakref.WeakSet()


def _fired(timeout: Timeout) -> None:
    for door in list(_doors):
        door.answer_in_time(timeout)


_expiry.told.append(_fired)


def _count(request: Timeout, amount: int) -> None:
    _series.count(_metrics.THREADS_ABANDONED, (_series.label(request.name),), amount)

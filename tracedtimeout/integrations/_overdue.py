"""Requests that run on after their deadline, shielded or in a thread: their peers are answered all the same."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context

from tracedtimeout import Timeout
from tracedtimeout._asgi import Scope
from tracedtimeout._core import _metrics, _series
from tracedtimeout._core._loop import LoopState

from ._answers import Answer

GRACE = 0.1
"""Seconds, at least, that an application has to unwind or to answer for itself; twice as many at most."""


class Open:
    """The requests that one middleware has open on one loop, looked over now and then.

    Kept apart from their timeouts. What hangs on one may be kept for long after (uvicorn's timer for idle connections
    keeps the context of the last request), and a class of their own would cost all other timeouts of the process 0.3 us
    each: the interpreter's caches on the hot path hold one class.

    `answers` and `looking` are seen to by the door, in line: a call each would be a tenth of what it adds to a request.
    """

    def __init__(self, here: LoopState, in_thread: Callable[[Scope], bool]) -> None:
        self.here = here
        self.answers: set[Answer] = set()
        self.looking = False
        """Whether a look is due; with none open nobody need look."""
        self.overdue: set[Answer] = set()
        """Those among `answers` whose deadline had passed at a look: `forget` them as well."""
        self._in_thread = in_thread
        self._abandoned: set[Answer] = set()
        self._context = Context()

    def look_later(self) -> None:
        self.looking = True
        asyncio.get_running_loop().call_later(GRACE, self._look, context=self._context)

    def forget(self, answer: Answer) -> None:
        """The application has come back: whatever ran on is over."""
        self.overdue.discard(answer)
        if answer in self._abandoned:
            self._abandoned.remove(answer)
            _count(answer.request, -1)

    def _look(self) -> None:
        self.looking = False
        for answer in self.answers:
            if answer in self.overdue:
                self._answer(answer)
            elif answer.request.expired():
                self.overdue.add(answer)
        if self.answers:
            self.look_later()

    def _answer(self, answer: Answer) -> None:
        task = answer.request._task
        assert task is not None
        if answer.late is None and answer.expire_late(task) and self._in_thread(answer.scope):
            self._abandoned.add(answer)
            _count(answer.request, 1)


def _count(request: Timeout, amount: int) -> None:
    _series.count(_metrics.THREADS_ABANDONED, (_series.label(request.name),), amount)

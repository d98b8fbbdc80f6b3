"""Requests that run on after their deadline, shielded or in a thread: their peers are answered all the same."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, MutableMapping
from contextvars import Context
from typing import Any

from tracedtimeout import Timeout
from tracedtimeout._core import _metrics, _series

from ._answers import Answer

Scope = MutableMapping[str, Any]

GRACE = 0.1
"""Seconds, at least, that an application has to unwind or to answer for itself; twice as many at most."""


class Open:
    """The requests that one middleware has open on one loop, looked over now and then.

    Kept apart from their timeouts. What hangs on one may be kept for long after (uvicorn's timer for idle connections
    keeps the context of the last request), and a class of their own would cost all other timeouts of the process 0.3 us
    each: the interpreter's caches on the hot path hold one class.
    """

    def __init__(self, in_thread: Callable[[Scope], bool]) -> None:
        self.loop = asyncio.get_running_loop()
        self._in_thread = in_thread
        self._requests: dict[Timeout, tuple[Answer, Scope, asyncio.Task[Any]]] = {}
        self._overdue: set[Timeout] = set()
        self._abandoned: set[Timeout] = set()
        self._looking = False
        self._context = Context()

    def add(self, request: Timeout, answer: Answer, scope: Scope) -> None:
        """`request`, just entered, is open until it is removed."""
        task = request._task
        assert task is not None
        self._requests[request] = (answer, scope, task)
        if not self._looking:
            self._look_later()

    def remove(self, request: Timeout) -> None:
        """The application has come back from `request`: whatever ran on is over."""
        del self._requests[request]
        if self._overdue:
            self._overdue.discard(request)
            if request in self._abandoned:
                self._abandoned.remove(request)
                self._count(request, -1)

    def _look_later(self) -> None:
        self._looking = True
        self.loop.call_later(GRACE, self._look, context=self._context)

    def _look(self) -> None:
        self._looking = False
        for request, (answer, scope, task) in self._requests.items():
            if request in self._overdue:
                self._answer(request, answer, scope, task)
            elif request.expired():
                self._overdue.add(request)
        if self._requests:
            self._look_later()

    def _answer(self, request: Timeout, answer: Answer, scope: Scope, task: asyncio.Task[Any]) -> None:
        if answer.late is None and answer.expire_late(task) and self._in_thread(scope):
            self._abandoned.add(request)
            self._count(request, 1)

    def _count(self, request: Timeout, amount: int) -> None:
        _series.count(_metrics.THREADS_ABANDONED, (_series.label(request.name),), amount)

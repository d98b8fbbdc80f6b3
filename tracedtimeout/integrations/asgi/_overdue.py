"""Overdue requests: those that run on after their deadline, shielded or in a thread. Their clients are answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context

from tracedtimeout import Timeout
from tracedtimeout._core import _ending
from tracedtimeout._core.figures import _metrics, _process

from ._answers import Response
from ._namer import in_threads

GRACE = 0.1
"""Seconds that an application has to unwind or to answer for itself."""

answers: dict[Timeout, Response] = {}
"""The HTTP requests that are open, each with its way back to its client.

Seen to by the door, in line: a call each would be a tenth of what it adds to a request. Kept apart from the timeouts:
what hangs on one may be kept for long after (uvicorn's timer for idle connections keeps the context of the last
request), and a class of their own would cost all other timeouts of the process 0.3 us each: the interpreter's caches on
the hot path hold one class.
"""

late: dict[Timeout, asyncio.Task[bool]] = {}
"""Those that run on, with what has answered, or is answering, in their application's stead."""

_abandoned: set[Timeout] = set()
"""Those among them that run on in a thread."""


def _fired(request: Timeout) -> None:
    """A deadline has: if it is a request's, have its client answered unless the application comes back."""
    if request in answers:
        _after_half_the_grace(_still_open, request)


def _still_open(request: Timeout) -> None:
    """Half of the grace is over. That may have been one turn of a blocked loop, and no time for the application."""
    if request in answers:
        _after_half_the_grace(_answer, request)


def _answer(request: Timeout) -> None:
    answer, task = answers.get(request), request._task
    answering = None if answer is None or task is None else answer.expire_late(task)
    if answering is not None:
        late[request] = answering
        if request.name in in_threads:
            _abandoned.add(request)
            _count(request, 1)


async def come_back(request: Timeout) -> None:
    """The application has. If its client was answered meanwhile, whatever ran on is over."""
    answered = late.pop(request, None)
    if request in _abandoned:
        _abandoned.remove(request)
        _count(request, -1)
    if answered is not None:
        await answered


def _after_half_the_grace(callback: Callable[[Timeout], None], request: Timeout) -> None:
    asyncio.get_running_loop().call_later(GRACE / 2, callback, request, context=Context())


def _count(request: Timeout, amount: int) -> None:
    _process.count(_metrics.THREADS_ABANDONED, (_process.label(request.name),), amount)


_ending.listeners.append(_fired)

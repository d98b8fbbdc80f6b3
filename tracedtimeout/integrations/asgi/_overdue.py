"""Overdue requests: those that run on after their deadline, shielded or in a thread. Their clients are answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context
from typing import Any

from tracedtimeout import Timeout
from tracedtimeout.integrations._endpoints import when_fired
from tracedtimeout.integrations._threads import count

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
"""The requests whose application runs on, with the task that has answered, or is answering, in its stead."""

_abandoned: set[Timeout] = set()
"""The requests among them that run on in a thread."""


def _fired(request: Timeout, task: asyncio.Task[Any] | None) -> None:
    """A deadline has: if it is a request's, have its client answered unless the application comes back."""
    if request in answers and task is not None:
        _after_half_the_grace(_still_open, request, task)


def _still_open(request: Timeout, task: asyncio.Task[Any]) -> None:
    """Half of the grace is over. That may have been one turn of a blocked loop, and no time for the application."""
    if request in answers:
        _after_half_the_grace(_answer, request, task)


def _answer(request: Timeout, task: asyncio.Task[Any]) -> None:
    answer = answers.get(request)
    answering = None if answer is None else answer.expire_late(task)
    if answering is not None:
        late[request] = answering
        if request.name in in_threads:
            _abandoned.add(request)
            count(request.name, 1)


async def come_back(request: Timeout) -> None:
    """The application has. If its client was answered meanwhile, whatever ran on is over."""
    answered = late.pop(request, None)
    if request in _abandoned:
        _abandoned.remove(request)
        count(request.name, -1)
    if answered is not None:
        await answered


def give_up(request: Timeout) -> None:
    """Forget `request`, whose end was broken off: what answers its client goes on by itself."""
    late.pop(request, None)
    if request in _abandoned:
        _abandoned.remove(request)
        count(request.name, -1)


def _after_half_the_grace(
    callback: Callable[[Timeout, asyncio.Task[Any]], None], request: Timeout, task: asyncio.Task[Any]
) -> None:
    asyncio.get_running_loop().call_later(GRACE / 2, callback, request, task, context=Context())


when_fired(_fired)

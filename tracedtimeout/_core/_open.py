"""The timeouts that are open now, for those who list them. Safe in any thread."""

from __future__ import annotations

import asyncio
import gc
from contextvars import Context
from typing import Any

from . import _context
from ._link import ACTIVE, EXPIRING, Link
from ._loop import LoopState, states
from ._timeout import Timeout

OPEN = (ACTIVE, EXPIRING)


def open_timeouts() -> list[Timeout]:
    """The open links of every loop of the process: in lanes, unwinding, or in the contexts of tasks."""
    found: dict[int, Timeout] = {}
    for state in states():
        listed: list[Any] = state.entries()
        listed += [each for reference in list(state.unwinding.values()) if (each := reference()) is not None]
        for link in (*listed, *_in_contexts(state)):
            if isinstance(link, Timeout) and link._state in OPEN:
                found[id(link)] = link
    return list(found.values())


def _in_contexts(state: LoopState) -> list[Link]:
    """The links of the contexts of all tasks, and those around them: nothing else holds one with no deadline."""
    loop = state.loop()
    if loop is None:
        return []
    found: dict[int, Link] = {}
    for task in asyncio.all_tasks(loop):
        context = _context_of(task)
        link = None if context is None else context.get(_context.current)
        while link is not None and id(link) not in found:
            found[id(link)] = link
            link = link._parent
    return list(found.values())


def _context_of(task: asyncio.Task[Any]) -> Context | None:
    get_context = getattr(task, "get_context", None)
    if get_context is not None:  # from 3.12 on
        known: Context = get_context()
        return known
    return next((each for each in gc.get_referents(task) if isinstance(each, Context)), None)  # nothing else tells

"""Entering a request within the seconds that its caller granted: the two at once, for the doors."""

from __future__ import annotations

import asyncio
from typing import Any

from . import _context, _entering, _observers
from ._budget import granted
from ._link import ACTIVE, FINISHED
from ._loop import tasks
from .figures._series import NEVER

new = object.__new__

# fmt: off


def enter_granted(seconds: float, delay: float | None, name: str, since: float | None = None) -> Any:
    """A request of `delay` seconds, entered; its parent is a budget of the fewer `seconds` that its caller granted.

    They run from `since` on the loop's clock, by default from now.

    None, and nothing is open, in any but the common case. As the budget's `open` and `enter`, in half of the time.
    """
    loop = asyncio.get_running_loop()
    task: Any = tasks.current_task(loop)
    here: Any = getattr(loop, "_tracedtimeout", None)
    if here is None or task is None or task.cancelling() or _context.inherited() is not None:
        return None
    now = here.clock()
    when, own = (now if since is None else since) + seconds, NEVER if delay is None else now + delay
    if not now < when < own or (named := here.series.get("request", {}).get(name)) is None:
        return None
    varied = named[delay].varied
    self = new(_entering.timeout_class)
    self._parent = self._owner = bound = granted(here, task, now, when)
    self._series = varied if varied.roomy <= seconds else varied.tight  # where its exit is counted
    self._when, self._deadline, self._state, self._task = own, when, ACTIVE, task
    self._started = here.stopwatch() if here.timed_apart else now
    self._lane, self._stamp = here.untimed, here.stamp
    self._inner = self._spent = self._more = self._fired = self._ended = None
    bound._inner = self
    try:
        here.place(self, when)
        if _observers.installed:
            _entering.announce(self)
        _context.current.set(self)
        if varied.low < seconds <= varied.high:
            varied.seen += 1; varied.granted += seconds; return self  # one step
        varied.grant(seconds); return self
    except BaseException as exc:
        self._state = FINISHED
        self._lane.pop(self, None)
        _entering.broken_off(self, exc)
        bound.close()
        raise

"""Requests that run on after their deadline, shielded or in a thread: their peers are answered all the same."""

from __future__ import annotations

from asyncio import Task, get_running_loop
from collections.abc import Callable
from typing import Any

from tracedtimeout._core import _metrics, _series
from tracedtimeout._core._timeout import Timeout

from ._answers import Answer

GRACE = 0.1
"""Seconds in which an application may unwind, or answer for itself, before its peer is answered."""

Served = tuple[Answer, Callable[[Any], bool], Any]
"""Who answers a request, what tells of a scope whether a plain function in a thread serves it, and the scope."""

_served: dict[Request, Served] = {}
"""Of the requests that run now. Kept here, not with each: an attribute that is none of a timeout's slots would give it
a dictionary, and that costs 4 us of the 10 that the whole door does."""
_abandoned: set[Request] = set()
"""Those of them that were answered though they run on in a thread."""


class Request(Timeout):  # type: ignore[misc]  # typeshed has asyncio's as final
    """A request's timeout, which has the request answered soon after its deadline though it may run on.

    Made of a plain timeout, by `of`: there is one way to make those, and it is quick.
    """

    __slots__ = ()

    @classmethod
    def of(cls, made: Timeout, served: Served) -> Request:
        """`made`, just entered, as the timeout of a request; `done` tells it when that has been served."""
        made.__class__ = cls
        assert isinstance(made, cls)
        _served[made] = served
        return made

    def _on_timeout(self, *, by_timer: bool = True) -> None:
        task = self._task
        super()._on_timeout(by_timer=by_timer)
        if self.expired() and task is not None:
            get_running_loop().call_later(GRACE, self._answer, task)

    def _answer(self, task: Task[Any]) -> None:
        served = _served.get(self)
        if served is None or self.outcome is not None:
            return
        answer, in_thread, scope = served
        if answer.expire_late(task) and in_thread(scope):
            _abandoned.add(self)
            self._count(1)

    def done(self) -> None:
        """The application has returned: whatever ran on is over."""
        del _served[self]
        if _abandoned and self in _abandoned:
            _abandoned.discard(self)
            self._count(-1)

    def _count(self, amount: int) -> None:
        _series.count(_metrics.THREADS_ABANDONED, (_series.label(self.name),), amount)

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


class Request(Timeout):  # type: ignore[misc]  # typeshed has asyncio's as final
    """A request's timeout, which has the request answered soon after its deadline though it may run on.

    Made of a plain timeout, by `of`: there is one way to make those, and it is quick.
    """

    __slots__ = ()  # asyncio's class has a `__dict__`, so these may be set on what was made without them

    _answering: Answer
    _in_thread: Callable[[], bool]
    _abandoned: bool

    @classmethod
    def of(cls, made: Timeout, answer: Answer, in_thread: Callable[[], bool]) -> Request:
        """`made`, not yet entered, as the timeout of the request that `answer` answers.

        `in_thread` says, when asked, whether a plain function in a thread serves it.
        """
        made.__class__ = cls
        assert isinstance(made, cls)
        made._kind = "request"
        made._answering = answer
        made._in_thread = in_thread
        made._abandoned = False
        return made

    def _on_timeout(self, *, by_timer: bool = True) -> None:
        task = self._task
        super()._on_timeout(by_timer=by_timer)
        if self.expired() and task is not None:
            get_running_loop().call_later(GRACE, self._answer, task)

    def _answer(self, task: Task[Any]) -> None:
        if self.outcome is None and self._answering.expire_late(task) and self._in_thread():
            self._abandoned = True
            self._count(1)

    def came_back(self) -> None:
        """The application has returned: whatever ran on is over."""
        if self._abandoned:
            self._count(-1)

    def _count(self, amount: int) -> None:
        _series.count(_metrics.THREADS_ABANDONED, (_series.label(self.name),), amount)

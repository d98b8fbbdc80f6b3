"""asyncio's own `Timeout`, with its behaviour unchanged, counted and told to observers like ours.

Nothing is inherited or enforced, and what is raised is what asyncio raises. Whatever fails in the watching itself is
logged once, and the timeout goes on unwatched.
"""

from __future__ import annotations

import asyncio
import functools
import math
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any, ParamSpec, Self

from tracedtimeout._core import _observers, _warn, _where
from tracedtimeout._core._ended import Ended, Fired, where_of
from tracedtimeout._core._exceeded import Spent, Where
from tracedtimeout._core._loop import LoopState, state_of
from tracedtimeout._core._outcome import Outcome
from tracedtimeout._core.figures import _process
from tracedtimeout._core.figures._series import Figures
from tracedtimeout._shared.once import Once

from . import _calls
from ._calls import Call, call_of

P = ParamSpec("P")

OriginalTimeout = asyncio.Timeout


def _harmless(method: Callable[P, None]) -> Callable[P, None]:
    """A method that logs its first error, and raises none into the code that is watched."""
    complain = Once()

    @functools.wraps(method)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            method(*args, **kwargs)
        except Exception as exc:
            complain("a timeout of asyncio's could not be watched", exc)

    return guarded


class _StandsFor(type):
    """Lets timeouts that were made before, or by code that holds asyncio's own class, be instances too."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, OriginalTimeout)

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, OriginalTimeout)


class Watched(OriginalTimeout, metaclass=_StandsFor):  # type: ignore[misc]  # final for type checkers alone
    """asyncio's timeout, with what observers see of a `Timeout`."""

    _here: LoopState
    _started: float
    _limit: float

    def __init__(self, when: float | None, call: Call | None = None) -> None:
        super().__init__(when)
        self._call = call_of(sys._getframe(1)) if call is None else call
        self._figures: Figures | None = None  # until it is watched
        self._fired: Fired | None = None
        self._ended: Ended | None = None
        self._closers: _observers.Closers | None = None
        self._elapsed = 0.0
        self.reschedules = 0
        self.outcome: Outcome | None = None
        self.error: BaseException | None = None

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        try:
            self.begin()
        except BaseException as exc:  # Ctrl-C
            await self.__aexit__(type(exc), exc, exc.__traceback__)
            raise
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        try:
            await super().__aexit__(exc_type, exc_val, exc_tb)
        except BaseException as exc:  # kept in no other variable: its traceback holds this frame
            self.end(exc, converted=True)
            raise
        self.end(exc_val, converted=False)

    def reschedule(self, when: float | None) -> None:
        super().reschedule(when)
        self._moved()

    def _on_timeout(self) -> None:
        self.fire(self._task)  # type: ignore[attr-defined]  # asyncio's
        super()._on_timeout()  # type: ignore[misc]  # called by asyncio's timer

    # what is counted

    @_harmless
    def begin(self) -> None:
        """Note that the timeout was entered."""
        call = self._call
        if call is None or _calls.watcher is None:
            return
        self._here = state_of(asyncio.get_running_loop())
        self._started = self._here.stopwatch()
        self._limit = self._left()
        self._figures = self._here.figures.of(_process.label(call.name))
        self._figures.record_limit(self._limit)
        self._closers = _observers.told(self, _calls.watcher.observers(), self._keep)

    def _keep(self, _: object, closers: _observers.Closers) -> None:
        self._closers = closers

    @_harmless
    def fire(self, task: asyncio.Task[Any] | None, *, timed: bool = True) -> None:
        """Take the facts of a deadline that passed, with `task` at work; `timed` if a timer said so."""
        when = self.when()
        if self._figures is None or when is None or self._here.forked:
            return
        now = self._here.stopwatch()
        if timed:
            self._here.figures.timer_lag.record(max(0.0, now - max(when, self._started)))
        places = None if task is None else _where.through_children(task)
        self._fired = Fired(now, self.name, True, True, 0, places=places)

    def done(self) -> None:
        """Take a firing back: the task had ended as the timer ran, so asyncio cancelled nothing."""
        self._fired = None

    @_harmless
    def _moved(self) -> None:
        if self._figures is not None and not self._here.forked:
            self._limit = self._left() + self.elapsed
            self.reschedules += 1
            self._figures.reschedules += 1

    @_harmless
    def end(self, error: BaseException | None, *, converted: bool) -> None:
        """Count the exit by `error`; `converted` if asyncio made it of its own cancellation."""
        figures, fired, call = self._figures, self._fired, self._call
        if figures is None or call is None or self.outcome is not None or self._here.forked:
            return
        self._elapsed = self.elapsed
        self.outcome = outcome = self._decide(error, converted=converted)
        self._ended = Ended(outcome, self._elapsed, self.owner, fired, call.package)
        figures.record_exit(outcome, self._elapsed, self._limit)
        if fired is not None:
            figures.unwind.record(max(0.0, self._here.stopwatch() - fired.at))
            figures.expirations[outcome] = figures.expirations.get(outcome, 0) + 1
        self._tell(error)

    def _decide(self, error: BaseException | None, *, converted: bool) -> Outcome:
        fired = self._fired is not None
        if converted:
            return Outcome.EXPIRED
        if isinstance(error, asyncio.CancelledError):
            return Outcome.CANCELLED
        if error is not None:
            return Outcome.REPLACED if fired else Outcome.FAILED
        if fired:
            return Outcome.SUPPRESSED
        return Outcome.LATE if 0.0 < self._limit < self._elapsed else Outcome.COMPLETED

    def _tell(self, error: BaseException | None) -> None:
        if self._closers is not None:
            self.error = error
            try:
                _observers.closed(self, self._closers)
            finally:
                self._closers = self.error = None
        if self.outcome is Outcome.SUPPRESSED or self.outcome is Outcome.LATE:
            _warn.ran_on(self)

    # what observers see, as of a `Timeout`

    @property
    def name(self) -> str:
        return "" if self._call is None else self._call.name

    @property
    def kind(self) -> str:
        return "timeout_at" if self._call is None else self._call.kind

    @property
    def limit(self) -> float:
        return self._left() if self._figures is None else self._limit

    @property
    def source(self) -> str:
        return "none" if self.when() is None else "own"

    @property
    def owner(self) -> str:
        return "" if self.when() is None else self.name

    @property
    def overrun(self) -> float:
        return max(0.0, self.elapsed - self.limit)

    @property
    def spent(self) -> tuple[Spent, ...]:
        return ()

    @property
    def requested(self) -> float | None:
        return None if self.when() is None else self.limit

    @property
    def elapsed(self) -> float:
        if self._figures is None:
            return 0.0
        return self._here.stopwatch() - self._started if self.outcome is None else self._elapsed

    @property
    def where(self) -> Where | None:
        ended = self._ended
        return None if ended is None or ended.fired is None else ended.where or where_of(ended, self.error)

    def expired(self) -> bool:
        return super().expired() or self._fired is not None  # what 3.11's `wait_for` is watched by is never entered

    def deadline(self) -> float | None:
        return self.when()

    def remaining(self) -> float:
        return self._left() if self.outcome is None else max(0.0, self._limit - self._elapsed)

    def _left(self) -> float:
        when = self.when()
        return math.inf if when is None else max(0.0, when - asyncio.get_running_loop().time())

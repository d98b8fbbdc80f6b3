"""What a timeout holds, and what it says of itself."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any, cast

from . import _budget, _expiry, _inside, _observers, _relatives
from ._arguments import check_options
from ._budget import Deadline, State, earliest, here, live
from ._loop import LoopState
from ._outcome import Outcome, Spent, Where
from ._tally import Series

if TYPE_CHECKING:
    from ._timeout import Timeout

INF = math.inf


class Details:
    """What the common case of a timeout does not need: one that runs to its end, in time, with nobody watching.

    The defaults stand in the class: of most, only a few are ever set.
    """

    name: str | None = None  # where it is not that of the series
    at_least = -math.inf  # where neither it nor a reserve is given, no budget is too little
    reserve: float | None = None
    reschedules = 0
    adopted: dict[Timeout, None] | None = None
    expiring_inside = 0  # those nested in it, in its own task, that have fired and are yet to be left
    closers: Any = None  # Closers or None; from 3.14 on type checkers take a partial, read off an object, for a method
    expiry: _expiry.Expiry | None = None
    outcome: Outcome | None = None
    error: BaseException | None = None
    plain = False
    """Nothing but `closers` is set: somebody watches, and that is all."""


class Facts:
    """What users and observers read of a `Timeout`, which has the slots; all of it is read off when asked."""

    __slots__ = ()

    # Set as it is made, by `timeout`, `__init__` or `enter`
    _when: float | None
    _state: State
    _details: Details | None
    _inner: Timeout | None
    _spent: dict[str, tuple[float, int]] | tuple[str, float] | None  # by name, or of the only one so far
    _here: LoopState  # with `_series` only looked up, until it is entered in this loop
    _series: Series
    # Set on entry, by `__aenter__` or `enter`
    _task: asyncio.Task[Any] | None
    _parent: Deadline | None
    _cancelling: int
    _started: float
    _deadline: float  # the effective one, on entry or since by `reschedule`; ``inf`` with none
    _entries: dict[Any, Any]
    # Set on exit. Before, if the only observer is in no hurry, what `_observers.opened` returned: another slot
    # would weigh 16 bytes.
    _elapsed: float
    # Set for all kinds but ``timeout``
    _kind: str

    def deadline(self) -> float | None:
        """The effective deadline, on the event loop's clock: the earliest of its own and those around it that bind.

        None with none. Right the moment any of them is rescheduled.
        """
        when, _ = self._effective()
        return None if when == INF else when

    def remaining(self) -> float:
        """Seconds left to the effective deadline; ``inf`` with none, never negative."""
        reader = self._here if self._state is not State.CREATED else here()
        return max(0.0, self._effective()[0] - reader.clock())

    @property
    def name(self) -> str:
        """What its user calls it."""
        details = self._details
        return self._series.name if details is None or details.name is None else details.name

    @property
    def kind(self) -> str:
        """How it was made: ``timeout``, ``timeout_at``, ``wait_for``, ``with_timeout`` or ``request``."""
        return getattr(self, "_kind", "timeout")

    @property
    def outcome(self) -> Outcome | None:
        """How it ended; None before."""
        if self._details is None or self._details.plain:
            return Outcome.COMPLETED if self._state is State.FINISHED else None
        return self._details.outcome

    @property
    def error(self) -> BaseException | None:
        """The exception that leaves it, while its observers are told of its end; else None."""
        return None if self._details is None else self._details.error

    @property
    def limit(self) -> float:
        """Seconds from entry to the effective deadline, as on entry or since `reschedule`; ``inf`` with none."""
        return max(0.0, self._deadline - self._started)

    @property
    def requested(self) -> float | None:
        """Seconds from entry to its own deadline; None with none."""
        if self._when is None:
            return None
        return self._when - self._here.clock() + (self._here.stopwatch() - self._started)

    @property
    def owner(self) -> str:
        """Whose own deadline is, or was, the effective one; empty with none."""
        if self._expiry is not None:
            return self._expiry.owner
        owner = self._effective()[1]
        return "" if owner is None else owner.name

    @property
    def source(self) -> str:
        """Where its deadline comes from: ``own``, ``inherited``, ``header`` or ``none``."""
        if self._state is not State.CREATED and self._parent is None:
            return "none" if self._when is None else "own"  # as below, but 0.2 us sooner for each span
        return _relatives.source_of(self._effective()[1], cast(Any, self))

    @property
    def elapsed(self) -> float:
        """Seconds since it was entered, or from entry to exit."""
        left = self._state is State.FINISHED or self._state is State.EXPIRED
        return self._elapsed if left else self._here.stopwatch() - self._started

    @property
    def overrun(self) -> float:
        """Seconds past the effective deadline on exit; 0.0 if it was left before."""
        return max(0.0, self.elapsed - self.limit)

    @property
    def reschedules(self) -> int:
        """How often `reschedule` was called."""
        return 0 if self._details is None else self._details.reschedules

    @property
    def where(self) -> Where | None:
        """The place its task was waiting in when its deadline fired; None if it did not."""
        return None if self._expiry is None else self._expiry.where

    @property
    def spent(self) -> tuple[Spent, ...]:
        """What the timeouts nested in it took, longest first; those still open when it fired, last."""
        return _inside.spent_of(cast(Any, self))

    def _extend(self) -> Details:
        """Its details: from here on it is not the common case, and is left with care."""
        details = self._details
        if details is None:
            details = self._details = Details()  # type: ignore[misc]  # the slot is `Timeout`'s
        details.plain = False
        return details

    def _watch(self, closers: _observers.Closers) -> None:
        """Have observers told when it is left."""
        details = self._details
        if details is None:
            details = self._details = Details()  # type: ignore[misc]  # the slot is `Timeout`'s
            details.plain = True
        details.closers = closers

    @property
    def _expiry(self) -> _expiry.Expiry | None:
        return None if self._details is None else self._details.expiry

    def _effective(self) -> tuple[float, Deadline | None]:
        """The effective deadline on its loop's clock, and whose it is."""
        entered = self._state is not State.CREATED
        reader = self._here if entered else here()
        when, owner = earliest(self._parent if entered else live(_budget.inherited(), reader), reader)
        if self._when is not None and self._when <= when:
            return self._when, cast(Deadline, self)
        return when, owner


def set_options(self: Facts, at_least: float, reserve: float | None) -> None:
    """Have `self` take what is not the default.

    Raises:
        TypeError, ValueError: see `check_options`.
    """
    check_options(at_least, reserve)
    details = self._extend()
    details.at_least, details.reserve = at_least, reserve

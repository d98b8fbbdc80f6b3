"""The budget: the deadline in force in a context, and who set it.

The deadlines in a context form a chain, innermost first, under one ContextVar; what is in force is read off by walking
it. So a deadline that is moved moves all that are beneath it, with nothing to push. Leaving a deadline does not reset
the variable (0.1 us, and impossible from another Context): it is marked, and skipped on read.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from enum import Enum
from typing import Any, Protocol

from ._arguments import seconds_of
from ._loop import state_of
from ._outcome import DeadlineExceeded

BUDGET = "_budget"
REMOTE = "_remote"


class State(Enum):
    """The life of a deadline; the values are what asyncio's ``repr`` shows."""

    CREATED = "created"
    ACTIVE = "active"
    EXPIRING = "expiring"
    EXPIRED = "expired"
    FINISHED = "finished"


class Clock(Protocol):
    """What a deadline stands on."""

    @property
    def clock(self) -> Callable[[], float]: ...


class _NoLoop:
    """The clock of threads without an event loop: that of every real loop."""

    clock = staticmethod(time.monotonic)


NO_LOOP: Clock = _NoLoop()


class Deadline(Protocol):
    """One link of the chain: a timeout, or a bare `Budget`."""

    _state: State
    _parent: Deadline | None
    _when: float | None
    _started: float

    @property
    def name(self) -> str: ...
    @property
    def _here(self) -> Clock: ...


current: ContextVar[Any] = ContextVar("tracedtimeout", default=None)
"""The innermost deadline opened in this context, left or not: a `Deadline` or None (typed Any for speed of reading)."""


class Outside(Protocol):
    """Deadlines that another library's context holds, such as one that an instrumentation extracted and attached."""

    def inherited(self, innermost: Deadline | None, reader: Clock) -> Deadline | None:
        """The innermost link here, given that of our own chain: one it holds, put before that, or that itself."""

    def cut(self) -> Deadline | None:
        """A link that keeps what it holds now from being inherited by what is opened beneath it."""


outside: Outside | None = None
"""Set, by `look_outside`, when a propagator is loaded."""

inherited: Callable[[], Any] = current.get
"""The innermost deadline of this context, left or not, that of another library's context included. A plain look at our
own until `look_outside` replaces it, so that it costs nothing before."""


def look_outside(elsewhere: Outside) -> None:
    """Inherit what another library's context holds as well, from now on."""
    global outside, inherited
    outside = elsewhere
    inherited = lambda: elsewhere.inherited(current.get(), here())  # noqa: E731  # as the default, a name for a callable


class Budget:
    """A deadline with no timer of its own: timeouts opened directly inside are timed at the earlier of the two."""

    __slots__ = ("_here", "_parent", "_started", "_state", "_when", "name", "stands_for")

    _task = _inner = None  # what is opened inside asks a timeout for these

    def __init__(self, seconds: float, *, name: str = BUDGET) -> None:
        self._here: Clock = here()
        self._started = self._here.clock()
        self._when: float | None = self._started + seconds
        self._parent: Deadline | None = None
        self._state = State.CREATED
        self.name = name
        self.stands_for: Budget | None = None  # the one in another library's context that this link was put in for

    def open(self) -> None:
        """Put it in force in this context."""
        parent = inherited()
        self._parent = None if parent is None else live(parent, self._here)
        self._state = State.ACTIVE
        current.set(self)

    def close(self) -> None:
        """It binds nothing from now on, in any context that has it."""
        self._state = State.FINISHED
        skip_left(self)


def here() -> Clock:
    """The clock of the running loop, or that of threads without one."""
    try:
        return state_of(asyncio.get_running_loop())
    except RuntimeError:
        return NO_LOOP


def binds(deadline: Deadline, reader: Clock) -> bool:
    """Whether `deadline` still means anything to a reader: the table "after it ended" of the README.

    While it is active, yes. Once it has fired it is spent for good in other threads, and binds nothing new on its own
    loop: ending the work beneath it is the business of the task that was cancelled.
    """
    state = deadline._state
    if state is State.ACTIVE:
        return True
    return (state is State.EXPIRING or state is State.EXPIRED) and deadline._here is not reader


def live(deadline: Deadline | None, reader: Clock) -> Deadline | None:
    """The first link of the chain, from `deadline` outwards, that binds."""
    while deadline is not None and not binds(deadline, reader):
        deadline = deadline._parent
    return deadline


def skip_left(deadline: Deadline) -> None:
    """Have the next link outwards be one that is not left without firing: else a chain of generations would grow."""
    while (parent := deadline._parent) is not None and parent._state is State.FINISHED:
        deadline._parent = parent._parent


def earliest(deadline: Deadline | None, reader: Clock) -> tuple[float, Deadline | None]:
    """The deadline in force from `deadline` outwards, on the reader's clock, and whose it is; ``inf`` and None."""
    soonest, owner = math.inf, None
    while deadline is not None:
        if (deadline._when is not None or deadline._state is not State.ACTIVE) and binds(deadline, reader):
            when = instant(deadline, reader)
            if when < soonest:
                soonest, owner = when, deadline
        deadline = deadline._parent
    return soonest, owner


def instant(deadline: Deadline, reader: Clock) -> float:
    """When it is, on the reader's clock; a deadline that fired has passed. The one place that converts clocks."""
    when = deadline._when
    its, ours = deadline._here.clock, reader.clock
    if deadline._state is not State.ACTIVE:
        return min(when, its()) if its is ours and when is not None else ours()
    assert when is not None
    return when if its is ours else ours() + (when - its())


def remaining() -> float:
    """Seconds left in the budget here; ``inf`` when there is none.

    Never negative: a spent budget reads 0.0. Works in threads that run in a copy of the context
    (`asyncio.to_thread`), where a deadline that has fired stays spent for good.
    """
    reader = here()
    when, owner = earliest(inherited(), reader)
    return math.inf if owner is None else max(0.0, when - reader.clock())


def checkpoint() -> None:
    """Raise `DeadlineExceeded` if the budget is spent; for CPU loops and worker threads.

    Raises:
        DeadlineExceeded: no second is left; `owner` says of whose deadline.
    """
    reader = here()
    when, owner = earliest(inherited(), reader)
    if owner is None or reader.clock() < when:
        return
    started = owner._started
    stopwatch = getattr(owner._here, "stopwatch", owner._here.clock)
    elapsed = stopwatch() - started
    limit = getattr(owner, "limit", None)
    if limit is None:
        assert owner._when is not None
        limit = owner._when - started
    raise DeadlineExceeded(
        f"{owner.name!r} exceeded its {limit:.3f} s deadline after {elapsed:.3f} s",
        name=owner.name,
        limit=limit,
        elapsed=elapsed,
        owner=getattr(owner, "owner", owner.name),  # of one that fired, whose deadline it was
    )


@contextmanager
def budget(seconds: float) -> Iterator[None]:
    """Bound all that runs inside to `seconds` from now, with neither a loop nor a timer.

    For synchronous code and queue consumers. `remaining()` and `checkpoint()` see it; a timeout opened directly inside
    is timed at the earlier of its own deadline and this one, and ends as `inherited`, owner ``_budget``.

    Raises:
        TypeError: `seconds` is not a number.
        ValueError: `seconds` is NaN.
    """
    bound = Budget(seconds_of("seconds", seconds))
    bound.open()
    try:
        yield
    finally:
        bound.close()


@contextmanager
def detach() -> Iterator[None]:
    """Inherit nothing inside: for work that must outlive the request.

    Tasks created inside stay free of the deadlines around it, after the block too: ``with detach(): await
    shield(commit())``. The task that runs the block is still ended by its own timeouts, as in asyncio.
    """
    token = current.set(None if outside is None else outside.cut())
    try:
        yield
    finally:
        with suppress(ValueError):  # left in another Context than it was entered in: nothing to restore there
            current.reset(token)

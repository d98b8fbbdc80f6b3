"""The budget: the deadline in force in a context, and blocks that set it or inherit none."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import math
import weakref
from collections.abc import Callable
from typing import Any, Self, TypeVar, cast

from . import _context
from ._arguments import seconds_of, shown
from ._exceeded import DeadlineExceeded, exceeded_message
from ._family import join, left, open_beneath
from ._link import ACTIVE, BUDGET, CREATED, FINISHED, INF, NO_LOOP, REMOTE, Link, earliest, in_force, live, reader_here
from ._loop import tasks
from .figures._series import NEVER

new = object.__new__
F = TypeVar("F", bound=Callable[..., Any])


class Budget(Link):
    """A deadline with no timer of its own: timeouts opened directly inside are timed at the earlier of the two."""

    __slots__ = ("__weakref__", "_name", "_reader", "_started", "stands_for")

    _bare = True

    def __init__(self, seconds: float, *, name: str = BUDGET) -> None:
        self._reader = reader_here()
        self._started: float = self._reader.clock()
        self._when = NEVER if seconds == INF else self._started + seconds
        self._deadline = self._when
        self._parent = self._owner = self._stamp = self._task = self._inner = self._spent = self._more = None
        self._state = CREATED
        self._name = name
        self.stands_for: Budget | None = None
        """The budget in another library's context that this link was put in for."""

    @property
    def _here(self) -> Any:
        return self._reader

    @property
    def name(self) -> str:
        """``_budget``, or ``_remote`` for a caller's."""
        return self._name

    @property
    def limit(self) -> float:
        """Seconds."""
        return self._when - self._started

    @property
    def owner(self) -> str:
        """Itself."""
        return self._name

    def _started_at(self) -> float:
        return self._started

    def _end(self, ender: Link) -> None:
        for inner in open_beneath(self):
            inner._end(ender)

    def open(self) -> None:
        """Put the budget in force in this context."""
        here = self._reader
        self._parent = live(_context.inherited(), here)
        self._task = None if here is NO_LOOP else tasks.current_task(asyncio.get_running_loop())
        self._state = ACTIVE
        if here is not NO_LOOP:
            if self._parent is None:  # what a walk would find
                self._stamp = here.stamp
            else:
                join(self, here)
                self._effective(here)
        _context.current.set(self)

    def close(self) -> None:
        """Have the budget bind nothing from now on, in any context that has it."""
        if self._state is ACTIVE:
            self._state = FINISHED
            if not (self._parent is None and self._inner is None and self._more is None):
                left(self, self._reader)
            self._task = None
            if _context.current.get() is self:
                _context.current.set(self._parent)


def granted(here: Any, task: Any, now: float, when: float) -> Budget:
    """A caller's budget until `when`, in force around nothing yet, for `task`: in a third of the time of two calls."""
    self: Any = new(Budget)
    self._reader, self._name, self._started, self._state, self._task = here, REMOTE, now, ACTIVE, task
    self._when = self._deadline = when
    self._stamp = here.stamp
    self._parent = self._owner = self._inner = self._spent = self._more = self.stands_for = None
    made: Budget = self
    return made


def remaining() -> float:
    """Seconds left in the budget here; ``inf`` when there is none.

    Never negative: a spent budget reads 0.0. Works in threads that run in a copy of the context
    (`asyncio.to_thread`), where a deadline that has fired stays spent for good.
    """
    link = _context.inherited()
    if link is None:
        return math.inf
    here = reader_here()
    link = live(link, here)
    if link is None:
        return math.inf
    left: float = in_force(link, here) - here.clock()
    return max(0.0, left)


def checkpoint() -> None:
    """Raise `DeadlineExceeded` if the budget is spent; for CPU loops and worker threads.

    The timeout whose deadline it is ends `expired` by it, as by its timer.

    Raises:
        DeadlineExceeded: no second is left; `owner` says of whose deadline.
    """
    here = reader_here()
    when, owner = earliest(live(_context.inherited(), here), here)
    if owner is not None and here.clock() >= when:
        raise exceeded_by_code(owner)


def exceeded_by_code(owner: Link) -> DeadlineExceeded:
    """The exception of code that finds the deadline of `owner` passed. It carries a token, on which nothing hangs."""
    timed = cast(Any, owner)
    elapsed, limit = owner._here.stopwatch() - timed._started_at(), timed.limit
    found = DeadlineExceeded(
        exceeded_message(owner.name, limit, elapsed),
        name=owner.name,
        limit=limit,
        elapsed=elapsed,
        owner=timed.owner,  # of one that fired, whose deadline it was
    )
    found.deadline_token = (weakref.ref(owner), owner._here.stopwatch())
    return found


class _Block:
    """A ``with`` block and an ``async with`` block; as a decorator, a block of its own for each call."""

    def __enter__(self) -> None:
        self._open()

    def __exit__(self, *exc_info: object) -> None:
        self._close()

    async def __aenter__(self) -> None:
        self._open()

    async def __aexit__(self, *exc_info: object) -> None:
        self._close()

    def __call__(self, function: F) -> F:
        another = self._another
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(
                f"{type(self).__name__} cannot guard {shown(function)}: a generator is left and resumed by others: "
                f"use `with {type(self).__name__}(...)` inside it"
            )
        if isinstance(function, staticmethod | classmethod):
            raise TypeError(f"put @{type(self).__name__} below @{type(function).__name__}: it goes on a function")
        if inspect.isclass(function) or not callable(function):
            raise TypeError(f"{type(self).__name__} goes on a function, not on {shown(function)}")
        if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
            getattr(function, "__call__", None)  # noqa: B004  # its kind matters
        ):

            @functools.wraps(function)
            async def run(*args: Any, **kwargs: Any) -> Any:
                with another():
                    return await function(*args, **kwargs)

            return cast(F, run)

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with another():
                return function(*args, **kwargs)

        return cast(F, call)

    def _open(self) -> None:
        raise NotImplementedError

    def _close(self) -> None:
        raise NotImplementedError

    def _another(self) -> Self:
        raise NotImplementedError


class budget(_Block):  # noqa: N801  # read as the function that it looks like
    """Bound all that runs inside to `seconds` from now, with neither a loop nor a timer; None adds no bound.

    It ends nothing by itself: `remaining()` and `checkpoint()` see it, and a timeout opened directly inside is timed at
    the earlier of its own deadline and this one, and ends as `inherited`, owner ``_budget``. To have an ``async def``
    ended, use `with_timeout`. For synchronous code and queue consumers: ``with budget(1.5):``, ``async with
    budget(1.5):`` or ``@budget(1.5)``, which is a budget of its own at each call. What encloses it still binds.

    Raises:
        TypeError: `seconds` is not a number; it decorates what is no function, or a generator function.
        ValueError: `seconds` is NaN.
        RuntimeError: it has been entered before.
    """

    def __init__(self, seconds: float | None) -> None:
        self._seconds = None if seconds is None else seconds_of("seconds", seconds)
        self._link: Budget | None = None

    def _open(self) -> None:
        if self._link is not None:
            raise RuntimeError("budget has already been entered")
        self._link = Budget(INF if self._seconds is None else self._seconds)
        self._link.open()

    def _close(self) -> None:
        if self._link is not None:
            self._link.close()

    def _another(self) -> Self:
        return type(self)(self._seconds)


class detach(_Block):  # noqa: N801  # as above
    """Inherit nothing inside: for work that must outlive the request.

    Tasks created inside stay free of the deadlines around it, after the block too: ``with detach(): await
    shield(commit())``. The task that runs the block is still ended by its own timeouts, as in asyncio. It may be
    entered again, and by several tasks at once.

    Raises:
        RuntimeError: it is left by more than have entered it.
    """

    def __init__(self) -> None:
        self._tokens: list[Any] = []

    def _open(self) -> None:
        _context.note_birth()
        cut = None if _context.outside is None else _context.outside.cut()
        self._tokens.append(_context.current.set(cut))

    def _close(self) -> None:
        tokens = self._tokens
        if not tokens:
            raise RuntimeError("detach has not been entered")
        for at in reversed(range(len(tokens))):  # other tasks may be inside as well
            with contextlib.suppress(ValueError):  # another Context's
                tokens[at].var.reset(tokens[at])
                del tokens[at]
                return
        tokens.pop()  # left in another Context than it was entered in: nothing to restore there

    def _another(self) -> Self:
        return type(self)()

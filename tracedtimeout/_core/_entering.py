"""Making and entering a timeout in any but the common way."""

from __future__ import annotations

import asyncio
import weakref
from bisect import bisect_left
from types import FrameType
from typing import Any

from . import _names, _observers
from ._arguments import check_options, plain, seconds_of
from ._closers import keep_told, tell_end
from ._ended import Ended
from ._ending import close, refuse
from ._family import join, let_go
from ._link import ACTIVE, CREATED, FINISHED, INF, Link, instant, live
from ._loop import LoopState, state_of
from ._more import More
from ._observers import Closers, Noting, Unhurried
from ._outcome import Outcome
from ._reserves import forget_reserve, hold_reserve, set_before
from .figures._series import NEVER, Series

new = object.__new__
timeout_class: Any = None
"""`Timeout`, once `_timeout` has made it."""


def made(delay: Any, name: str | None, at_least: float, reserve: float | None, frame: FrameType) -> Any:
    """`timeout()`, where its name and delay are new, or wrong."""
    when, delay = deadline_in(delay), plain(delay)
    given = _names.of_caller(frame) if name is None else _names.checked(name)
    self = new(timeout_class)
    fill_in(self, when)
    here = state_of(asyncio.get_running_loop())
    if name is not None and delay is not None and (limit := here.granted("timeout", given, delay)) != delay:
        self._extend().said, self._when, delay = float(delay), deadline_in(limit), limit
    bind(self, here, "timeout", given, delay)
    if name is None:
        here.remember(frame.f_code)
    set_options(self, at_least, reserve)
    return self


def fill_in(self: Any, when: float) -> None:
    """Give `self`, which is new, its deadline, and every field a value."""
    self._when = when
    self._state = CREATED
    self._started = self._lane = self._owner = self._inner = self._spent = self._more = self._fired = None
    self._ended = self._task = self._parent = self._stamp = self._series = None


def bind(self: Any, here: LoopState, kind: str, name: str, delay: Any) -> None:
    """Have `self`, named `name`, counted on the loop of `here`."""
    self._series = here.series_of(kind, name)[delay]
    if self._series.name != name:
        self._extend().name = name


def bind_to(self: Any, loop: asyncio.AbstractEventLoop) -> LoopState:
    """Have `self`, made under another loop or none, counted on `loop`; returns the state of that."""
    here = state_of(loop)
    kind = "timeout_at" if self._series is None else self._series.kind
    bind(self, here, kind, self.name, None if self._when is NEVER else 0.0)
    return here


def set_options(self: Any, at_least: float, reserve: float | None) -> None:
    """Have `self` take what is not the default.

    Raises:
        TypeError, ValueError: see `check_options`.
    """
    if at_least == 0.0 and reserve is None:
        return
    check_options(at_least, reserve)
    more = self._extend()
    more.at_least, more.reserve = plain(at_least), plain(reserve)


def entered(delay: float | None, name: str, kind: str, at_least: float, reserve: float | None) -> Any:
    """`enter`, in any but the common case."""
    when, delay = deadline_in(delay), plain(delay)
    here, said = state_of(asyncio.get_running_loop()), None
    if delay is not None and (limit := here.granted(kind, _names.checked(name), delay)) != delay:
        said, when, delay = float(delay), deadline_in(limit), limit
    self = timeout_class(None if when is NEVER else when, name=name, at_least=at_least, reserve=reserve)
    bind(self, here, kind, self.name, delay)
    if said is not None:
        self._extend().said = said
    steps = self.__aenter__()
    try:
        try:
            steps.send(None)
        except StopIteration:
            return self
        raise AssertionError("entering a timeout never waits")
    except BaseException as exc:
        if self._state is ACTIVE:  # it was entered, and nobody else can leave it
            self._lane.pop(self, None)
            close(self, exc)
        raise


def deadline_in(delay: float | None) -> float:
    """The instant `delay` seconds from now on the running loop's clock; `NEVER` for None.

    Raises:
        TypeError, ValueError: it is not a number of seconds. (NaN would end the loop: CPython's heap cannot sort it.)
        RuntimeError: no event loop is running.
    """
    loop = asyncio.get_running_loop()
    if delay is None:
        return NEVER
    return state_of(loop).clock() + seconds_of("delay", delay)


def beneath(self: Any, here: LoopState, now: float) -> float:
    """Find the links that bind `self`; returns when to time it. Refuses `self` where it needs more than they leave."""
    more = self._more
    options = more.__class__ is More
    parent = self._parent = live(self._parent, here)
    if options and more.reserve is not None:
        more.asked = self._when
        set_before(self, here)
        self._deadline = self._when
    if parent is None:
        pass
    elif parent._stamp is here.stamp and parent._state is ACTIVE:
        if parent._deadline < self._when:
            self._deadline, self._owner = parent._deadline, parent._owner or parent
    else:
        self._stamp = None
        self._effective(here)
    if options and more.at_least and (left := self._deadline - now) < more.at_least:
        refuse(self, here, max(0.0, left), self._owner)
    if parent is None:
        return self._when  # type: ignore[no-any-return]  # a float
    join(self, here)
    if options and more.reserve is not None:
        hold_reserve(self)
    return timed_at(self, here) if parent._bare or parent._state is not ACTIVE else self._when


def timed_at(self: Any, here: Any) -> float:
    """The instant to time `self` at: its own deadline, or that of a bare budget directly around it. The timeouts around
    it time their own. A budget that is spent for good (another thread's) has nobody left to time it."""
    timed: float = self._when
    link = self._parent
    while link is not None:
        if link._bare and link._state is ACTIVE:
            timed = min(timed, instant(link, here))
        elif link._state is ACTIVE:
            break
        elif link._binds(here):
            return min(timed, instant(link, here))
        elif link._state is not FINISHED:
            break
        link = link._parent
    return timed


def place(self: Any, here: LoopState, timed: float, now: float) -> None:
    """Queue `self` where its deadline is out of order, another's or has passed, or where it has none."""
    series = self._series
    if series.limit and series.lane.tail != series.lane.tail and 0.0 < series.limit < INF:  # the lane was recycled
        series.lane = here.lane_of(series.limit)
    if self._started is None:
        self._started = now
    here.place(self, timed)


# fmt: off


def counted(self: Any, now: float) -> Any:
    """Count an entry whose limit is not that of its series; returns `self`."""
    limit, varied = self._deadline - now, self._series.varied
    self._series = varied if varied.roomy <= limit < INF else varied.tight
    if varied.low < limit <= varied.high:
        varied.seen += 1; varied.granted += limit; return self  # one step
    varied.grant(limit); return self


def completed(self: Any, series: Any, elapsed: float) -> None:
    """Count an exit in time that is no quick one."""
    if series.__class__ is Series:
        i, counts = bisect_left(series.bounds, elapsed), series.counts
        self._state = FINISHED; self._ended = elapsed; counts[i] += 1; series.seconds += elapsed; return
    limit = self._granted(self._deadline)
    if limit > 0.0:
        series.figures.record_completed(elapsed, limit); self._state, self._ended = FINISHED, elapsed
    else:
        series.figures.record_exit(Outcome.COMPLETED, elapsed, 0.0)
        self._state, self._ended = FINISHED, elapsed


# fmt: on


def beside(self: Any, parent: Any, more: Any) -> float:
    """`beneath`, where the parent is another task's of the same loop, and the effective deadline of that is known."""
    if parent._deadline < self._when:
        self._deadline, self._owner = parent._deadline, parent._owner or parent
    if more.__class__ is not More:
        more = parent._extend()
    if more.children is None:
        more.children = {}
    key = self if self._when is not NEVER else weakref.ref(self)
    more.children[key] = None
    if parent._state is ACTIVE:
        return self._when  # type: ignore[no-any-return]  # a float
    more.children.pop(key, None)  # the collector left the parent meanwhile
    self._deadline, self._owner = self._when, None
    here = self._lane.here
    return beneath(self, here, here.clock())


def announce(self: Any) -> None:
    """Tell the observers that `self` is open."""
    observers = _observers.installed
    closers: Closers | None = None
    try:
        if len(observers) == 1 and isinstance(only := observers[0], Noting) and (note := only.note) is not None:
            try:
                noted = note()
                if noted.__class__ is only.plain:
                    closers = Unhurried(only.closer, noted)
            except Exception:  # the observer, called below, has its say
                closers = None
        if closers is None:
            closers = _observers.opened(self, keep_told)
        if closers is not None:
            if self._more.__class__ is More:
                self._more.closers = closers
            else:
                self._more = closers
    except BaseException:
        if closers is not None:
            keep_told(self, closers)
        raise


def tell(self: Any, closers: Closers) -> None:
    """Tell the observers that `self` completed in time."""
    _observers.closed(self, closers, in_time=True)


def broken_off(self: Any, exc: BaseException) -> None:
    """Undo the entry of `self` that an exception broke off: `self` was never there."""
    if self._ended is not None:
        tell_end(self, exc)
        return  # refused
    more = self._more
    if self._parent is not None:
        if more.__class__ is More and more.reserve is not None:
            forget_reserve(self)
        _take_back(self)
    self._task = None
    self._ended = Ended(Outcome.FAILED, 0.0, "", None)
    tell_end(self, exc)


def _take_back(self: Link) -> None:
    """Undo `join`."""
    let_go(self, self._here, self.name, 0.0, 0.0)

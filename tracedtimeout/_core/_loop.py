"""The state of one event loop: its clocks, its timers and its figures."""

from __future__ import annotations

import asyncio
import contextlib
import math
import sys
import time
from collections import deque
from collections.abc import Callable
from threading import get_ident
from types import CodeType, SimpleNamespace
from typing import Any

from . import _limits, _names
from ._delays import Delays, Limited, limited
from ._lanes import LINGER, Lanes
from ._unwinding import Unwinding
from .figures import _process
from .figures._process import LoopFigures

if sys.version_info >= (3, 12):
    # Asked at each entry: who runs tasks written in Python swaps `current_task`, from 3.14 on.
    tasks: Any = asyncio.tasks
else:
    # What 3.11's `current_task` does, in Python: 60 ns.
    tasks = SimpleNamespace(current_task=asyncio.tasks._current_tasks.get)  # type: ignore[attr-defined]  # private

_MONOTONIC = time.monotonic

_READINGS = 0.00005
"""Seconds for which a clock of an unknown loop is read to see how fast it goes on."""

_SHOWN = 0.25
"""Seconds after which the rate of a clock shows that is read once a turn."""


class Stamp:
    """The moment at which an effective deadline was worked out."""

    __slots__ = ("moved",)

    def __init__(self, moved: object) -> None:
        self.moved = moved
        """Stands for the last move of a deadline of the loop that others lie beneath: another for each."""


class LoopState(Lanes):
    """One loop's clocks, timers and figures; found by `state_of`.

    `clock` is the loop's own, on which deadlines stand. `stopwatch` measures durations, in the clock's coordinates: it
    is `time.monotonic` of real loops, and the clock of virtual ones.
    """

    __slots__ = ("__weakref__", "_since", "around", "figures", "forked", "handed", "series", "sites", "stamp",
                 "stopwatch", "thread", "timed_apart", "timeouts", "undecided", "unwinding")  # fmt: skip

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        replaced = "time" in getattr(loop, "__dict__", ()) or time.monotonic is not _MONOTONIC  # by a test, say
        plain = not replaced and getattr(loop.time, "__func__", None) is asyncio.BaseEventLoop.time
        clock = _MONOTONIC if plain else loop.time  # what that function returns, one call nearer; one object for all
        uvloop = type(loop).__module__ == "uvloop"
        resolution = 1e-3 if uvloop else getattr(loop, "_clock_resolution", 1e-9)
        super().__init__(loop, clock, resolution=resolution, linger=LINGER if plain or uvloop else 0.0)
        self.stopwatch = time.monotonic if uvloop else clock
        self.timed_apart = uvloop
        """Durations are measured by another clock than deadlines: uvloop's is rounded to the millisecond."""
        self.undecided = not (plain or uvloop or getattr(loop, "_tracedtimeout_virtual", False))
        """True while it is not known whether the clock is a real one: see `decide`."""
        if replaced:
            self.read_anew(-math.inf)
        self._since = (self.clock(), time.monotonic())
        if self.undecided and self._goes_on():
            self._is_real()
        self.thread = get_ident()
        """The loop's thread, the only writer of all this."""
        self.stamp = Stamp(object())
        """Replaced when a deadline moves, fires or is left that others lie beneath: see `_link`."""
        self.forked = False
        """True in a fork of the loop's process: nothing of the loop goes on here."""
        self.unwinding = Unwinding(self)
        """The timeouts that have fired and are yet to be left."""
        self.around: dict[Any, Any] = {}
        """By links that an exit by cancellation looked at: those from there outwards that have fired; see `_deciding`.
        Else a deep nest that ends at once would be walked anew at each exit. Emptied as the last of `unwinding` is
        left, and as another fires."""
        self.handed: deque[tuple[Callable[[], None], Callable[[], None]]] = deque()
        """Exits in other threads, each handed over to the loop: see `hand_over`. No more than the loop has entered."""
        self.figures = LoopFigures()
        self.timeouts: dict[str, Delays | Limited] = {}
        """Series of the kind ``timeout``, by name and delay: what the hot path looks up."""
        self.series: dict[str, dict[str, Delays | Limited]] = {"timeout": self.timeouts}
        """Series of every kind, by kind, name and delay."""
        self.sites: dict[int, Delays] = {}
        """Series of default names, by the `id` of the code, which `_names.sites` keeps alive."""
        _process.register(self)  # last: whoever reads figures finds them whole

    def __del__(self) -> None:
        with contextlib.suppress(Exception):  # the interpreter may be shutting down
            if not self.forked:
                _process.retire(self)

    def series_of(self, kind: str, name: str) -> Delays:
        """The series of timeouts of `kind` and `name`, by their delays."""
        by_name = self.series.setdefault(kind, {})
        found = by_name.get(name)
        if found is None:
            found = Delays(self, self.figures.of(_process.label(name)), kind)
            if found.figures.name == name:  # else it is one of many past the cap
                by_name[name] = limited(found, name)
        return found.delays if isinstance(found, Limited) else found

    def lift(self) -> None:
        """Replace the stamp: one that others lie beneath was left, or fired. None of theirs is earlier than it was."""
        self.stamp = Stamp(self.stamp.moved)

    def move(self) -> None:
        """Replace the stamp: one that others lie beneath moved."""
        self.stamp = Stamp(object())

    def granted(self, kind: str, name: str, delay: float) -> float:
        """The seconds that a timeout gets that asks for `delay`: those that are configured, for a limit in code."""
        if not _limits.configured or not 0.0 < delay < math.inf:
            return delay
        self.series_of(kind, name)
        found = self.series[kind].get(name)
        limit = _limits.limit_of(kind, name) if found is None else getattr(found, "limit", None)
        return delay if limit is None else limit

    def resolve_limits(self) -> None:
        """Have the names that were used take the limits that are configured now. In the loop's thread."""
        for by_name in list(self.series.values()):
            for name, found in list(by_name.items()):
                by_name[name] = limited(found.delays if isinstance(found, Limited) else found, name)

    def remember(self, code: CodeType) -> None:
        """Have `sites` tell the series of the default name of `code` at once the next time."""
        site = _names.sites.get(id(code))
        if site is not None and site[0] in self.timeouts:
            self.sites[id(code)] = self.series_of("timeout", site[0])

    def soon(self, callback: Callable[..., None], *args: object) -> None:
        """Have the loop call `callback`; this may be another thread's."""
        loop = self.loop()
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # closed, perhaps just now in its own thread: nothing runs there
                if get_ident() == self.thread:
                    loop.call_soon(callback, *args, context=self._context)
                else:
                    loop.call_soon_threadsafe(callback, *args)

    def hand_over(self, settle: Callable[[], None], count: Callable[[], None]) -> None:
        """Have the loop call `settle`, for an exit in another thread; or, where it is closed before that, have `count`
        called: at once, as figures are read, or as the loop goes."""
        self.handed.append((settle, count))
        self.soon(self._take_over)
        self.complete()

    def _take_over(self) -> None:
        self.handed.popleft()[0]()

    def complete(self) -> None:
        """Count the exits that the loop was to see to, if it is closed by now. Safe in any thread."""
        if (self.handed or self.pending) and not self.is_open():
            with contextlib.suppress(IndexError):
                while True:
                    self.handed.popleft()[1]()
            self.clear_up()

    def is_open(self) -> bool:
        """True if the loop is there, and not closed."""
        loop = self.loop()
        return loop is not None and not loop.is_closed()

    def forget(self) -> None:
        """Begin the figures anew."""
        self.figures.forget()
        for by_name in self.series.values():
            by_name.clear()
        self.sites.clear()

    def decide(self) -> None:
        """Tell a real loop's clock from a virtual one, by its rate; another origin is no matter.

        A virtual clock stands still while code runs, or goes on at a rate of its own, and a real one goes on as time
        does, so that some readings tell as the state is made. A clock that the loop reads once a turn is told by how
        far it has come when a timer is armed or rests; until then durations are the clock's, which is right for both,
        and no timer lingers, since who replaces the clock looks at what is scheduled on it. Nobody waits for it.
        """
        shown, passed = self._gone()
        if max(shown, passed) >= _SHOWN:
            self.undecided = False
            if _alike(shown, passed):
                self._is_real()

    def _goes_on(self) -> bool:
        """True if the clock goes on while code runs, as fast as time does. False, too, if the machine pauses here."""
        for _ in range(10_000):  # no more: somebody may have time stand still
            shown, passed = self._gone()
            if passed >= _READINGS:
                return _alike(shown, passed)
        return False

    def _gone(self) -> tuple[float, float]:
        """Seconds since the state was made: by the loop's clock, and in truth."""
        return self.clock() - self._since[0], time.monotonic() - self._since[1]

    def _is_real(self) -> None:
        self.undecided = False
        origin = self.clock() - time.monotonic()
        self.stopwatch = time.monotonic if abs(origin) < 1e-3 else lambda: time.monotonic() + origin
        self.timed_apart = True
        self._linger = LINGER

    def clear_up(self) -> None:
        """Leave the `pending` timeouts, and count those of `unwinding` that were dropped before they were left."""
        if get_ident() != self.thread and self.is_open():
            self.soon(self.clear_up)
            return
        while self.pending:
            entry = next(iter(self.pending))
            entry._clear_up()
            self.pending.pop(entry, None)  # not before: what breaks this off is done again
        self.unwinding.count_dropped()

    def read_anew(self, at: float) -> float:
        loop = self._open_loop()
        if loop.time() + self.resolution >= at:  # else its timers are early, by a rounding of its own
            self.clock = self.stopwatch = lambda: loop.time()  # noqa: PLW0108  # what stands there as it is asked
            self.timed_apart = False
        return self.clock()

    def rest(self) -> None:
        if self.pending or self.unwinding:
            self.clear_up()
        if self.undecided:
            self.decide()
        super().rest()


def _alike(shown: float, passed: float) -> bool:
    return abs(shown - passed) < 0.1 * passed


def state_of(loop: asyncio.AbstractEventLoop) -> LoopState:
    """The state of `loop`, made at first use. It is an attribute of the loop: 5 ns to read, and it goes with it."""
    try:
        return loop._tracedtimeout  # type: ignore[attr-defined,no-any-return]  # ours, on a foreign object
    except AttributeError:
        state = LoopState(loop)
        loop._tracedtimeout = state  # type: ignore[attr-defined]  # as above
        return state


def states() -> list[LoopState]:
    """The states of the loops that are alive. Safe in any thread."""
    return _process.writers()


def forget_after_fork() -> None:
    """In the child of a fork: the loops of the parent are not its own."""
    for state in states():
        state.forked = True
        state.move()  # no exit takes the short way
        loop = state.loop()
        if loop is not None:
            with contextlib.suppress(AttributeError):
                del loop._tracedtimeout  # type: ignore[attr-defined]  # as in `state_of`
    _process.forked()

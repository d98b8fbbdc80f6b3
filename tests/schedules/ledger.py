"""The user's own books: what he saw of each timeout and cancellation, and what must hold whatever the schedule."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Self

import tracedtimeout
from tests.core.programs import AnyTimeout, Library
from tests.core.virtual import VirtualLoop
from tracedtimeout._core._link import EXPIRING
from tracedtimeout._core.figures import _metrics, _process

from .turns import Turns

around: ContextVar[Watched | None] = ContextVar("around", default=None)
"""The innermost timeout here, by the books."""


@dataclass
class Ledger:
    """What one run showed, and what was wrong with it."""

    turns: Turns
    faults: list[str] = field(default_factory=list)
    tasks: list[Audited] = field(default_factory=list)
    opened: int = 0
    closed: int = 0
    expired: int = 0
    """Those that raised DeadlineExceeded for their own deadline."""
    exits: int = 0
    overdue: int = 0
    """Those that were left after their deadline, and had not fired."""
    alone: bool = True
    """There is one loop, so that at each exit everything has been counted."""

    def fault(self, what: str) -> None:
        if what not in self.faults:
            self.faults.append(what)

    def left(self) -> None:
        """One more is left: it is counted as it is."""
        self.closed += 1
        self.exits += 1
        if self.alone and self.exits % 4 == 1 and (counted := figures()[0]) != self.closed:
            self.fault(
                "an exit is counted after it, or twice" if counted < self.closed else "counted before it is left"
            )

    def settle(self, *, blocked: bool) -> None:
        """What must hold at the end; where a callback `blocked` a loop, timers may have been late."""
        closed, expired, active, lag = figures()
        if self.opened != self.closed:
            self.fault("a timeout that was entered is never left")
        if closed != self.closed:
            self.fault("exits and counted exits differ")
        if expired != self.expired:
            self.fault("expiries and counted expiries differ")
        if active:
            self.fault("`active` is not 0 at the end")
        if lag and not blocked:
            self.fault("a timer ran late though nobody blocked the loop")
        if self.overdue and not blocked:
            self.fault("a timer never ran though nobody blocked the loop")
        for task in self.tasks:
            if task.ours_cancelled != task.ours_uncancelled:
                self.fault("a cancellation of ours is never taken back")
            if not task.done():
                self.fault("a task waits for ever")

    def library(self, inner: Library, prefix: str) -> Library:
        """`inner`, with everything written down."""

        def wait_for(awaitable: Awaitable[Any], delay: float | None, name: str) -> Any:
            return self._wait_for(inner, awaitable, delay, prefix + name)

        return Library(
            timeout=lambda delay, name: Watched(inner.timeout(delay, prefix + name), prefix + name, self),
            timeout_at=lambda when, name: Watched(inner.timeout_at(when, prefix + name), prefix + name, self),
            wait_for=wait_for,
            detach=_detach,
            budget=inner.budget,
            owners=True,
        )

    def reserved(self, delay: float | None, reserve: float, name: str) -> AnyTimeout:
        return Watched(tracedtimeout.timeout(delay, name=name, reserve=reserve), name, self)

    async def _wait_for(self, inner: Library, awaitable: Awaitable[Any], delay: float | None, name: str) -> Any:
        self.opened += 1
        outer = around.get()
        around.set(None)  # what is opened in there is beneath one of which nothing is known here
        try:
            return await inner.wait_for(awaitable, delay, name)
        except tracedtimeout.DeadlineExceeded as exc:
            own = exc.name == exc.owner == name  # asks the core, where the thread may be put aside
            self.expired += own
            raise
        finally:
            around.set(outer)
            self.left()


class Watched:
    """A timeout whose user writes everything down."""

    def __init__(self, inner: AnyTimeout, name: str, ledger: Ledger) -> None:
        self._inner = inner
        self._name = name
        self._ledger = ledger
        self._around: Watched | None = None
        self.live = False
        self._since = 0.0
        """When it was entered, or last moved."""

    def when(self) -> float | None:
        return self._inner.when()

    def reschedule(self, when: float | None) -> None:
        self._inner.reschedule(when)
        self._since = asyncio.get_running_loop().time()
        self._look()

    def expired(self) -> bool:
        return self._inner.expired()

    def __repr__(self) -> str:
        return repr(self._inner)

    async def __aenter__(self) -> Self:
        self._around = around.get()
        await self._inner.__aenter__()
        self._ledger.opened += 1
        self.live = True
        self._since = asyncio.get_running_loop().time()
        around.set(self)
        self._look()
        return self

    async def __aexit__(self, kind: object, exc: BaseException | None, tb: object) -> None:
        self._look()
        self.live = False
        around.set(self._around)
        when, now = self.when(), asyncio.get_running_loop().time()
        if when is not None and now > max(when, self._last_moved()) and not self.expired():
            self._ledger.overdue += 1  # time passes when all have had their turn
        try:
            await self._inner.__aexit__(kind, exc, tb)  # type: ignore[arg-type]  # handed on as it is
        except tracedtimeout.DeadlineExceeded as raised:
            own = raised is not exc and raised.owner == self._name
            self._ledger.expired += own
            if own and (when is None or when > now):
                self._ledger.fault("expired before its deadline")
            raise
        finally:
            self._ledger.left()

    def deadline(self) -> float | None:
        timeout: Any = getattr(self._inner, "_timeout", self._inner)
        deadline: float | None = timeout.deadline()
        return deadline

    def _look(self) -> None:
        turns = self._ledger.turns
        turns.still = True
        self._compare()
        turns.still = False

    def _compare(self) -> None:
        """No deadline is later than that of one around it, whatever its loop, that still binds.

        Not so beneath one that has fired: to its own loop that binds nothing new, to another's it is spent.
        """
        outer = self._around
        while outer is not None and not (outer.live and not outer.expired()):
            outer = outer._around
        if outer is None or self.expired() or outer._beneath_fired():
            return
        mine, its = self.deadline(), outer.deadline()
        loops = [each._loop() for each in (self, outer)]
        if its is not None and None not in loops:
            its += loops[0].time() - loops[1].time()
            if mine is None or mine > its:
                self._ledger.fault("a deadline is later than the one around it")

    def _beneath_fired(self) -> bool:
        """True if one around it has fired, that of a `wait_for` included, of which the books know nothing."""
        timeout: Any = getattr(self._inner, "_timeout", self._inner)
        link = timeout._parent
        while link is not None and link._state is not EXPIRING:
            link = link._parent
        return link is not None

    def _last_moved(self) -> float:
        """When it was entered or moved, or one around it, of which it may leave a reserve."""
        link: Watched | None = self
        latest = 0.0
        while link is not None:
            latest, link = max(latest, link._since), link._around
        return latest

    def _loop(self) -> Any:
        timeout: Any = getattr(self._inner, "_timeout", self._inner)
        return timeout._here.loop()


@contextmanager
def _detach() -> Iterator[None]:
    outer = around.get()
    around.set(None)
    try:
        with tracedtimeout.detach():
            yield
    finally:
        around.set(outer)


class Audited(asyncio.Task[Any]):
    """A task that counts how often the package cancels it, and takes that back."""

    ledger: Ledger

    def __init__(self, coro: Any, *, loop: asyncio.AbstractEventLoop, name: str | None = None, **options: Any) -> None:
        assert isinstance(loop, VirtualLoop)
        loop.created += 1
        self.number = loop.created
        self.ours_cancelled = self.ours_uncancelled = 0
        self.ledger = loop.ledger  # type: ignore[attr-defined]  # put there by `play`
        self.ledger.tasks.append(self)
        super().__init__(coro, loop=loop, name=name or f"nobody's {self.number}", **options)

    def __hash__(self) -> int:
        return self.number

    def cancel(self, msg: Any = None) -> bool:
        self.ours_cancelled += _is_ours(sys._getframe(1).f_globals["__name__"])  # of a task that is done as well
        return super().cancel(msg)

    def uncancel(self) -> int:
        self.ours_uncancelled += _is_ours(sys._getframe(1).f_globals["__name__"])
        if self.ours_uncancelled > self.ours_cancelled:
            self.ledger.fault("a cancellation is taken back that is not ours")
        return super().uncancel()


def _is_ours(module: str) -> bool:
    """Whether a timer of ours is at work: `wait_for` without time cancels what it is given, and for good."""
    return module.startswith("tracedtimeout.") and not module.endswith("._wait_for")


def figures() -> tuple[int, int, int, float]:
    """Exits, expiries, those open and the seconds that timers were late, as the package counts them."""
    table = _process.snapshot()
    exits = {labels: sum(each.counts) for labels, each in _histograms(table.get(_metrics.DURATION, {}))}
    lag = sum(each.total for _, each in _histograms(table.get(_metrics.TIMER_LAG, {})))
    active = sum(each for each in table.get(_metrics.ACTIVE, {}).values() if isinstance(each, int))
    return sum(exits.values()), sum(exits[each] for each in exits if each[-1] == "expired"), active, lag


def _histograms(values: dict[_process.Labels, _process.Value]) -> list[tuple[_process.Labels, _process.Histogram]]:
    return [(labels, each) for labels, each in values.items() if isinstance(each, _process.Histogram)]

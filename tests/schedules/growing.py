"""Random programs by a seed: those of tests/core, and work that is given to the loop of another thread."""

from __future__ import annotations

import asyncio
import contextvars
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

from tests.core import statements as p
from tests.core.programs import AnyTimeout, Body, Here, Program, Trace

from .turns import Loop

DELAYS = (1.0, 2.0, 3.0, 0.0, 4.0, 0.5, 2.0009765625, 6.0)
"""Sums of powers of two: exact on every loop's clock, whatever its origin."""
LIMITS = (1.0, 2.0, 3.0, 0.0, 0.5, 2.0009765625, -1.0, None)

_CAUGHT: tuple[Literal["CancelledError", "TimeoutError", "Exception", "BaseException"], ...]
_CAUGHT = ("CancelledError", "TimeoutError", "Exception", "BaseException")
_THEN: tuple[Literal["swallow", "raise", "replace"], ...] = ("swallow", "raise", "replace")


class SpreadTrace(Trace):
    """The trace of one loop of several; `others` are those of the other threads."""

    loop: Loop
    others: list[SpreadTrace]
    reserved: Callable[[float | None, float, str], AnyTimeout]
    """Makes a timeout of so many seconds, and no less than so many before the deadline around it."""


@dataclass(frozen=True)
class Elsewhere:
    """Run `child` on another thread's loop, in a copy of this context; wait for it, or go on."""

    child: Body
    awaited: bool
    which: int

    async def run(self, here: Here) -> None:
        trace = cast(SpreadTrace, here.trace)
        other = trace.others[self.which % len(trace.others)]
        context = contextvars.copy_context()
        ended = trace.loop.create_future()
        started: list[asyncio.Task[None]] = []

        def start() -> None:
            task = replace(here, trace=other, timeouts=(), tasks=()).start(self.child)
            started.append(task)
            task.add_done_callback(lambda _: trace.loop.call_soon_threadsafe(_end, ended))

        other.loop.call_soon_threadsafe(start, context=context)
        if self.awaited:
            try:
                await ended
            except asyncio.CancelledError:
                other.loop.call_soon_threadsafe(lambda: [task.cancel() for task in started])
                raise


@dataclass(frozen=True)
class Reserved:
    """A timeout that leaves some seconds of the one around it."""

    delay: float | None
    reserve: float
    body: Body

    async def run(self, here: Here) -> None:
        trace = cast(SpreadTrace, here.trace)
        timeout = trace.reserved(self.delay, self.reserve, trace.name())
        trace.timeouts.append(timeout)
        async with timeout:
            await replace(here, timeouts=(timeout, *here.timeouts)).body(self.body)


def _end(future: asyncio.Future[Any]) -> None:
    if not future.done():
        future.set_result(None)


def grow(rng: random.Random, *, spread: bool, depth: int = 3) -> Body:
    """A program; `spread` over several loops."""
    return _Grower(rng, spread=spread).body(depth)


class _Grower:
    def __init__(self, rng: random.Random, *, spread: bool) -> None:
        self._rng = rng
        self._spread = spread

    def body(self, depth: int) -> Body:
        return tuple(self._statement(depth) for _ in range(self._rng.choice((1, 1, 2, 3))))

    def _statement(self, depth: int) -> Program:
        rng = self._rng
        if depth <= 0 or rng.random() < 0.2:
            return self._leaf()
        if self._spread and rng.random() < 0.25:
            return Elsewhere(self._lasting(depth), rng.random() < 0.5, rng.randrange(8))
        return self._compound(depth)

    def _leaf(self) -> Program:
        rng = self._rng
        kind = rng.choices(("sleep", "raise", "move", "cancel", "block"), (9, 1, 2, 1, 1))[0]
        if kind == "raise":
            return p.Raise(rng.choice(("ValueError", "TimeoutError", "CancelledError", "Cancelled")))
        if kind == "move":
            return p.Reschedule(rng.randrange(3), rng.choice(LIMITS))
        if kind == "cancel":
            return p.Cancel(rng.randrange(3), rng.choice(LIMITS))
        return p.Block(rng.choice(DELAYS)) if kind == "block" else p.Sleep(rng.choice(DELAYS))

    def _compound(self, depth: int) -> Program:
        rng, body = self._rng, self.body
        limit = rng.choice(LIMITS)
        inner = depth - 1
        kind = rng.randrange(17)
        if kind < 5:
            within = p.Within(limit, body(inner), rng.random() < 0.3)
            return within if kind < 2 else self._caught(within, inner)
        if kind == 5:
            return p.WaitFor(limit, body(inner), rng.random() < 0.3)
        if kind == 6:
            return p.Try(body(inner), rng.choice(_CAUGHT), body(0), rng.choice(_THEN), rng.random() < 0.2)
        if kind == 7:
            return p.Finally(body(inner), body(0))
        if kind == 8:
            return p.Iterate(limit, body(0), body(inner), body(0), rng.choice(("finish", "close", "drop")))
        if kind == 9:
            return p.Step((limit, rng.choice(LIMITS)), body(0), rng.random() < 0.5)
        if kind == 10:
            return p.Group(self._children(inner), body(0))
        if kind == 16:
            return p.Gather(self._children(inner), rng.random() < 0.5, rng.random() < 0.5)
        if kind == 11:
            return self._caught(Reserved(limit, rng.choice(DELAYS), body(inner)), inner)
        if kind == 12:
            return rng.choice((p.Detach(body(inner)), p.Bare(rng.choice(DELAYS), body(inner))))
        start = rng.choice((p.Spawn, p.Shield, p.Await))
        if rng.random() < 0.2:  # soon left, and outlived
            return p.Bare(rng.choice(DELAYS), (start(self._lasting(inner)), p.Sleep(0.0)))
        return self._caught(p.Within(limit, (start(self._lasting(inner)), *body(0), p.Sleep(4.0))), inner)

    def _children(self, depth: int) -> tuple[Body, ...]:
        return tuple(self.body(depth) for _ in range(self._rng.choice((1, 2, 3))))

    def _lasting(self, depth: int) -> Body:
        """A timeout that outlasts most of those around it."""
        limit = self._rng.choice(LIMITS)
        return (self._caught(p.Within(limit, (*self.body(depth - 1), p.Sleep(3.0), p.Sleep(8.0))), 0),)

    def _caught(self, statement: Program, depth: int) -> Program:
        return p.Try((statement,), "TimeoutError", self.body(min(depth, 1)), "swallow")

"""Plays one seed: a program, the loops that it runs on, and the order in which all of it takes turns."""

from __future__ import annotations

import gc
import logging
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from tests.core.programs import Event, Here
from tests.core.reference import DIRECT, OURS_NAMED
from tracedtimeout._core import _names
from tracedtimeout._core._loop import state_of
from tracedtimeout._core.figures import _process

from .growing import SpreadTrace, grow
from .ledger import Audited, Ledger, figures
from .turns import Loop, LoopPlayer, Player, Turns

LOOPS = (1, 1, 1, 2)
"""How many loops, and threads, a seed has."""

READINGS = 5
"""How often a thread of its own reads the figures while the others run."""


def play(seed: int, loops: int | None = None) -> list[str]:
    """What was wrong in the run of `seed`."""
    rng = random.Random(seed)
    return Run(rng, loops or rng.choice(LOOPS)).faults()


def trace_of(seed: int, loops: int) -> list[list[Event]]:
    """The events of the run of `seed`, loop by loop."""
    with quietly():
        run = Run(random.Random(seed), loops)
        run.faults()
    return [trace.events for trace in run.traces]


class Run:
    """One program under one schedule."""

    def __init__(self, rng: random.Random, loops: int) -> None:
        self.turns = Turns(rng)
        self.ledger = Ledger(self.turns, alone=loops == 1)
        self.library = rng.choice((OURS_NAMED, OURS_NAMED, DIRECT))
        self.eager = sys.version_info >= (3, 12) and rng.random() < 0.2
        self.traces = [self._trace(number) for number in range(loops)]
        for trace in self.traces:
            trace.reserved = self.ledger.reserved
            trace.others = [other for other in self.traces if other is not trace]
        self.programs = [grow(rng, spread=loops > 1) for _ in self.traces]

    def faults(self) -> list[str]:
        if not self.ledger.alone:
            gc.collect()  # what is left of loops before this one would be read, line by line, as well
        _process.reset()
        _names.known.clear()
        with _hook(self.ledger):
            for trace, program in zip(self.traces, self.programs, strict=True):
                trace.loop.call_soon(Here(trace).start, program)
            if len(self.traces) == 1:
                self._run(self.traces[0].loop)
            else:
                self._in_threads()
            for trace in self.traces:
                self._look_for_what_is_left(trace.loop)
            self.ledger.settle(blocked=any(trace.loop.blocked for trace in self.traces))
            for trace in self.traces:
                trace.loop.close()
        return self.ledger.faults

    def _trace(self, number: int) -> SpreadTrace:
        loop: Any = Loop(self.turns, 1024.0 * number)
        loop.ledger = self.ledger
        eager = {"eager_start": True} if self.eager else {}
        loop.set_task_factory(lambda loop, coro, **options: Audited(coro, loop=loop, **eager | options))
        loop.set_exception_handler(self._reported)
        return SpreadTrace(self.ledger.library(self.library, f"{number}:"), loop)

    def _in_threads(self) -> None:
        for trace in self.traces:
            LoopPlayer(self.turns, trace.loop, partial(self._run, trace.loop))
        Player(self.turns, self._read)
        self.turns.play()
        for player in self.turns.players:
            if player.error is not None:
                self.ledger.fault(f"a thread ends with {player.error!r}")

    def _run(self, loop: Loop) -> None:
        """Run a loop, in its thread. That it is virtual is said: real clocks are read to find it out otherwise, which
        no seed could repeat."""
        self.turns.still = True
        state_of(loop).undecided = False
        self.turns.still = False
        loop.run_forever()

    def _read(self) -> None:
        """A scrape, in a thread of its own: no more is counted than has happened, and nothing raises."""
        me = self.turns.runs
        assert me is not None
        for _ in range(READINGS):
            before = self.ledger.closed
            counted = figures()[0]
            if not before <= counted <= self.ledger.opened:
                self.ledger.fault("a reader sees more, or less, than has happened")
            self.turns.switch(me)

    def _reported(self, loop: Any, context: dict[str, Any]) -> None:
        exc, seen = context.get("exception"), context["message"]
        if seen.startswith("Exception in callback"):
            self.ledger.fault(f"a callback raises {exc!r}")

    def _look_for_what_is_left(self, loop: Any) -> None:
        here = state_of(loop)
        if here.entries() or here.pending or here.unwinding:
            self.ledger.fault("the core still holds a timeout")
        if loop.pending_timers() or loop._ready:
            self.ledger.fault("something is left to run")


@contextmanager
def _hook(ledger: Ledger) -> Iterator[None]:
    """What nobody can catch is a fault as well."""
    old = sys.unraisablehook
    sys.unraisablehook = lambda args: ledger.fault(f"nobody can catch {args.exc_value!r}")
    try:
        yield
    finally:
        sys.unraisablehook = old


@contextmanager
def quietly() -> Iterator[None]:
    """No log of what the programs do, and no collection but between them: it would come where no seed puts it."""
    logging.disable()
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()
        logging.disable(logging.NOTSET)


def faults(seeds: range, loops: int | None = None) -> Iterator[tuple[int, list[str]]]:
    """Those of `seeds` in whose run something was wrong, and what."""
    with quietly():
        for number, seed in enumerate(seeds):
            if found := play(seed, loops):
                yield seed, found
            if number % 100 == 99:
                gc.collect()

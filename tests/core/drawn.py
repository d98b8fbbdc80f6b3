"""Random programs drawn by seed, held against asyncio: a hundred thousand take some minutes.

python -m tests.core.drawn                        # 100,000
python -m tests.core.drawn --first 7 --count 1    # the program of one seed

Hypothesis looks for programs of another sort each time, and makes those that fail smaller, at 5 to 30 ms a program.
"""

from __future__ import annotations

import argparse
import logging
import random
import sys
from collections.abc import Iterator
from typing import Literal, get_args

from . import statements as p
from .programs import Body, Program
from .reference import ASYNCIO, DIRECT, OURS
from .test_differential import agree

DELAYS = (1.0, 2.0, 3.0, 0.0, 4.0, 0.5, 2.0004, 6.0)
LIMITS = (1.0, 2.0, 3.0, 0.0, 0.5, 2.0004, -1.0, None)
Caught = Literal["CancelledError", "TimeoutError", "Exception", "BaseException"]
CAUGHT: tuple[Caught, ...] = get_args(Caught)
Then = Literal["swallow", "raise", "replace"]
THEN: tuple[Then, ...] = get_args(Then)
End = Literal["finish", "close", "drop"]
ENDS: tuple[End, ...] = (*get_args(End), "drop")
DEPTH = 3

Kind = Literal["one task", "awaited children", "broken off"]
KINDS: tuple[Kind, ...] = ("one task", "awaited children", "awaited children", "broken off")
"""By the remainder of the seed."""


class Draw:
    """The program of a seed."""

    def __init__(self, seed: int) -> None:
        self.kind = KINDS[seed % len(KINDS)]
        self.direct = seed % 16 == 1
        """Entered and left by plain calls, as doors do."""
        self.eager = seed % 8 == 2 and sys.version_info >= (3, 12)
        self._dice = random.Random(seed)
        self.program = self._body(DEPTH)

    def _body(self, depth: int) -> Body:
        return tuple(self._statement(depth) for _ in range(self._dice.choice((1, 1, 2, 2, 3))))

    def _bodies(self, depth: int) -> tuple[Body, ...]:
        return tuple(self._body(depth) for _ in range(self._dice.choice((1, 2, 2, 3))))

    def _limit(self) -> float | None:
        return self._dice.choice(LIMITS)

    def _leaf(self) -> Program:
        dice = self._dice
        sort = dice.random()
        if sort < 0.6:
            return p.Sleep(dice.choice(DELAYS))
        if sort < 0.67:
            return p.Raise(dice.choice(("ValueError", "TimeoutError", "CancelledError", "Cancelled")))
        if sort < 0.83:
            return p.Reschedule(dice.randrange(3), self._limit())
        if sort < 0.92:
            return p.Cancel(dice.randrange(3), self._limit())
        return p.Block(dice.choice(DELAYS))

    def _statement(self, depth: int) -> Program:
        dice = self._dice
        if depth <= 0 or dice.random() < 0.25:
            return self._leaf()
        sorts = ["within"] * 4 + ["caught", "caught wait", "wait", "try", "finally"]
        if self.kind == "awaited children":
            sorts += ["group", "gather", "await", "wait for a task"] * 2
        if self.kind == "broken off":
            sorts += ["iterate", "iterate", "caught iterate", "step"]
        sort = dice.choice(sorts)
        made = self._compound(sort.removeprefix("caught").strip() or "within", depth - 1)
        return p.Try((made,), "TimeoutError", self._body(depth - 1), "swallow") if sort.startswith("caught") else made

    def _compound(self, sort: str, depth: int) -> Program:
        dice = self._dice
        match sort:
            case "within":
                return p.Within(self._limit(), self._body(depth), dice.random() < 0.3)
            case "wait":
                return p.WaitFor(self._limit(), self._body(depth))
            case "wait for a task":
                return p.WaitFor(self._limit(), self._body(depth), True)
            case "try":
                then = dice.choice(THEN)
                return p.Try(self._body(depth), dice.choice(CAUGHT), self._body(depth), then, dice.random() < 0.3)
            case "finally":
                return p.Finally(self._body(depth), self._body(depth))
            case "group":
                return p.Group(self._bodies(depth), self._body(depth))
            case "gather":
                return p.Gather(self._bodies(depth), dice.random() < 0.5)
            case "await":
                return p.Await(self._body(depth))
            case "iterate":
                bodies = self._body(depth), self._body(depth), self._body(depth)
                return p.Iterate(self._limit(), *bodies, dice.choice(ENDS))
            case _:
                moves = tuple(self._limit() for _ in range(dice.choice((1, 2, 3))))
                return p.Step(moves, self._body(depth), dice.random() < 0.5)


def differing(seeds: range) -> Iterator[str]:
    """A line for each seed whose program shows something else than asyncio's."""
    for seed in seeds:
        drawn = Draw(seed)
        try:
            agree(drawn.program, DIRECT if drawn.direct else OURS, ASYNCIO, eager=drawn.eager)
        except AssertionError:
            yield f"seed {seed}: {drawn.kind}{', eager' * drawn.eager}{', direct' * drawn.direct}: {drawn.program!r}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.core.drawn", description="Random programs against asyncio.")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--count", type=int, default=100_000, help="programs")
    chosen = parser.parse_args()
    logging.disable()
    found = 0
    for line in differing(range(chosen.first, chosen.first + chosen.count)):
        print(line, flush=True)
        found += 1
    print(f"Python {sys.version.split()[0]}: {chosen.count} programs, {found} show something else than asyncio's")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())

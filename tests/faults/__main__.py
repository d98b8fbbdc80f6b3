"""Prints what the tests of this folder look at: ours beside bare asyncio's.

python -m tests.faults                  # some minutes: in each scene, every line the first time and the last
python -m tests.faults --few            # as in the tests
python -m tests.faults --always         # every line each time that it is come to
python -m tests.faults --real           # on the real clock: two seconds a strike, so name some scenes
python -m tests.faults interrupt child  # only these strikes, or these scenes
python -m tests.faults observed 50      # so many random programs under each observer that raises or meddles
"""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from typing import get_args

from .batch import Clock, Often, Report, Who, run
from .growth import CASES, cost
from .libraries import LIBRARIES
from .observed import ACTS, MOMENTS, changes
from .recursion import WAYS, after_exhaustion
from .scenes import SCENES
from .trial import How

WHO: tuple[Who, ...] = get_args(Who)
HOWS: tuple[How, ...] = get_args(How)
SIZES = (40, 400)
OFFSETS = 32


def main(*arguments: str) -> None:
    logging.disable()
    print(f"Python {sys.version.split()[0]}")
    counts = filter(str.isdigit, arguments)
    parts: dict[str, Callable[[], None]] = {
        "growth": growth, "recursion": recursion, "observed": partial(observed, *counts)
    }  # fmt: skip
    chosen = [part for part in parts if part in arguments]
    if not chosen:
        every_line(arguments)
    for part in chosen or (parts if not arguments else ()):
        parts[part]()


def every_line(arguments: Sequence[str]) -> None:
    hows = [how for how in HOWS if how in arguments] or HOWS
    scenes = tuple(scene for scene in SCENES if scene in arguments) or tuple(SCENES)
    clock: Clock = "real" if "--real" in arguments else "virtual"
    often: Often = "few" if "--few" in arguments else "always" if "--always" in arguments else "twice"
    for how in hows:
        reports = {who: run(who, how, scenes, clock, often) for who in WHO}
        print(f"\n{how}, {clock} clock: lines, strikes, strikes that left something; ours, then asyncio's")
        for ours, theirs in zip(reports["ours"], reports["asyncio"], strict=True):
            print(f"  {ours.scene:20}" + "   ".join(_figures(each) for each in (ours, theirs)))
        for who, found in reports.items():
            _summary(who, found)


def growth() -> None:
    print(f"\ninstructions of a step beside {', '.join(map(str, SIZES))} others: ours, then asyncio's")
    for name, case in CASES.items():
        rows = ["".join(f"{cost(case, who, size):9.0f}" for size in SIZES) for who in WHO]
        print(f"  {name:26}" + "   ".join(rows), flush=True)


def recursion() -> None:
    print(f"\nwhat {OFFSETS} exhausted stacks leave: ours, then asyncio's")
    for name, way in WAYS.items():
        left = {who: Counter[str]() for who in WHO}
        for who, offset in product(WHO, range(OFFSETS)):
            left[who].update(after_exhaustion(LIBRARIES[who], way, offset))
        rows = [", ".join(f"{times} x {what}" for what, times in each.items()) or "nothing" for each in left.values()]
        print(f"  {name:26}" + "   ".join(rows), flush=True)


def observed(count: str = "100") -> None:
    """Random programs under each observer."""
    lines = list(changes(int(count)))
    print("\n".join(lines))
    print(f"{len(MOMENTS) * len(ACTS)} observers, {count} programs under each: {len(lines)} differ from asyncio's")


def _figures(report: Report) -> str:
    return f"{report.lines:4}{report.events:5}{report.trials_left:5}"


def _summary(who: str, reports: list[Report]) -> None:
    lines, events, left = (
        sum(getattr(report, what) for report in reports) for what in ("lines", "events", "trials_left")
    )
    print(f"  {who}: {lines} lines, {events} strikes, {left} left something")
    within: Counter[str] = Counter()
    at_calls: Counter[str] = Counter()
    for report in reports:
        within += report.within
        at_calls += report.at_calls
    for what in sorted(within | at_calls, key=lambda what: -within[what] - at_calls[what]):
        example = next(report.examples[what] for report in reports if what in report.examples)
        print(f"    {within[what]:5} + {at_calls[what]} at calls: {what}, as at {example}")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""The costs of another commit beside those of this tree: both in one process, in turns, each beside asyncio.

    python -m benchmarks.before v0.9           # any name that git knows
    python -m benchmarks.before main~20 --quick

Both with the hot path in Python. The programs are this tree's, and run on either: what a program needs that the other
commit has not is said, and left out. A ratio below 1 in the last column is a gain.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import io
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ._measure import Program, in_turns

ROOT = Path(__file__).parent.parent
PACKAGE = "tracedtimeout"
PROGRAMS = f"{__package__}._programs"


class Row(NamedTuple):
    """A line of the table: bare asyncio's program and ours, from the module of programs of one side."""

    what: str
    bare: Callable[[Any], Program]
    ours: Callable[[Any], Program]
    times: int = 500
    fewer: int = 1
    """A part of the turns."""


ROWS = [
    Row("one, named", lambda p: p.bare, lambda p: p.named),
    Row("one, default name", lambda p: p.bare, lambda p: p.default_name),
    Row("three nested, falling limits", lambda p: p.bare_nested, lambda p: p.nested, 200),
    Row("three nested, rising limits", lambda p: p.bare_rising, lambda p: p.rising, 200),
    Row("`wait_for` of a coroutine", lambda p: p.bare_wait_for, lambda p: p.wait_for),
    Row("one in a child task of another's", lambda p: p.bare_in_a_child_task, lambda p: p.in_a_child_task),
    Row("another limit each time", lambda p: p.bare_each_another, lambda p: p.each_another),
    Row("`timeout(None)`", lambda p: p.bare_unlimited, lambda p: p.unlimited),
    Row("an expiry", lambda p: p.expiring(asyncio.timeout), lambda p: p.expiring(p.make), 100),
    Row("an expiry, two others inside", lambda p: p.expiring(asyncio.timeout, 2), lambda p: p.expiring(p.make, 2), 100),
    Row("10,000 expire in one tick", lambda p: p.storm(asyncio.timeout), lambda p: p.storm(p.make), 10_000, 8),
    Row("one of 20 nested", lambda p: p.deep(asyncio.timeout, 20), lambda p: p.deep(p.make, 20), 400),
    Row("one of 200 nested", lambda p: p.deep(asyncio.timeout, 200), lambda p: p.deep(p.make, 200), 400),
    Row("one of 1,000 tasks, ten in a row in each", lambda p: p.crowd(p.bare_task_of_ten, 0),
        lambda p: p.crowd(p.our_task_of_ten, 0), 1000, 2),
]  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.before", description="What a change costs.")
    parser.add_argument("commit", help="the commit to measure beside this tree")
    parser.add_argument("--quick", action="store_true", help="a quarter of the turns")
    chosen = parser.parse_args()
    os.environ["TRACEDTIMEOUT_NO_EXTENSIONS"] = "1"
    with tempfile.TemporaryDirectory() as elsewhere:
        unpack(chosen.commit, Path(elsewhere))
        sides = [programs_of(Path(elsewhere)), programs_of(ROOT)]
        print(f"| to asyncio's, on {sys.version.split()[0]} | {chosen.commit} | this tree | this to that |")
        print("|---|---|---|---|")
        for line in table(sides, 20 if chosen.quick else 80):
            print(line, flush=True)
    return 0


def unpack(commit: str, to: Path) -> None:
    """Put the package, as it was at `commit`, under `to`."""
    command = ["git", "-C", str(ROOT), "archive", commit, PACKAGE]
    packed = subprocess.run(command, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        tar.extractall(to, filter="data")


def programs_of(tree: Path) -> Any:
    """The programs, of this tree, over the package that is in `tree`: a module of their own each time."""
    for name in [*sys.modules]:
        if name == PROGRAMS or name.partition(".")[0] == PACKAGE:
            del sys.modules[name]
    sys.path.insert(0, str(tree))
    try:
        programs: Any = importlib.import_module(PROGRAMS)
        library = programs.tracedtimeout
        for name in library.__all__:
            getattr(library, name)  # some come as they are asked for, from where the path leads then
    finally:
        sys.path.remove(str(tree))
    assert Path(library.__file__).is_relative_to(tree), f"{PACKAGE} came from {library.__file__}"
    programs.make = lambda delay: library.timeout(delay, name="named")
    return programs


def table(sides: list[Any], turns: int) -> Iterator[str]:
    """The lines: the median over the turns of each side to asyncio, on a loop of its own, and of one to the other."""
    with asyncio.Runner() as before, asyncio.Runner() as after:
        for row in ROWS:
            programs = [
                (runner, make(side))
                for runner, side in ((before, sides[0]), (after, sides[1]))
                for make in (row.bare, row.ours)
            ]
            try:
                samples = in_turns(programs, row.times, turns=max(2, turns // row.fewer))
            except (AttributeError, TypeError) as exc:
                yield f"| {row.what} | not measured: {exc} | | |"
                continue
            before_it, after_it = [b / a for a, b, _, _ in samples], [d / c for _, _, c, d in samples]
            change = [d / b for _, b, _, d in samples]
            told = [f"{statistics.median(each):.2f}" for each in (before_it, after_it, change)]
            yield f"| {row.what} | {' | '.join(told)} |"


if __name__ == "__main__":
    raise SystemExit(main())

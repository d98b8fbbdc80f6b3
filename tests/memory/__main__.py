"""Runs one of them, as large as asked for, and prints a line for each thing it looked at; the status is 1 for a fault.

python -m tests.memory blocks 1000000            # that many timeouts of each kind
python -m tests.memory blocks 1000000 expired    # of these kinds
python -m tests.memory collected 2000            # the same with the garbage collector at threshold 1
python -m tests.memory loops 10000               # loops, made and dropped
python -m tests.memory failures 3                # each allocation of each kind fails, that often
python -m tests.memory interpreters              # other interpreters of this process
python -m tests.memory small                     # some of each in seconds, but no failures
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from tracedtimeout._core._hot import IMPLEMENTATION

from . import blocks, failures, interpreters


def found(what: str, arguments: list[str]) -> Iterator[str]:
    match what:
        case "blocks":
            yield from blocks.lines(int(arguments[0]), arguments[1:], 700)
        case "collected":
            yield from blocks.lines(int(arguments[0]), arguments[1:], 1)
        case "loops":
            yield f"loops: {blocks.over_loops(int(arguments[0]))}"
        case "failures":
            yield from failures.lines(int(arguments[0]), arguments[1:])
        case "interpreters":
            yield from interpreters.lines(3)
        case _:
            yield from blocks.lines(300, [], 700)
            yield from blocks.lines(10, [], 1)
            yield f"loops: {blocks.over_loops(15)}"
            yield from interpreters.lines(1)


def main() -> int:
    said = []
    for line in found(sys.argv[1], sys.argv[2:]):
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
        said.append(line)
    faults = [line for line in said if "LEAK" in line or "FAULT" in line]
    sys.stdout.write(f"{len(said)} looked at with the {IMPLEMENTATION} hot path, {len(faults)} at fault\n")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())

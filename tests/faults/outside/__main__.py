"""Prints what the parts find.

python -m tests.faults.outside                  # all parts, in the size that CI runs
python -m tests.faults.outside forks signals    # these
python -m tests.faults.outside signals --size 10000
python -m tests.faults.outside planted          # the faults that are planted, and how soon each is found
"""

from __future__ import annotations

import argparse
import sys

from .parts import PARTS, PLANTED, RUNS, find


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.outside", description="Faults from outside.")
    parser.add_argument("parts", nargs="*", choices=["all", *PARTS, "planted"], default="all")
    parser.add_argument("--size", type=int, help="how much of it, where that can be chosen")
    chosen = parser.parse_args()
    if "planted" in chosen.parts:
        return _planted()
    worst = 0
    for run in RUNS:
        if "all" in chosen.parts or run.module in chosen.parts:
            status, said = run(*([str(chosen.size)] if chosen.size else []))
            print(f"{run.name}: {said.strip()}" if not status else f"{run.name}, status {status}: {said.strip()}")
            sys.stdout.flush()
            worst = worst or status
    return worst


def _planted() -> int:
    found = {fault: find(fault) for fault in PLANTED}
    for fault, said in found.items():
        print(f"{fault}: {said or 'NOT FOUND'}")
    return not all(found.values())


if __name__ == "__main__":
    sys.exit(main())

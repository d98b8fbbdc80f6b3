"""Plays many seeds, and says what was wrong in which.

python -m tests.schedules                        # 10,000 seeds
python -m tests.schedules --seeds 1000000        # a night's worth
python -m tests.schedules --seed 4711            # this one
python -m tests.schedules --planted              # how soon each planted fault is found
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from .play import faults


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.schedules", description="Random programs and schedules.")
    parser.add_argument("--seeds", type=int, default=10_000, help="how many")
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--loops", type=int, help="how many loops each has, in place of one or two")
    chosen = parser.parse_args()
    seeds = range(chosen.seeds) if chosen.seed is None else range(chosen.seed, chosen.seed + 1)
    found: Counter[str] = Counter()
    example: dict[str, int] = {}
    begun = time.perf_counter()
    for seed, wrong in faults(seeds, chosen.loops):
        found.update(wrong)
        example = dict.fromkeys(wrong, seed) | example
    took = time.perf_counter() - begun
    print(f"Python {sys.version.split()[0]}: {len(seeds)} seeds in {took:.1f} s, {sum(found.values())} faults")
    for fault, times in found.most_common():
        print(f"{times:6} x {fault}, as with seed {example[fault]}")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())

"""Mutants of modules of the core, and whether their tests notice. Python 3.12 or later.

python -m tests.mutation _names _spent     # every mutant of these; of all that there are it takes an hour
python -m tests.mutation _lanes --every 5  # each fifth
python -m tests.mutation _lanes --only _tick  # those of this function
python -m tests.mutation _lanes --list     # only say what they are
python -m tests.mutation _lanes --after LOG  # but those that an earlier run, which printed that, saw killed; of one
                                             # that saw all of them nothing is run: what is explained by now is judged
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

from .mutants import Mutant
from .survivors import reason
from .targets import MODULES, TESTS
from .trying import mutants_of, try_all


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description="Do tests notice a changed core?")
    parser.add_argument("modules", nargs="*", default=MODULES, help=f"of {', '.join(MODULES)}; all if left out")
    parser.add_argument("--every", type=int, default=1, help="only each n-th mutant")
    parser.add_argument("--only", default="", help="only those whose text has this in it")
    parser.add_argument("--tests", nargs="*", default=TESTS, help="files and folders of tests to ask")
    parser.add_argument(
        "--after", type=Path, help="what an earlier run printed: who was killed, or is explained by now, is"
    )
    parser.add_argument("--list", action="store_true", help="only list them")
    asked = parser.parse_args()
    chosen = {
        module: [each for each in mutants_of(module) if asked.only in str(each)][:: asked.every]
        for module in asked.modules
    }
    if asked.list:
        print("\n".join(f"{module}.{mutant}" for module, made in chosen.items() for mutant in made))
        return 0
    return _tried(chosen, asked.tests, asked.after.read_text() if asked.after else "")


def _tried(chosen: dict[str, list[Mutant]], tests: list[str], earlier: str) -> int:
    seen = _seen(earlier)
    ends: dict[str, Counter[str]] = {module: Counter() for module in chosen}
    before: Counter[str] = Counter()
    anew: dict[str, list[Mutant]] = {module: [] for module in chosen}
    left = []

    for module, made in chosen.items():
        for mutant in made:
            end = seen.get(f"{module}.{mutant}", "")
            if end == "ALIVE" and reason(module, str(mutant)):
                end = "explained"
            if end in {"", "ALIVE"}:
                anew[module].append(mutant)
            else:
                ends[module][end] += 1
                before[module] += 1

    def say(module: str, mutant: Mutant, killer: str) -> None:
        end = "killed" if killer else "explained" if reason(module, str(mutant)) else "ALIVE"
        ends[module][end] += 1
        left.extend([f"{module}.{mutant}"] * (end == "ALIVE"))
        print(f"{end:9} {module}.{mutant}{f' ({killer})' if killer else ''}", flush=True)

    if any(anew.values()) and (failed := try_all(anew, say, tests)):
        print(f"mutants would tell nothing: {failed}")
        return 1
    print("".join(f"UNEXPLAINED {each}\n" for each in left), end="")
    for module, made in chosen.items():
        counts, known = ends[module], before[module]
        words = f"{counts['killed']} killed, {counts['explained']} explained, {counts['ALIVE']} neither"
        some = 0 < known < len(made)
        print(f"{module}: {len(made)} mutants, {words}{f'; {known} of them in an earlier run' if some else ''}")
    return bool(left)


def _seen(earlier: str) -> dict[str, str]:
    """How each mutant ended that an earlier run printed."""
    ends = {}
    for line in earlier.splitlines():
        end, _, mutant = line.partition(" ")
        if end in {"killed", "explained", "ALIVE"}:
            ends[mutant.strip().rpartition(" (")[0] if end == "killed" else mutant.strip()] = end
    return ends


if __name__ == "__main__":
    sys.exit(main())

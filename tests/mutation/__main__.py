"""Mutants of modules of the core, and whether their tests notice. Python 3.12 or later.

python -m tests.mutation _names _spent     # every mutant of these; of all that there are it takes an hour
python -m tests.mutation _lanes --every 5  # each fifth
python -m tests.mutation _lanes --only _tick  # those of this function
python -m tests.mutation _lanes --list     # only say what they are
python -m tests.mutation _lanes --after LOG  # but those that an earlier run, which printed that, saw killed
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
    parser.add_argument("--after", type=Path, help="what an earlier run printed: those that it saw killed are")
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
    killed = {" ".join(line.split()[1:]).rpartition(" (")[0] for line in earlier.splitlines() if line[:6] == "killed"}
    before = {
        module: [each for each in made if " ".join(f"{module}.{each}".split()) in killed]
        for module, made in chosen.items()
    }
    chosen = {module: [each for each in made if each not in before[module]] for module, made in chosen.items()}
    ends: dict[str, Counter[str]] = {module: Counter() for module in chosen}
    left = []

    def say(module: str, mutant: Mutant, killer: str) -> None:
        end = "killed" if killer else "explained" if reason(module, str(mutant)) else "ALIVE"
        ends[module][end] += 1
        left.extend([f"{module}.{mutant}"] * (end == "ALIVE"))
        print(f"{end:9} {module}.{mutant}{f' ({killer})' if killer else ''}", flush=True)

    if failed := try_all(chosen, say, tests):
        print(f"mutants would tell nothing: {failed}")
        return 1
    print("".join(f"UNEXPLAINED {each}\n" for each in left), end="")
    for module, made in chosen.items():
        end, known = ends[module], len(before[module])
        words = f"{end['killed'] + known} killed{f' ({known} by an earlier run)' if known else ''}"
        words += f", {end['explained']} explained, {end['ALIVE']} neither"
        print(f"{module}: {len(made) + known} mutants, {words}")
    return bool(left)


if __name__ == "__main__":
    sys.exit(main())

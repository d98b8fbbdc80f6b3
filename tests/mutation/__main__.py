"""Mutants of modules of the core, and whether their tests notice.

python -m tests.mutation _names _spent   # every mutant of these; an hour for all that there are
python -m tests.mutation _lanes --every 5  # each fifth
python -m tests.mutation _lanes --list   # only say what they are
"""

from __future__ import annotations

import argparse
import sys
import time

from .mutants import mutants
from .survivors import SURVIVORS
from .targets import TARGETS
from .trying import passes, preload, source_of


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description="Do tests notice a changed core?")
    parser.add_argument("modules", nargs="*", default=list(TARGETS), help=f"of {', '.join(TARGETS)}; all if left out")
    parser.add_argument("--every", type=int, default=1, help="only each n-th mutant")
    parser.add_argument("--list", action="store_true", help="only list them")
    chosen = parser.parse_args()
    preload()
    left = [f"{module}: {mutant}" for module in chosen.modules for mutant in survivors(module, chosen)]
    for each in left:
        print(f"UNEXPLAINED {each}")
    return bool(left)


def survivors(module: str, chosen: argparse.Namespace) -> list[str]:
    """Those mutants of `module` that no test notices and no reason explains."""
    source, tests = source_of(module), TARGETS[module]
    made = mutants(source)[:: chosen.every]
    if chosen.list:
        for mutant in made:
            print(mutant)
        return []
    begun = time.monotonic()
    passed, first = passes(module, source, tests)
    took = time.monotonic() - begun
    if not passed:
        print(f"{module}: the control fails, so mutants would tell nothing: {first}")
        return ["the control"]
    alive = []
    for mutant in made:
        passed, first = passes(module, mutant.source, tests)
        if passed:
            alive.append(str(mutant))
        print(f"{'ALIVE ' if passed else 'killed'} {module}.{mutant}{'' if passed else f' ({first})'}", flush=True)
    explained = [each for each in alive if each in SURVIVORS.get(module, {})]
    print(
        f"{module}: {len(made)} mutants, {len(made) - len(alive)} killed, {len(explained)} explained, "
        f"{len(alive) - len(explained)} neither; control {took:.0f} s, all {time.monotonic() - begun:.0f} s",
        flush=True,
    )
    return [each for each in alive if each not in explained]


if __name__ == "__main__":
    sys.exit(main())

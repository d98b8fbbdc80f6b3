"""Faults planted in the core, and how many seeds it takes to find each.

python -m tests.schedules.planted                      # all of them
python -m tests.schedules.planted "a double uncancel"  # this one
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.mutation.rewritten import rewrite

CORE = Path(__file__).parents[2] / "tracedtimeout" / "_core"

MOST = 2000
"""Seeds after which a fault is taken for one that is not found."""


@dataclass(frozen=True)
class Planted:
    """A fault as a change of the source; the pattern says where, in whichever module of the core it stands."""

    place: str
    pattern: str
    replacement: str
    loops: int | None = 1

    def modules(self) -> dict[str, int]:
        """How often the pattern stands in which modules."""
        found = {_module(path): len(re.findall(self.pattern, path.read_text())) for path in CORE.rglob("*.py")}
        return {module: times for module, times in found.items() if times}

    def plant(self) -> None:
        """Have this process import the core with the fault in it."""
        rewrite({module: partial(re.sub, self.pattern, self.replacement) for module in self.modules()})


def _module(path: Path) -> str:
    return ".".join(("tracedtimeout", "_core", *path.relative_to(CORE).with_suffix("").parts))


PLANTED = {
    "a double uncancel": Planted("cancellations", r"\btask\.uncancel\(\)", "(task.uncancel(), task.uncancel())[0]"),
    "a count made after a hand-over": Planted(
        "figures", r"(?m)^( +)_count\((self, here, ended, limit)\)$", r"\1here.soon(_count, \2)"
    ),
    "a tick that does not arm the next": Planted("timers", r"\bself\._set\(following\)", "None"),
    "a turn that waits for itself": Planted("turns", r"_time_anew\(self, here\)(  # it was timed)", r"_retime(self)\1"),
    "a deadline that moves without a word": Planted("budget", r"(?s)(def _reschedule\(.*?)here\.move\(\)", r"\1pass"),
    "a reader that walks what others write": Planted(
        "threads", r"\blist\(self\.by_name\.values\(\)\)", "self.by_name.values()", loops=2
    ),
}


def find(name: str, most: int = MOST) -> str:
    """In a process of its own: the seed that finds the fault, what it shows, and the seconds that took; "" if none."""
    command = [sys.executable, "-m", "tests.schedules.planted", "--here", "--most", str(most), name]
    return subprocess.run(command, cwd=CORE.parents[1], capture_output=True, text=True, check=True).stdout.strip()


def find_here(name: str, most: int) -> str:
    """As `find`, in this process, which is of no other use any more."""
    fault = PLANTED[name]
    fault.plant()
    from .play import faults  # noqa: PLC0415  # imports the core, now with the fault in it

    begun = time.perf_counter()
    for seed, wrong in faults(range(most), fault.loops):
        return f"seed {seed}, {time.perf_counter() - begun:.1f} s: {'; '.join(wrong)}"
    return ""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.schedules.planted", description="Planted faults.")
    parser.add_argument("names", nargs="*", default=list(PLANTED), help="which; all if left out")
    parser.add_argument("--most", type=int, default=MOST, help="seeds to try")
    parser.add_argument("--here", action="store_true", help="in this process, and print but what is found")
    chosen = parser.parse_args()
    for name in chosen.names:
        if chosen.here:
            print(find_here(name, chosen.most))
        else:
            print(f"{name} ({PLANTED[name].place}): {find(name, chosen.most) or 'NOT FOUND'}", flush=True)


if __name__ == "__main__":
    main()

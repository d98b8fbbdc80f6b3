"""Faults planted in the package, one for each part of the kit, and how soon that part finds its own.

python -m tests.faults.planted                # all of them
python -m tests.faults.planted lines growth   # those of these parts
"""

from __future__ import annotations

import argparse
import logging
import os
import re
import subprocess
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.mutation.rewritten import rewrite

ROOT = Path(__file__).parents[2]
PATIENCE = 300.0
"""Seconds that a part may take for its fault."""


@dataclass(frozen=True)
class Planted:
    """A fault as a change of one module's source."""

    what: str
    module: str
    pattern: str
    replacement: str

    def stands(self) -> int:
        """How often the pattern stands in the module."""
        path = ROOT.joinpath(*self.module.split(".")).with_suffix(".py")
        return len(re.findall(self.pattern, path.read_text()))

    def plant(self) -> None:
        """Have this process import the module with the fault in it."""
        rewrite({self.module: partial(re.sub, self.pattern, self.replacement)})


LOCKED = r"""import threading
LOCK = threading.Lock()

def _count(*args: Any) -> None:
    with LOCK:
        import gc; gc.collect()
        _count_locked(*args)

def _count_locked("""

PLANTED = {
    "lines": Planted(
        "an exit that is broken off is not counted",
        "tracedtimeout._core._ending",
        r"self\._series\.figures\.record_exit\(ended\.outcome, elapsed, 0\.0\); ",
        "",
    ),
    "recursion": Planted(
        "what ends for want of a stack is left to nobody",
        "tracedtimeout._core._loop",
        r"(?s)(def clear_up\(self\) -> None:\n).*?(?=\n    def )",
        r"\1        pass\n",
    ),
    "collector": Planted(
        "a lock that a dropped coroutine's exit takes again",
        "tracedtimeout._core._ending",
        r"(?m)^def _count\(",
        LOCKED,
    ),
    "growth": Planted(
        "a child that looks at each of its siblings",
        "tracedtimeout._core._entering",
        r"( +)more\.children\[key\] = None",
        r"\1[each for each in more.children]\n\1more.children[key] = None",
    ),
    "outer": Planted(
        "an observer's exception comes out",
        "tracedtimeout._core._observers",
        r"_complain\(observer, exc\)",
        "raise exc",
    ),
    "observed": Planted(
        "a span processor's exception comes out",
        "tracedtimeout._core._observers",
        r"_complain\(observers\[0\], exc\)",
        "raise exc",
    ),
    "memory": Planted(
        "each end that is no common one is kept",
        "tracedtimeout._core._ending",
        r"opener, stopping = None, 0\.0",
        r"opener, stopping = None, 0.0; close.__dict__.setdefault('kept', []).append(self)",
    ),
    "differential": Planted(
        "an expiry's cancellation is not taken back",
        "tracedtimeout._core._ending",
        r"_, self\._state, self\._ended, self\._stamp = task\.uncancel\(\)",
        "_, self._state, self._ended, self._stamp = None",
    ),
    "headers": Planted(
        "a header's digits may be of any script",
        "tracedtimeout.propagation._wire",
        r"value\.isascii\(\) and (?=budget)",
        "",
    ),
}
"""By the part that must find it."""


def lines() -> Iterator[str]:
    """Strikes of an exception at each line."""
    from .batch import report_on  # noqa: PLC0415  # imports the core, now with the fault in it
    from .scenes import SCENES  # noqa: PLC0415

    struck: Counter[str] = Counter()
    for scene in SCENES:
        report = report_on(scene, "ours", "interrupt", "virtual", "few", struck=struck)  # type: ignore[arg-type]
        yield from (f"{scene}: {what}, as at {report.examples[what]}" for what in report.within)


def recursion() -> Iterator[str]:
    """Stacks that end at each of some offsets."""
    from .libraries import LIBRARIES  # noqa: PLC0415  # as above
    from .recursion import WAYS, after_exhaustion  # noqa: PLC0415

    for name, way in WAYS.items():
        for offset in range(32):
            yield from (f"{name}: {what}" for what in after_exhaustion(LIBRARIES["ours"], way, offset))


def collector() -> Iterator[str]:
    """Work that the garbage collector closes."""
    from . import collector  # noqa: PLC0415  # as above

    collector.PATIENCE = 5.0  # then it ends this process, with its stacks
    collector.main("here", 40)
    yield from ()


def outer() -> Iterator[str]:
    """Strikes of an exception at each line around the core."""
    from .outer.batch import report_on  # noqa: PLC0415  # as above
    from .outer.rooms import ROOMS  # noqa: PLC0415
    from .outer.stage import set_global_provider  # noqa: PLC0415

    logging.lastResort = None
    set_global_provider()
    for scene in ROOMS["observers"].scenes:
        report = report_on(ROOMS["observers"], scene, "error", "few", struck=set())
        yield from (f"{scene.__name__}: {what}, as at {report.examples[what]}" for what in report.within)


def observed() -> Iterator[str]:
    """Random programs under observers that raise and meddle."""
    from .observed import changes  # noqa: PLC0415  # as above

    yield from changes(4)


def memory() -> Iterator[str]:
    """Timeouts of each kind, and what they keep."""
    from tests.memory import blocks  # noqa: PLC0415  # as above

    yield from (line for line in blocks.lines(300, [], 700) if "LEAK" in line)


def tests(*arguments: str) -> Iterator[str]:
    """Tests, in this process."""
    import pytest  # noqa: PLC0415  # its plugins import the package

    if pytest.main(["-q", "-x", "-p", "no:cacheprovider", "--no-header", *arguments]) == pytest.ExitCode.TESTS_FAILED:
        yield "a test fails"


PARTS: dict[str, Callable[[], Iterator[str]]] = {
    "lines": lines,
    "recursion": recursion,
    "collector": collector,
    "growth": partial(tests, "tests/faults/test_growth.py"),
    "outer": outer,
    "observed": observed,
    "memory": memory,
    "differential": partial(tests, "tests/core/test_differential.py"),
    "headers": partial(tests, "-k", "test_fuzz", "tests/wire"),
}


def find(part: str) -> str:
    """In a process of its own: what shows the fault, and the seconds that took; "" if nothing does."""
    command = [sys.executable, "-m", "tests.faults.planted", "--here", part]
    # The source is what is planted in, not what is compiled of it.
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TRACEDTIMEOUT_NO_EXTENSIONS": "1"}
    begun = time.perf_counter()
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    hangs = [f"it hangs in{line.rpartition(' in')[2]}" for line in done.stderr.splitlines() if "_core" in line]
    printed = done.stdout.splitlines()
    said = [line for line in printed if line.startswith("FAILED")] or printed[-1:] or hangs[:1]
    return f"{time.perf_counter() - begun:.1f} s: {said[0]}" if done.returncode == 1 and said else ""


def find_here(part: str) -> int:
    """As `find`, in this process, which is of no other use any more; the status is 1 if it is found."""
    PLANTED[part].plant()
    logging.disable()
    warnings.simplefilter("ignore")
    for said in PARTS[part]():
        print(said)
        return 1
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.planted", description="Planted faults.")
    parser.add_argument("parts", nargs="*", choices=["all", *PLANTED], default="all")
    parser.add_argument("--here", action="store_true", help="in this process, and print but what is found")
    chosen = parser.parse_args()
    if chosen.here:
        return find_here(chosen.parts[0])
    missed = 0
    for part in PLANTED if "all" in chosen.parts else chosen.parts:
        found = find(part)
        missed += not found
        print(f"{part}: {PLANTED[part].what}: {found or 'NOT FOUND'}", flush=True)
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())

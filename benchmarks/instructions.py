"""Machine instructions of one turn of what services do, under asyncio and under both hot paths.

    python -m benchmarks.instructions            # the table, of this Python; needs Debian's valgrind; ten minutes
    python -m benchmarks.instructions functions  # the make-up of one timeout, by the interpreter's functions

Counted by callgrind in two runs of a loop, one longer than the other, so that starting up cancels out. Instructions are
not time, but the only figure that a busy machine gives twice.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from textwrap import dedent, indent
from typing import Literal

from tracedtimeout._core._hot import IMPLEMENTATION

SHORT, LONG = 500, 2500
MOST = 24
"""Functions shown."""

_LINE = re.compile(r"\s*([\d,]+) \(\s*[\d.]+%\)\s+\S*?:([\w'.]+)")
_ALL = re.compile(r"Collected : (\d+)")

Twin = Literal["python", "c"]

PROGRAM = """
import asyncio, sys
from asyncio import timeout, wait_for

if {ours}:
    from tracedtimeout import timeout, wait_for
{before}

async def answer():
    return 42

async def timed(delay):
    async with timeout(delay{name}):
        pass

async def main(times):
{body}

asyncio.run(main(int(sys.argv[1])))
"""

OBSERVED = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

provider = TracerProvider()
tracer = provider.get_tracer("by hand")
if {ours}:
    from tracedtimeout._core import _observers
    from tracedtimeout.spans import SpanObserver
    _observers.add(SpanObserver("{policy}", provider))
"""

ONE = "one, named"
SHAPES = {
    ONE: """
        for _ in range(times):
            async with timeout(5{name}):
                pass
        """,
    "one, default name": """
        for _ in range(times):
            async with timeout(5):
                pass
        """,
    "three nested, named, falling limits": """
        for _ in range(times):
            async with timeout(7{name}), timeout(6{name}), timeout(5{name}):
                pass
        """,
    "three nested, one default name, rising limits": """
        for _ in range(times):
            async with timeout(5), timeout(6), timeout(7):
                pass
        """,
    "`wait_for` of a coroutine": """
        for _ in range(times):
            await wait_for(answer(), 5{name})
        """,
    "one in a child task of another's": """
        async def child():
            for _ in range(times):
                await timed(5)
        async with timeout(60{name}):
            await asyncio.create_task(child())
        """,
    "another limit each time": """
        for i in range(times):
            async with timeout(5 + i % 7{name}):
                pass
        """,
    "`timeout(None)`": """
        for _ in range(times):
            async with timeout(None{name}):
                pass
        """,
    "an expiry": """
        for _ in range(times):
            try:
                async with timeout(0{name}):
                    await asyncio.sleep(1)
            except TimeoutError:
                pass
        """,
}


LATE, SAMPLED = '`spans="late"`', "a span that is sampled, beside one by hand"
POLICIES = {LATE: "late", SAMPLED: "always"}
SHAPES |= {
    LATE: SHAPES[ONE],
    SAMPLED: """
        for _ in range(times):
            if {ours}:
                async with timeout(5{name}):
                    pass
                continue
            attributes = {{"name": "named", "kind": "timeout", "limit": 5.0, "source": "own"}}
            with tracer.start_as_current_span("timeout named", attributes=attributes) as span:
                async with timeout(5):
                    pass
                span.set_attribute("outcome", "completed")
        """,
}


def main(*arguments: str) -> int:
    if arguments == ("functions",):
        print_functions()
        return 0
    twins: tuple[Twin, ...] = ("python", "c") if IMPLEMENTATION == "c" else ("python",)
    print(f"| Python {sys.version.split()[0]} | asyncio | {' | '.join(twins)} | ratio |")
    print("|---|" + "---|" * (len(twins) + 2))
    for shape in SHAPES:
        theirs = in_all(program(shape, ours=False), "python")
        ours = [in_all(program(shape, ours=True), twin) for twin in twins]
        ratios = " / ".join(f"{each / theirs:.2f}" for each in ours)
        print(f"| {shape} | {' | '.join(f'{each:,.0f}' for each in (theirs, *ours))} | {ratios} |", flush=True)
    return 0


def print_functions() -> None:
    theirs, ours = by_function(program(ONE, ours=False)), by_function(program(ONE, ours=True))
    print(f"{'asyncio':>10}{IMPLEMENTATION:>10}  instructions of one timeout, Python {sys.version.split()[0]}")
    print(f"{sum(theirs.values()):10.0f}{sum(ours.values()):10.0f}  in all")
    most = sorted(theirs | ours, key=lambda name: -max(theirs[name], ours[name]))[:MOST]
    for name in most:
        print(f"{theirs[name]:10.0f}{ours[name]:10.0f}  {name}")


def program(shape: str, *, ours: bool) -> str:
    name = ", name='named'" if ours else ""
    body = indent(dedent(SHAPES[shape].format(name=name, ours=ours)), "    ")
    before = OBSERVED.format(ours=ours, policy=POLICIES[shape]) if shape in POLICIES else ""
    return PROGRAM.format(ours=ours, name=name, before=before, body=body)


def in_all(code: str, twin: Twin) -> float:
    """Instructions of one turn of the program's loop."""
    few, many = (counted(code, times, twin) for times in (SHORT, LONG))
    return (many - few) / (LONG - SHORT)


def by_function(code: str) -> Counter[str]:
    """Instructions of one turn by C function, under the hot path that runs here."""
    few, many = (_listed(run(code, times, "c")[1]) for times in (SHORT, LONG))
    return Counter({name: (many[name] - few[name]) // (LONG - SHORT) for name in many})


def counted(code: str, times: int, twin: Twin = "c") -> int:
    """Instructions of a run."""
    return int(_ALL.findall(run(code, times, twin)[0])[-1])


def run(code: str, times: int, twin: Twin) -> tuple[str, str]:
    """Callgrind's words on one run, and its listing of functions."""
    chosen = {"PYTHONHASHSEED": "0", "TRACEDTIMEOUT_NO_EXTENSIONS": "0" if twin == "c" else "1"}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "callgrind.out"
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", sys.executable, "-c", code]
        told = subprocess.run(
            [*command, str(times)], check=True, capture_output=True, text=True, env={**os.environ, **chosen}
        ).stderr
        listing = ["callgrind_annotate", "--threshold=100", "--auto=no", str(out)]
        return told, subprocess.run(listing, check=True, capture_output=True, text=True).stdout


def _listed(listing: str) -> Counter[str]:
    found: Counter[str] = Counter()
    for line in listing.splitlines():
        if match := _LINE.match(line):
            found[match[2].split("'")[0]] += int(match[1].replace(",", ""))
    return found


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

"""The make-up of one timeout: its machine instructions, by the interpreter's functions, beside asyncio's.

    python -m benchmarks.instructions        # needs Debian's valgrind; takes two minutes

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

SHORT, LONG = 1000, 5000
MOST = 24
"""Functions shown."""

_LINE = re.compile(r"\s*([\d,]+) \(\s*[\d.]+%\)\s+\S*?:([\w'.]+)")

PROGRAM = """
import asyncio, sys
import tracedtimeout

async def main(times):
    for _ in range(times):
        async with {make}:
            pass

asyncio.run(main(int(sys.argv[1])))
"""

THEIRS = PROGRAM.format(make="asyncio.timeout(5)")
OURS = PROGRAM.format(make="tracedtimeout.timeout(5, name='named')")


def main() -> int:
    theirs, ours = per_timeout(THEIRS), per_timeout(OURS)
    print(f"{'asyncio':>10}{'ours':>10}  instructions of one timeout, Python {sys.version.split()[0]}")
    print(f"{sum(theirs.values()):10.0f}{sum(ours.values()):10.0f}  in all")
    most = sorted(theirs | ours, key=lambda name: -max(theirs[name], ours[name]))[:MOST]
    for name in most:
        print(f"{theirs[name]:10.0f}{ours[name]:10.0f}  {name}")
    return 0


def per_timeout(program: str) -> Counter[str]:
    """Instructions by C function, for one turn of the program's loop."""
    few, many = counted(program, SHORT), counted(program, LONG)
    return Counter({name: (many[name] - few[name]) // (LONG - SHORT) for name in many})


def counted(program: str, times: int) -> Counter[str]:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "callgrind.out"
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", sys.executable, "-c", program]
        subprocess.run(
            [*command, str(times)], check=True, capture_output=True, env={**os.environ, "PYTHONHASHSEED": "0"}
        )
        listing = subprocess.run(
            ["callgrind_annotate", "--threshold=100", "--auto=no", str(out)], check=True, capture_output=True, text=True
        ).stdout
    found: Counter[str] = Counter()
    for line in listing.splitlines():
        if match := _LINE.match(line):
            found[match[2].split("'")[0]] += int(match[1].replace(",", ""))
    return found


if __name__ == "__main__":
    sys.exit(main())

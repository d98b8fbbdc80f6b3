"""Writes docs/reliability.md from the results that are kept; runs rows and keeps what they print.

python -m tests.reliability                     # write the page
python -m tests.reliability run schedules soak  # run these rows first; all of them take hours
python -m tests.reliability known               # only say which tests are expected to fail, and why
python -m tests.reliability take soak 0 1802 LOG COMMIT  # keep a run made elsewhere: status, seconds, what it printed
"""

from __future__ import annotations

import sys
from pathlib import Path

from .known import known
from .page import page
from .results import ROOT, keep, load, result, run
from .rows import ROWS

PAGE = ROOT / "docs" / "reliability.md"


def main(*arguments: str) -> int:
    if arguments and arguments[0] == "run":
        for key in arguments[1:] or ROWS:
            found = run(key)
            keep(found)
            print(f"{key}: status {found.status}, {found.seconds:.0f} s")
            print("\n".join(found.said), flush=True)
    elif arguments == ("known",):
        print("\n".join(known()))
        return 0
    elif arguments and arguments[0] == "take":
        key, status, seconds, log, commit = arguments[1:]
        keep(result(key, int(status), Path(log).read_text(), float(seconds), commit))
    PAGE.write_text(page(load()))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

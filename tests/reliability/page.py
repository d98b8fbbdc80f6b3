"""The page, from the rows and their results."""

from __future__ import annotations

from collections.abc import Iterator

from .results import Result
from .rows import ROWS, Row

HEAD = """# What it survives

Machines that look for trouble, what each looked at, and what it saw when it was last run. Nothing here is written by
hand but the last section: `python -m tests.reliability` writes this page from the results that are kept, and
`python -m tests.reliability run KEY ...` runs rows and keeps what they print. A row that says "not run" has not been
run; nobody vouches for what it would show. Counts are exact; times were taken on a machine that others used meanwhile.
"""

NOT_PROMISED = """## What is not promised

- **A process that is killed** loses what it counted since it last handed it over: at most a second, with
  `PROMETHEUS_MULTIPROC_DIR`; everything since the last export, over OTLP. See [workers](workers.md).
- **Memory that does not grow with the processes that were**: the files of those that have ended stay below
  `PROMETHEUS_MULTIPROC_DIR`, since their counts are the service's, and `prometheus_client` reads all of them at each
  scrape. The soak shows it: of 180 workers that are replaced in half an hour, each leaves the one that is scraped some
  140 KiB larger. Begin each deployment with an empty folder.
- **A full disk** below `PROMETHEUS_MULTIPROC_DIR` ends a process by SIGBUS if metrics of the application's own grow
  there: those files are mapped into memory. Ours take their room first, or wait. Give the folder a file system of its
  own.
- **A fork amid other packages' work**: a child enters timeouts and sees them expire whoever held which lock as it was
  forked. It may wait for ever to be scraped or collected if a thread of its parent was inside prometheus_client's or
  OpenTelemetry's own lock just then, as it would without us; `outside-forks` names them.
- **Free-threaded builds**: what `free-threaded` shows above, a loop to a thread with exact counts on 3.13t, and no
  more. The core relies on statements that are one step; a signal's exception, or a timeout that another thread leaves,
  may come between there. The compiled hot path is not for them.
- **Windows and macOS** were not tried. Loops that are neither asyncio's nor uvloop's were not either.
- **The instant of a call**: an exception that a signal's handler raises as a timeout is entered or left may leave what
  it would leave with `asyncio.timeout`: a timeout that is never left, a cancellation too many. Within the core's own
  lines nothing may be left; "Faults at every line" says what still is.
- **A memory that is full**: MemoryError is seen to leave nothing on Python 3.13 and later; before, Python itself may
  end.
- **Time** is the loop's clock, whatever is done to the system's. A machine that is suspended, or whose processes get no
  processor, fires late; and says so in `tracedtimeout.timer_lag`.
"""


def page(results: dict[str, Result]) -> str:
    """All of it."""
    parts: dict[str, list[str]] = {}
    for key, row in ROWS.items():
        parts.setdefault(row.part, []).append(key)
    sections = [section(part, keys, results) for part, keys in parts.items()]
    return "\n".join([HEAD, summary(results), *sections, NOT_PROMISED])


def summary(results: dict[str, Result]) -> str:
    run = [key for key in ROWS if key in results]
    wrong = [key for key in run if results[key].status]
    fine = f"{len(run) - len(wrong)} saw nothing but what is known"
    lines = [f"Of {len(ROWS)} rows {len(run)} were run; {fine}.", *[""] * bool(wrong)]
    lines += [f"- `{key}` saw: {words(results[key].said[-1])}" for key in wrong]
    return "\n".join(lines) + "\n"


def section(part: str, keys: list[str], results: dict[str, Result]) -> str:
    rows = "\n".join(table_row(key, ROWS[key], results.get(key)) for key in keys)
    shown = "\n".join(line for key in keys if key in results for line in told(key, results[key]))
    table = f"| key | what is run | command | in CI |\n|---|---|---|---|\n{rows}\n"
    return f"## {part}\n\n{table}" + (f"\n{shown}\n" if shown else "")


def table_row(key: str, row: Row, result: Result | None) -> str:
    what = row.what if result is not None else f"{row.what}. **Not run.**"
    return f"| {key} | {what} | `{row.command}` | {row.size} |"


def told(key: str, result: Result) -> Iterator[str]:
    """What a row printed, with its circumstances."""
    wrong = f"; it ended with status {result.status}" if result.status else ""
    head = f"- **{key}**, {result.day}, {result.on}, {result.seconds:.0f} s, at `{result.commit}`{wrong}:"
    if len(result.said) == 1:
        yield f"{head} {words(result.said[0])}"
        return
    yield head
    for line in result.said:
        yield f"    - {words(line)}"


def words(line: str) -> str:
    """A line that a command printed, as text of a page."""
    return line.strip("= ").replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*").replace("_", "\\_")

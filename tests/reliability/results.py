"""The results of rows: kept in a file, each with when, where and on what it was seen."""

from __future__ import annotations

import json
import os
import platform
import shlex
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from .rows import ROWS

ROOT = Path(__file__).parents[2]
FILE = Path(__file__).with_name("results.json")


@dataclass(frozen=True)
class Result:
    """One run."""

    key: str
    command: str
    status: int
    said: list[str]
    """The last lines that it printed."""
    seconds: float
    on: str
    """The Python and the machine."""
    day: str
    commit: str


def run(key: str) -> Result:
    """Run the command of a row to its end, here and now."""
    row = ROWS[key]
    environment, command = parsed(row.command)
    begun = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - begun
    return result(key, done.returncode, done.stdout, seconds)


def result(key: str, status: int, said: str, seconds: float, commit: str = "HEAD") -> Result:
    """The result of a run of `commit` that ended now."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    command = ["git", "rev-parse", "--short", commit]
    commit = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    on = f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.system()}"
    row = ROWS[key]
    return Result(
        key, row.command, status, lines[-row.lines :], round(seconds, 1), on, time.strftime("%Y-%m-%d"), commit
    )


def parsed(command: str) -> tuple[dict[str, str], list[str]]:
    """The variables in front of a command, and the command, with this Python for its own."""
    words = shlex.split(command)
    environment = {}
    while "=" in words[0]:
        name, _, value = words.pop(0).partition("=")
        environment[name] = value
    return environment, [sys.executable if word == "python" else word for word in words]


def load() -> dict[str, Result]:
    """The results that are kept, by the key of their rows; those of another command are none."""
    if not FILE.exists():
        return {}
    kept = [Result(**each) for each in json.loads(FILE.read_text())]
    return {each.key: each for each in kept if each.key in ROWS and ROWS[each.key].command == each.command}


def keep(result: Result) -> None:
    """Have it be the row's result from now on."""
    results = load() | {result.key: result}
    ordered = [asdict(results[key]) for key in ROWS if key in results]
    FILE.write_text(json.dumps(ordered, indent=1, ensure_ascii=False) + "\n")

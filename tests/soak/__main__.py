"""Soaks for a while, and prints what it saw.

python -m tests.soak                        # half a minute
python -m tests.soak --seconds 1800         # half an hour
python -m tests.soak crowd --open 1000000   # a million timeouts open at once: some 4 GB
python -m tests.soak storm                  # ten thousand that expire in one tick
python -m tests.soak planted                # workers that end without a word: the ledger shows it
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from .crowd import crowd, storm
from .soak import Report, soak


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description="Mixed traffic for a while.")
    parser.add_argument("part", nargs="?", choices=("traffic", "crowd", "storm", "planted"), default="traffic")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--restarts", type=int, help="workers replaced; one each ten seconds")
    parser.add_argument("--open", type=int, default=100_000, help="timeouts of a crowd")
    chosen = parser.parse_args()
    if chosen.part == "crowd":
        print(crowd(chosen.open))
        return 0
    if chosen.part == "storm":
        print(storm(10_000))
        return 0
    if chosen.part == "planted":
        return planted()
    restarts = int(chosen.seconds / 10) if chosen.restarts is None else chosen.restarts
    with tempfile.TemporaryDirectory() as folder:
        report = asyncio.run(soak(chosen.seconds, Path(folder), clients=chosen.clients, restarts=restarts))
    show(report)
    return bool(report.differences() or report.faults or report.active)


def planted() -> int:
    """Find the fault of `tests.soak.planted`; fails if it is not found."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        report = asyncio.run(soak(3.0, Path(folder), clients=8, restarts=2, service="tests.soak.planted"))
    lost = sum(sent - counted for sent, counted in report.differences().values())
    print(f"{lost} of {sum(report.sent.values())} timeouts are not counted: found in {time.monotonic() - begun:.0f} s")
    return not lost


def show(report: Report) -> None:
    print(
        f"{report.seconds:.0f} s, {report.requests} requests, {report.restarts} workers replaced, "
        f"{report.scrapes} scrapes; {report.again} requests sent twice"
    )
    print(f"{sum(report.counted.values())} timeouts counted, {sum(report.sent.values())} by the ledger")
    for (name, outcome), (sent, counted) in sorted(report.differences().items()):
        print(f"  DIFFERS: {name} {outcome}: {sent} by the ledger, {counted} counted")
    for fault in sorted(set(report.faults)):
        print(f"  FAULT: {fault}")
    print(f"moved: {report.moves[0]:.0f} by the ledger, {report.moves[1]:.0f} counted; open: {report.active:.0f}")
    print(f"memory of the worker that stays: {report.memory.per_minute:+.0f} +- {report.memory.error:.0f} KiB a minute")
    for who, (median, most) in report.lags.items():
        print(f"20 ms timeouts came late, {who}: median {median:.1f} ms, 99 of 100 within {most:.1f} ms")
    print("turns of the idle loop a second: {:.1f} before, {:.1f} after".format(*report.turns))


if __name__ == "__main__":
    sys.exit(main())

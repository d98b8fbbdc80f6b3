"""Requests of a dozen kinds on uvicorn, thousands of them: how each was answered, what is left, and the memory.

python -m benchmarks.load                       # 5,000 requests in five rounds
python -m benchmarks.load --requests 100 --rounds 3
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.services.load import NOTHING, Round, load


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description="A server under mixed load.")
    parser.add_argument("--requests", type=int, default=1000, help="in each round")
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rounds = asyncio.run(load(chosen.requests, chosen.rounds, Path(folder) / "log"))
    print(table(rounds))
    return int(any(each.faults or not each.left.items() >= NOTHING.items() for each in rounds))


def table(rounds: list[Round]) -> str:
    """The figures, in Markdown."""
    answers = sum((each.answered for each in rounds), Counter[tuple[str, str]]())
    lines = ["| kind | answer | times |", "|---|---|---|"]
    lines += [f"| {kind} | {answer} | {times:,} |" for (kind, answer), times in answers.items()]
    shown = ["ended", *NOTHING, "tasks", "threads", "blocks", "bytes"]
    lines += ["", "| after round | " + " | ".join(shown) + " |", "|---" * (len(shown) + 1) + "|"]
    lines += [
        f"| {number} | " + " | ".join(f"{seen.left[what]:,}" for what in shown) + " |"
        for number, seen in enumerate(rounds, 1)
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())

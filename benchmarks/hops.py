"""The delay with which the last of three processes ends when the deadline of the first passes.

    python -m benchmarks.hops

This process asks B, which asks C, which never answers, under a timeout of 0.2 s, over and over, one request at a time.
In milliseconds: C's own deadline less A's (above 0 only by what transit took that nobody may subtract), and when C's
handler ended less A's deadline (below 0: C had ended before). ``otel`` is a B that only OpenTelemetry instruments,
nothing of ours in it.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path

from tests.services.chain import Chain, chain

LIMIT = 0.2
WAYS = {
    "http": ("http", "tests.services.hop"),
    "http, otel": ("http", "tests.services.carrier"),
    "grpc": ("grpc", "tests.services.hop"),
    "grpc, otel": ("grpc", "tests.services.carrier"),
}


async def main(times: int) -> None:
    if not entry_points(group="opentelemetry_propagator", name="deadline"):
        raise SystemExit("OpenTelemetry finds the propagator of an installed package only: pip install -e .")
    print(f"{'':12}  {'deadline of C less A':^26}  {'end of C less deadline of A':^26}")
    print(f"{'':12}  {'median':>8} {'p90':>8} {'worst':>8}  {'median':>8} {'p90':>8} {'worst':>8}")
    for name, (carrier, middle) in WAYS.items():
        with tempfile.TemporaryDirectory() as folder:
            async with chain(Path(folder), carrier, middle) as made:
                looks = [await look(made) for _ in range(times)]
        deadlines, ends = zip(*looks, strict=True)
        print(f"{name:12}  {figures(deadlines)}  {figures(ends)}")


async def look(made: Chain) -> tuple[float, float]:
    """Milliseconds from the first deadline to that of the last process, and to its end."""
    first = await made.expire(LIMIT)
    last = (await made.told_once_ended(made.last)).ended[0]
    return (last.deadline - first) * 1e3, (last.at - first) * 1e3


def figures(values: Sequence[float]) -> str:
    ordered = sorted(values)
    p90 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.9))]
    return f"{statistics.median(ordered):8.2f} {p90:8.2f} {ordered[-1]:8.2f}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="The lag from the first process's expiry to the last one's end.")
    parser.add_argument("--times", type=int, default=30, help="requests for each of the four ways")
    asyncio.run(main(parser.parse_args().times))

"""Eight loops in eight threads, with timeouts of every kind, beside a reader: each count is held against a ledger.

    python -m tests.free_threaded --loops 8 --seconds 20

It needs nothing but the package, so that a Python without the global interpreter lock can run it; with the lock it
shows nothing new. `.ci/free-threaded` builds such a Python, and runs it there.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable

from tracedtimeout import DeadlineExceeded, budget, checkpoint, remaining, timeout, wait_for, with_timeout
from tracedtimeout._core._hot import IMPLEMENTATION
from tracedtimeout._core.figures import _metrics, _process

Ledger = Counter[tuple[str, str]]
"""Exits by name and outcome."""
Kind = Callable[[Ledger], Awaitable[None]]


async def completed(ledger: Ledger) -> None:
    async with timeout(60, name="completed"):
        await asyncio.sleep(0)
    ledger["completed", "completed"] += 1


async def expired(ledger: Ledger) -> None:
    with contextlib.suppress(DeadlineExceeded):
        async with timeout(0.001, name="expired"):
            await asyncio.sleep(60)
    ledger["expired", "expired"] += 1


async def nested(ledger: Ledger) -> None:
    with contextlib.suppress(DeadlineExceeded):
        async with timeout(0.001, name="outer"):
            async with timeout(60, name="inner"):
                await asyncio.sleep(60)
    ledger["outer", "expired"] += 1
    ledger["inner", "inherited"] += 1


async def children(ledger: Ledger) -> None:
    async def child() -> None:
        async with timeout(60, name="child"):
            await asyncio.sleep(0)

    async with timeout(60, name="parent"), asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(child())
    ledger["parent", "completed"] += 1
    ledger["child", "completed"] += 3


async def moved(ledger: Ledger) -> None:
    loop = asyncio.get_running_loop()
    with contextlib.suppress(DeadlineExceeded):
        async with timeout(60, name="moved") as block:
            block.reschedule(loop.time() + 0.001)
            await asyncio.sleep(60)
    ledger["moved", "expired"] += 1


async def waited_for(ledger: Ledger) -> None:
    assert await wait_for(asyncio.sleep(0, 7), 60, name="waited_for") == 7
    ledger["waited_for", "completed"] += 1


@with_timeout(60, name="in_a_thread")
async def _in_a_thread() -> float:
    return await asyncio.to_thread(remaining)


async def in_a_thread(ledger: Ledger) -> None:
    assert 0.0 < await _in_a_thread() <= 60.0
    ledger["in_a_thread", "completed"] += 1


async def budgeted(ledger: Ledger) -> None:
    with budget(60):
        checkpoint()
        async with timeout(None, name="budgeted"):
            await asyncio.sleep(0)
    ledger["budgeted", "completed"] += 1


KINDS: list[Kind] = [completed, expired, nested, children, moved, waited_for, in_a_thread, budgeted]


async def work(ledger: Ledger, until: float) -> None:
    while time.monotonic() < until:
        await asyncio.gather(*(kind(ledger) for kind in KINDS for _ in range(5)))


def counted() -> tuple[Ledger, int]:
    """All exits that the process has counted, and the timeouts that it holds to be open."""
    exits: Ledger = Counter()
    table = _process.snapshot()
    for (name, outcome), value in table.get(_metrics.DURATION, {}).items():
        assert isinstance(value, _process.Histogram)
        exits[name, outcome] += sum(value.counts)
    return +exits, sum(value for value in table.get(_metrics.ACTIVE, {}).values() if isinstance(value, int))


def run(ledgers: list[Ledger], seconds: float) -> tuple[int, list[BaseException]]:
    """Work on a loop in a thread for each ledger; returns how often the figures were read, and what was raised."""
    until = time.monotonic() + seconds
    raised: list[BaseException] = []

    def one(ledger: Ledger) -> None:
        try:
            asyncio.run(work(ledger, until))
        except BaseException as exc:
            raised.append(exc)
            raise

    threads = [threading.Thread(target=one, args=(ledger,)) for ledger in ledgers]
    for thread in threads:
        thread.start()
    reads = 0
    while any(thread.is_alive() for thread in threads):
        _process.snapshot()
        reads += 1
        time.sleep(0.001)
    return reads, raised


def main(arguments: list[str]) -> int:
    """Print what was counted; returns 0 if that is what was done."""
    parser = argparse.ArgumentParser(prog="python -m tests.free_threaded")
    parser.add_argument("--loops", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=20.0)
    asked = parser.parse_args(arguments)
    locked: Callable[[], bool] = getattr(sys, "_is_gil_enabled", lambda: True)
    before = locked()
    ledgers: list[Ledger] = [Counter() for _ in range(asked.loops)]
    reads, raised = run(ledgers, asked.seconds)
    expected: Ledger = Counter()
    for ledger in ledgers:
        expected.update(ledger)
    found, active = counted()
    wrong = [f"{key}: {expected[key]} by the ledger, {found[key]} counted" for key in sorted(expected - found)]
    wrong += [f"{key}: {found[key]} counted, {expected[key]} by the ledger" for key in sorted(found - expected)]
    wrong += [f"raised: {exc!r}" for exc in raised]
    if locked() != before:
        wrong.append("the package switched the lock on")
    python = f"Python {sys.version.split()[0]}, the lock {'on' if locked() else 'off'}, the hot path's {IMPLEMENTATION}"
    print(f"{python}: {asked.loops} loops, {asked.seconds:g} s, {reads} readings")
    print(f"{expected.total()} exits by the ledger, {found.total()} counted; open: {active}")
    for each in wrong:
        print(f"WRONG {each}")
    return 1 if wrong or active else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

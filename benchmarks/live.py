"""The live page's cost for the event loop: its thread's processor time between two events that a watcher gets.

    python -m benchmarks.live

Two hundred names that completed and expired, a thousand timeouts open. Exit status 1 if the median is 1 ms or more.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any

from tracedtimeout import install, timeout
from tracedtimeout.live import live_app

NAMES = 200
OPEN = 1_000
EVENTS = 60
WARM = 5
TARGET = 0.001


async def main() -> int:
    """Watch, and print; returns the exit status."""
    install(registry=None, spans="off")
    await asyncio.gather(*(_end_both_ways(f"name-{number}") for number in range(NAMES)))
    held = [asyncio.create_task(_hold(f"name-{number % NAMES}")) for number in range(OPEN)]
    await asyncio.sleep(0.1)
    took, size = await _watched()
    for task in held:
        task.cancel()
    median, worst = statistics.median(took), max(took)
    print(f"{NAMES} names, {OPEN} open, events of {size} bytes")
    print(f"loop's processor time an event: median {median * 1e3:.2f} ms, worst {worst * 1e3:.2f} ms")
    return int(median >= TARGET)


async def _end_both_ways(name: str) -> None:
    async with timeout(1.0, name=name):
        await asyncio.sleep(0)
    with suppress(TimeoutError):
        async with timeout(0.005, name=name):
            await asyncio.sleep(1.0)


async def _hold(name: str) -> None:
    async with timeout(60.0, name=name):
        await asyncio.sleep(60.0)


async def _watched() -> tuple[list[float], int]:
    """The thread's time from each event to the next, and the size of the last one."""
    marks: list[float] = []
    sizes: list[int] = []
    enough = asyncio.Event()

    async def receive() -> MutableMapping[str, Any]:
        await enough.wait()
        return {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.body":
            marks.append(time.thread_time())
            sizes.append(len(message["body"]))
            if len(marks) > EVENTS + WARM:
                enough.set()

    scope = {"type": "http", "method": "GET", "path": "/events", "headers": []}
    await live_app(every=0.05)(scope, receive, send)
    return [after - before for before, after in zip(marks[WARM:], marks[WARM + 1 :], strict=False)], sizes[WARM]


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))

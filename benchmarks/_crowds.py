"""The cost of one timeout among many: at a hundred and at a hundred thousand open ones."""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

SIZES = (100, 1_000, 10_000, 100_000)
Make = Callable[[float], AbstractAsyncContextManager[Any]]


def costs(make: Make, sizes: tuple[int, ...] = SIZES, turns: int = 5) -> dict[int, float]:
    """Microseconds to enter and leave one timeout, by how many are open meanwhile. The garbage collector is off: it
    goes through all that is open, whoever made it."""
    found = {}
    gc.disable()
    try:
        for size in sizes:
            with asyncio.Runner() as runner:
                found[size] = runner.run(_among(make, size, turns))
            gc.collect()
    finally:
        gc.enable()
    return found


async def _among(make: Make, size: int, turns: int) -> float:
    """Enter `size` timeouts, one task each, and leave them, oldest first: microseconds of both, per timeout."""
    samples = []
    times = max(1, 20_000 // size)
    for _ in range(turns):
        took = 0.0
        for _ in range(times):
            took += await _round(make, size)
        samples.append(took / times / size * 1e6)
    return statistics.median(samples)


async def _round(make: Make, size: int) -> float:
    loop = asyncio.get_running_loop()
    gates = [loop.create_future() for _ in range(size)]
    took = [0.0]
    tasks = [asyncio.create_task(_hold(make, gate, took)) for gate in gates]
    await asyncio.sleep(0)
    for gate in gates:
        gate.set_result(None)
    await asyncio.gather(*tasks)
    return took[0]


async def _hold(make: Make, gate: asyncio.Future[None], took: list[float]) -> None:
    start = time.perf_counter()
    timeout = make(60)
    await timeout.__aenter__()
    took[0] += time.perf_counter() - start
    await gate
    start = time.perf_counter()
    await timeout.__aexit__(None, None, None)
    took[0] += time.perf_counter() - start

"""Two programs are compared: in one process, in turns, by the median of the ratios of the turns."""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

Program = Callable[[int], Awaitable[float | None]]
"""Does a thing as often as it is told; returns the seconds that count of that, None if all do."""


class Pair(NamedTuple):
    """Two programs measured in turns: microseconds for one time of each, and the ratio."""

    theirs: float
    ours: float
    ratio: float


def compare(
    runner: asyncio.Runner,
    theirs: Program,
    ours: Program,
    times: int,
    *,
    turns: int,
    clock: Callable[[], float] = time.perf_counter,
) -> Pair:
    """Run both programs in turns, who goes first changing each time, with the garbage collector on as in life."""
    samples = in_turns([(runner, theirs), (runner, ours)], times, turns=turns, clock=clock)
    return Pair(
        statistics.median(a for a, _ in samples),
        statistics.median(b for _, b in samples),
        statistics.median(b / a for a, b in samples),
    )


def in_turns(
    programs: Sequence[tuple[asyncio.Runner, Program]],
    times: int,
    *,
    turns: int,
    clock: Callable[[], float] = time.perf_counter,
) -> list[list[float]]:
    """The microseconds that each of the `programs` takes for one time: a list for each turn, in their order. Who goes
    first changes with each turn."""
    for runner, program in programs:
        runner.run(_once(program, times))
    samples: list[list[float]] = []
    order = list(range(len(programs)))
    for _ in range(turns):
        order.reverse()
        took = {i: _timed(*programs[i], times, clock) for i in order}
        samples.append([took[i] / times * 1e6 for i in range(len(programs))])
    return samples


def _timed(runner: asyncio.Runner, program: Program, times: int, clock: Callable[[], float]) -> float:
    gc.collect()
    loop = runner.get_loop()
    task = loop.create_task(_once(program, times))
    start = clock()
    counted = loop.run_until_complete(task)
    return clock() - start if counted is None else counted


async def _once(program: Program, times: int) -> float | None:
    counted = await program(times)
    await asyncio.sleep(0)  # asyncio sweeps its cancelled timers in the next turn of the loop: each pays for its own
    return counted

"""The figures of the process: what waits for a reader is short, whoever holds the lock, and goes with what it is of."""

from __future__ import annotations

import asyncio
import gc
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support import figures
from tracedtimeout import timeout
from tracedtimeout._core._loop import state_of
from tracedtimeout._core.figures import _metrics, _process, _series
from tracedtimeout.testing import VirtualClockLoop

COUNTED = {
    _metrics.REJECTIONS: lambda: _process.count(_metrics.REJECTIONS, ("t", "budget", "code")),
    _metrics.UNWIND: lambda: _process.record(_metrics.UNWIND, ("t",), 0.5),
}


@pytest.mark.parametrize("metric", COUNTED, ids=lambda metric: metric.name)
def test_what_nobody_reads_stays_short(metric: _metrics.Metric) -> None:
    """Nothing of it is lost, and nobody keeps the lock."""
    for _ in range(3_000):
        COUNTED[metric]()
    assert len(_process._events) <= 1_001
    with ThreadPoolExecutor(1) as other:
        assert other.submit(is_free).result()
    (value,) = _process.snapshot()[metric].values()
    assert (sum(value.counts) if isinstance(value, _process.Histogram) else value) == 3_000


def is_free() -> bool:
    free = _process._folding.acquire(timeout=9.0)
    if free:
        _process._folding.release()
    return free


def test_a_new_loop_has_the_figures_of_those_that_are_gone_added_up() -> None:
    """Where they are many, and nobody reads."""
    _process._gone.extend(_process.LoopFigures() for _ in range(20))
    loop = VirtualClockLoop()
    assert state_of(loop) in _process.writers()
    assert len(_process._gone) == 0
    loop.close()


def test_who_counts_waits_for_no_reader() -> None:
    """However much is counted meanwhile."""
    held, done = threading.Event(), threading.Event()

    def read() -> None:
        with _process._folding:
            held.set()
            done.wait()

    reader = threading.Thread(target=read)
    reader.start()
    held.wait()
    for _ in range(3_000):
        COUNTED[_metrics.UNWIND]()
    waiting = len(_process._events)
    done.set()
    reader.join()
    assert waiting == 3_000


def test_a_name_that_is_announced_stands_at_zero() -> None:
    """Nothing of it is open, and none has expired."""
    _process.announce("later")
    table = _process.snapshot()
    assert table[_metrics.ACTIVE] == {("later",): 0}
    assert table[_metrics.EXPIRATIONS] == {("later", "expired"): 0}


def test_two_hundred_names_have_labels_of_their_own() -> None:
    """Unless more are asked for."""
    labels = [_process.label(f"name {number}") for number in range(201)]
    assert labels == [*(f"name {number}" for number in range(200)), _metrics.OTHER]


def test_a_reset_has_buckets_worked_out_anew() -> None:
    """Others may be chosen from then on."""
    known = _series.bounds_of(1.7)
    assert _series.bounds_of(1.7) is known
    _process.reset()
    assert _series.bounds_of(1.7) is not known


def test_nothing_is_left_of_a_loop_that_is_gone_but_its_figures() -> None:
    """Not even the place at which it was found."""

    async def main() -> int:
        async with timeout(1.0, name="gone"):
            return id(state_of(asyncio.get_running_loop()))

    known = asyncio.run(main())
    gc.collect()
    assert known not in _process._writers
    assert figures("gone")["duration"] == {"completed": 1}

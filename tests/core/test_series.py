"""The numbers: nothing lost, nothing kept, whoever counts and whenever they are read."""

from __future__ import annotations

import asyncio
import gc
import logging
import math
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import product

import pytest

from tests.support import figures
from tracedtimeout import timeout, timeout_at, wait_for
from tracedtimeout._core._loop import state_of, states
from tracedtimeout._core.figures import _metrics, _process, _series
from tracedtimeout._core.figures._metrics import Metric
from tracedtimeout._core.figures._series import Figures
from tracedtimeout._core.figures._table import Histogram
from tracedtimeout.testing import run


async def times(count: int, name: str = "t") -> None:
    for _ in range(count):
        async with timeout(1, name=name):
            await asyncio.sleep(0)


def test_loops_in_threads_lose_no_count() -> None:
    """Eight loops in eight threads count one name, while a ninth thread reads: the sum is exact, opened >= closed."""
    stop = threading.Event()
    actives: list[int] = []

    def reads() -> None:
        while not stop.is_set():
            active = _process.snapshot().get(_metrics.ACTIVE, {}).get(("t",), 0)
            assert isinstance(active, int)
            actives.append(active)

    reader = threading.Thread(target=reads)
    reader.start()
    try:
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda _: asyncio.run(times(500)), range(8)))
    finally:
        stop.set()
        reader.join()
    assert figures("t") == {"duration": {"completed": 4000}, "limit": 4000, "utilization": 4000}
    assert min(actives, default=0) >= 0


def test_the_figures_of_a_loop_outlive_it() -> None:
    """Figures of loops that are gone are kept, in one place: a thousand loops leave nothing behind."""
    before = len(_process.writers())
    for _ in range(1000):
        run(times(1))
    gc.collect()
    assert figures("t") == {"duration": {"completed": 1000}, "limit": 1000, "utilization": 1000}
    assert len(_process.writers()) <= before + 1


def test_a_histogram_places_each_value_under_its_bound() -> None:
    """A value that equals a bound is under it, as Prometheus's `le` says; the last bucket takes the rest."""
    histogram = _process.Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 2.0, 2.5):
        histogram.record(value)
    assert (histogram.counts, histogram.total) == ([2, 2, 1], 7.5)


def test_histograms_add_up() -> None:
    """The sum of two has the counts and totals of both; a copy is its own."""
    one, other = _process.Histogram((1.0,)), _process.Histogram((1.0,))
    one.record(0.5)
    other.record(5.0)
    copy = one.copy()
    copy.add(other)
    assert [(h.counts, h.total) for h in (one, other, copy)] == [([1, 0], 0.5), ([0, 1], 5.0), ([1, 1], 5.5)]


def test_the_quick_way_counts_as_the_slow_one() -> None:
    """Exits counted inline fall into the same buckets, with the same sums, as histograms would have them."""
    generator = random.Random(1)
    programs = [(generator.choice([0.01, 0.3, 0.3, 7]), generator.random()) for _ in range(200)]
    durations, limits, ratios = (
        _process.Histogram(m.bounds) for m in (_metrics.DURATION, _metrics.LIMIT, _metrics.UTILIZATION)
    )

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for seconds, share in programs:
            started = loop.time()
            async with timeout(seconds, name="t") as t:
                await asyncio.sleep(seconds * share * 0.95)
            elapsed = loop.time() - started
            durations.record(elapsed)
            limits.record(t.limit)
            ratios.record(elapsed / t.limit)

    run(main())
    table = _process.snapshot()
    for metric, labels, expected in (
        (_metrics.DURATION, ("t", "completed"), durations),
        (_metrics.LIMIT, ("t",), limits),
        (_metrics.UTILIZATION, ("t",), ratios),
    ):
        counted = table[metric][labels]
        assert isinstance(counted, _process.Histogram)
        assert counted.counts == expected.counts
        assert counted.total == pytest.approx(expected.total, rel=1e-12)


@pytest.mark.parametrize("inner", ["timeout", "wait_for"])
def test_nothing_of_no_time_is_no_share(inner: str) -> None:
    """One whose deadline was moved to the instant at which it was entered completes in time if it is left at once: the
    share that it used of no time is recorded nowhere."""

    async def main() -> None:
        async def move() -> None:
            async with timeout(3.0, name="within"):
                outer.reschedule(asyncio.get_running_loop().time())

        with suppress(TimeoutError):
            async with timeout(1.0, name="around") as outer:
                if inner == "wait_for":
                    await wait_for(move(), 2.0, name="t")
                else:
                    async with timeout(2.0, name="t"):
                        await move()
        assert figures("t") == {"duration": {"completed": 1}, "limit": 1}

    run(main())


def test_limits_of_every_size_are_recorded() -> None:
    """From nothing to hours, before and after the first one chose the common bucket; with no deadline, none."""

    async def main() -> None:
        for limit in (None, 0, 0.001, 0.002, 3600, 4000, 1, -5, None):
            async with timeout(limit, name="t"):
                pass
        for limit in (3600, 4000, 1):
            async with timeout(limit, name="long"):
                pass

    run(main())
    limits = _process.snapshot()[_metrics.LIMIT]
    short, long = limits[("t",)], limits[("long",)]
    assert isinstance(short, _process.Histogram)
    assert isinstance(long, _process.Histogram)
    assert (sum(short.counts), short.counts[0], short.counts[-1]) == (7, 4, 2)
    assert (sum(long.counts), long.counts[-1], long.total) == (3, 2, 7601.0)
    assert short.total == pytest.approx(7601.003)


def test_names_past_the_cap_are_counted_as_other(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The first names keep their labels; later ones share _OTHER, with one warning. The timeout keeps its name."""
    monkeypatch.setattr(_process, "max_names", 2)

    async def main() -> list[str]:
        names = []
        for name in ("a", "b", "c", "d", "a"):
            async with timeout(1, name=name) as t:
                names.append(t.name)
        return names

    assert run(main()) == ["a", "b", "c", "d", "a"]
    assert run(main()) == ["a", "b", "c", "d", "a"]
    counts = {name: figures(name).get("duration") for name in ("a", "b", "c", "_OTHER")}
    assert counts == {"a": {"completed": 4}, "b": {"completed": 2}, "c": None, "_OTHER": {"completed": 4}}
    assert [(r.levelno, r.getMessage()[:46]) for r in caplog.records] == [
        (logging.WARNING, "more than 2 names of timeouts: 'c' and all lat")
    ]


def test_a_name_past_the_cap_is_refused_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cap is the label's alone: with no time at all a body still runs, unless it needs some."""
    monkeypatch.setattr(_process, "max_names", 0)

    async def main() -> list[object]:
        async with timeout(0, name="past the cap") as left:
            pass
        done = asyncio.get_running_loop().create_future()
        done.set_result("done")
        return [left.outcome, await wait_for(done, 0, name="past it too")]

    assert run(main()) == ["completed", "done"]


def test_owners_past_the_cap_are_counted_as_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cap holds for the label `owner` as for `timeout`: names made of data do not multiply the interruptions."""
    monkeypatch.setattr(_process, "max_names", 2)

    async def main() -> None:
        for name in ("a", "b", "c"):
            with suppress(TimeoutError):
                async with timeout(1, name=name), timeout(2, name="inner"):
                    await asyncio.sleep(9)

    run(main())
    assert _process.snapshot()[_metrics.INTERRUPTIONS] == {("inner", "a"): 1, ("inner", "_OTHER"): 2}


def test_rare_events_of_the_process_are_counted() -> None:
    """Headers, threads and scrapes are counted without a loop, and added up with the rest."""
    _process.count(_metrics.HEADERS_IGNORED, ("grpc-timeout", "malformed"))
    _process.count(_metrics.HEADERS_IGNORED, ("grpc-timeout", "malformed"), 2)
    _process.record(_metrics.SCRAPE_DURATION, (), 0.002)
    _process.record(_metrics.SCRAPE_DURATION, (), 0.2)
    table = _process.snapshot()
    scrapes = table[_metrics.SCRAPE_DURATION][()]
    assert isinstance(scrapes, _process.Histogram)
    assert table[_metrics.HEADERS_IGNORED] == {("grpc-timeout", "malformed"): 3}
    assert (sum(scrapes.counts), scrapes.total) == (2, 0.202)


def test_the_figures_of_loops_that_are_gone_are_few_though_nobody_reads() -> None:
    """A program that makes a loop for each piece of work keeps one sum of their figures, and loses no count."""
    _process.reset()
    gc.collect()
    gc.freeze()  # what other tests have left is looked at once, and not a hundred times
    try:
        for _ in range(100):
            run(times(1))
            gc.collect()
    finally:
        gc.unfreeze()
    assert len(_process._gone) <= _process._MOST_GONE + 1
    assert figures("t")["duration"] == {"completed": 100}


def test_a_reset_forgets_and_counting_goes_on() -> None:
    """After reset() everything reads as at the start, also for a loop that is running."""

    async def main() -> list[dict[str, object]]:
        await times(3)
        before = figures("t")
        _process.reset()
        between = figures("t")
        await times(2)
        return [before, between, figures("t")]

    counts = [{key: value for key, value in seen.items() if key == "duration"} for seen in run(main())]
    assert counts == [{"duration": {"completed": 3}}, {}, {"duration": {"completed": 2}}]


def test_a_reset_forgets_names_that_nobody_gave() -> None:
    """What is named by its code is counted anew, too."""
    names: set[str] = set()

    async def twice() -> dict[str, object]:
        for _ in range(3):
            async with timeout(1.0) as one:
                names.add(one.name)
        (name,) = names
        return figures(name)

    async def main() -> list[object]:
        before = await twice()
        _process.reset()
        return [before["duration"], (await twice())["duration"]]

    assert run(main()) == [{"completed": 3}, {"completed": 3}]


def test_reschedules_are_counted() -> None:
    """Each call of reschedule() is one."""

    async def main() -> None:
        async with timeout(1, name="t") as t:
            for when in (2, None, 3):
                t.reschedule(when)

    run(main())
    assert figures("t")["reschedules"] == 3


def test_loops_that_live_can_be_listed() -> None:
    """The states of living loops are found from any thread, for who shows what is open."""

    async def main() -> bool:
        here = state_of(asyncio.get_running_loop())
        return here in await asyncio.to_thread(states)

    assert run(main())


def test_timer_lag_is_the_time_from_the_deadline_to_its_callback() -> None:
    """On time, it is nothing; after a blocked loop, it is what it was late."""

    async def main(block: float) -> None:
        with pytest.raises(TimeoutError):
            async with timeout(1, name="t"):
                running = asyncio.get_running_loop()
                running.block(block)  # type: ignore[attr-defined]  # a VirtualClockLoop
                await asyncio.sleep(9)

    for block in (0.0, 1.75):
        run(main(block))
    lag = _process.snapshot()[_metrics.TIMER_LAG][()]
    assert isinstance(lag, _process.Histogram)
    assert (sum(lag.counts), lag.counts[0], lag.total) == (2, 1, 0.75)


def test_no_timer_lags_before_its_deadline_was_moved() -> None:
    """A deadline that is moved to where it has passed fires at once, and in time: no loop was blocked."""

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with timeout(60, name="t") as moved:
                await asyncio.sleep(5)
                moved.reschedule(2.0)
                await asyncio.sleep(9)

    run(main())
    lag = _process.snapshot()[_metrics.TIMER_LAG][()]
    assert isinstance(lag, _process.Histogram)
    assert (sum(lag.counts), lag.total) == (1, 0.0)


def test_no_timer_lags_before_the_deadline_that_it_follows_was_moved() -> None:
    """Nor that of one that ends some seconds before another, which is moved."""

    async def main() -> None:
        with suppress(TimeoutError):
            async with timeout(60) as moved, timeout(None, reserve=1.0):
                await asyncio.sleep(5)
                moved.reschedule(5.5)
                await asyncio.sleep(9)

    run(main())
    lag = _process.snapshot()[_metrics.TIMER_LAG][()]
    assert isinstance(lag, _process.Histogram)
    assert (sum(lag.counts), lag.total) == (1, 0.0)


@pytest.mark.parametrize(
    ("buckets", "message"),
    [
        ({"tracedtimeout.active": [1.0]}, "is not one of"),
        ({"nonsense": [1.0]}, "is not one of"),
        ({"tracedtimeout.duration": []}, "must be finite and strictly ascending"),
        ({"tracedtimeout.duration": [2.0, 1.0]}, "must be finite and strictly ascending"),
        ({"tracedtimeout.duration": [1.0, 1.0]}, "must be finite and strictly ascending"),
        ({"tracedtimeout.duration": [1.0, float("inf")]}, "must be finite and strictly ascending"),
    ],
)
def test_buckets_that_make_no_sense_are_refused(buckets: dict[str, list[float]], message: str) -> None:
    """Only histograms have buckets, and only ascending finite bounds are some."""
    with pytest.raises(ValueError, match=message):
        _metrics.choose_buckets(buckets)


def test_chosen_buckets_are_used_from_then_on() -> None:
    """A new loop counts in the buckets that were chosen; choosing none goes back to the default ones."""
    _metrics.choose_buckets({"tracedtimeout.duration": [1, 2]})
    try:
        assert _metrics.DURATION.bounds == (1.0, 2.0)
        run(times(1))
        counted = _process.snapshot()[_metrics.DURATION][("t", "completed")]
        assert isinstance(counted, _process.Histogram)
        assert (counted.bounds, counted.counts) == ((1.0, 2.0), [1, 0, 0])
    finally:
        _process.reset()
        _metrics.choose_buckets({})
    assert _metrics.DURATION.bounds == _metrics.DURATION.default_bounds


def test_a_limit_that_no_series_counts_is_counted_by_itself() -> None:
    """For who counts timeouts that are not ours: one with none, and one that is past, which is none at all."""
    made = Figures("foreign")
    for limit in (0.5, -1.0, float("inf")):
        made.record_limit(limit)
    assert (made.limits.total, sum(made.limits.counts), made.limits.counts[0], made.unlimited) == (0.5, 2, 1, 1)


def test_a_loop_of_the_process_that_was_forked_is_not_counted_in_the_fork() -> None:
    """Its figures are the parent's."""

    async def main() -> None:
        async with timeout(1.0, name="parent"):
            pass

    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    assert figures("parent")["duration"] == {"completed": 1}
    state_of(loop).forked = True
    loop.close()
    del loop
    gc.collect()
    assert figures("parent") == {}


def test_bounds_are_kept_for_so_many_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past them they are worked out each time, and are the same."""
    kept = _series.bounds_of(1.7)
    assert _series.bounds_of(1.7) is kept
    monkeypatch.setattr(_series, "_MOST_BOUNDS", 0)
    _series.forget_bounds()
    assert _series.bounds_of(1.7) == kept
    assert _series.bounds_of(1.7) is not _series.bounds_of(1.7)


def test_who_interrupts_a_reader_and_reads_waits_for_nobody() -> None:
    """A signal's handler, say: what waits is the interrupted one's."""
    with _process._folding, _process._folded():
        with _process._folded():
            assert _process._reading
        assert _process._reading
    assert not _process._reading


def test_what_takes_any_time_of_any_limit_is_counted_by_both() -> None:
    """Limits that are not known beforehand, too, once and again: by the seconds, the limit, and the share of it."""
    metrics = (_metrics.DURATION, _metrics.LIMIT, _metrics.UTILIZATION)
    limits = (0.004, 0.0078125, 0.03, 0.06, 0.5, 0.2, 0.03, 700.0, math.inf)
    programs = [[limit] for limit in limits] + [limits, limits[::-1], [0.5, 0.25, 1.0]]

    async def one(limit: float, seconds: float, name: str, counted: dict[Metric, Histogram]) -> None:
        async with timeout_at(asyncio.get_running_loop().time() + limit, name=name) as made:
            await asyncio.sleep(min(seconds, limit / 2))
        counted[_metrics.DURATION].record(made.elapsed)
        if limit < math.inf:
            counted[_metrics.LIMIT].record(made.limit)
            counted[_metrics.UTILIZATION].record(made.elapsed / made.limit)

    async def main() -> None:
        for number, (program, seconds) in enumerate(product(programs, (0.0, 2.0**-9, 2.0**-8, 2.0**-7, 0.5))):
            name, counted = f"t{number}", {metric: Histogram(metric.bounds) for metric in metrics}
            for limit in [*program, *program]:
                await one(limit, seconds, name, counted)
            table = _process.snapshot()
            for metric, labels in zip(metrics, ((name, "completed"), (name,), (name,)), strict=True):
                shown = table.get(metric, {}).get(labels, Histogram(metric.bounds))
                assert isinstance(shown, Histogram)
                assert shown.counts == counted[metric].counts
                assert shown.total == pytest.approx(counted[metric].total)
            assert table[_metrics.ACTIVE][name,] == 0

    run(main())


def test_the_share_of_a_limit_is_told_of_what_had_one() -> None:
    """Also of what failed; nothing is a share of no limit."""

    async def main() -> None:
        for limit in (2.0, None):
            with suppress(LookupError):
                async with timeout(limit, name="t"):
                    await asyncio.sleep(0.25)
                    raise LookupError

    run(main())
    shares = _process.snapshot()[_metrics.UTILIZATION]["t",]
    assert isinstance(shares, Histogram)
    assert (sum(shares.counts), shares.total) == (1, 0.125)

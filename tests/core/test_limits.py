"""Limits from configuration stand in place of those in the code, for names that the code gives."""

from __future__ import annotations

import asyncio
import dis
import functools
import math
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from tests.support import VIRTUAL
from tracedtimeout import DeadlineExceeded, Timeout, timeout, timeout_at, wait_for, with_timeout
from tracedtimeout._core import _delays, _hot_py, _limits, _loop, _observers
from tracedtimeout._core._hot import enter, leave
from tracedtimeout._core.figures import _metrics, _process
from tracedtimeout.testing import Timeouts, recorded, run

pytestmark = pytest.mark.loops(*VIRTUAL)


@contextmanager
def configured(**seconds: float) -> Iterator[None]:
    """A block in which these limits are in force; ``others`` stands for ``*``."""
    put_in_force({"*" if name == "others" else name: limit for name, limit in seconds.items()})
    try:
        yield
    finally:
        put_in_force({})


def put_in_force(limits: Mapping[str, float]) -> None:
    _limits.configured = limits
    _delays.resolve_limits()


@with_timeout(2.0, name="fetch")
async def decorated() -> None:
    await asyncio.sleep(0)


@with_timeout(2.0)
async def unnamed() -> None:
    await asyncio.sleep(0)


async def opened(make: Callable[[], Timeout]) -> None:
    async with make():
        await asyncio.sleep(0)


async def every_kind(name: str | None) -> None:
    """Enter one of each kind that asks for 2 s."""
    await opened(lambda: timeout(2.0, name=name))
    await wait_for(asyncio.sleep(0), 2.0, name=name)
    await (decorated() if name == "fetch" else unnamed())


def limits_and_requests(seen: Timeouts) -> list[tuple[float, float | None]]:
    return [(each.limit, each.requested) for each in seen.closed()]


async def test_a_configured_limit_is_what_applies() -> None:
    """`timeout`, `wait_for` and `with_timeout` take it, each time; `requested` is what the code said."""
    with configured(fetch=0.5), recorded() as seen:
        await every_kind("fetch")
        await every_kind("fetch")
    assert limits_and_requests(seen) == [(0.5, 2.0)] * 6


async def test_it_fires_when_it_says(loop_time: Callable[[], float]) -> None:
    """The deadline is that of the configured limit, and the exception says so."""
    began = loop_time()
    message = r"'fetch' exceeded its 0.500 s deadline"
    with configured(fetch=0.5), pytest.raises(DeadlineExceeded, match=message) as raised:
        async with timeout(2.0, name="fetch"):
            await asyncio.sleep(1.0)
    assert (loop_time() - began, raised.value.limit) == (0.5, 0.5)


async def test_a_longer_limit_lets_run() -> None:
    """Configuration may grant more than the code does."""
    with configured(fetch=5.0):
        async with timeout(1.0, name="fetch") as guard:
            await asyncio.sleep(3.0)
    assert (guard.expired(), guard.limit, guard.requested) == (False, 5.0, 1.0)


async def test_exact_names_go_before_all_others() -> None:
    """``*`` stands for names that are not there; no name is a pattern."""
    with configured(fetch=0.5, others=9.0), recorded() as seen:
        for name in ("fetch", "fetcher", "pay"):
            await opened(lambda name=name: timeout(2.0, name=name))  # type: ignore[misc]  # the name of now
    assert [limit for limit, _ in limits_and_requests(seen)] == [0.5, 9.0, 9.0]


async def test_names_of_code_are_left_alone() -> None:
    """A timeout without ``name=`` keeps the limit of its line, also where ``*`` is configured."""
    with configured(others=9.0), recorded() as seen:
        await every_kind(None)
        await every_kind(None)
    assert limits_and_requests(seen) == [(2.0, 2.0)] * 6


async def test_what_has_no_limit_in_code_gets_none(loop_time: Callable[[], float]) -> None:
    """None and ``inf`` stay without a limit, an instant stays one, and so does no time at all; so do requests."""
    with configured(fetch=0.5, others=9.0), recorded() as seen:
        await opened(lambda: timeout(None, name="fetch"))
        await opened(lambda: timeout(float("inf"), name="fetch"))
        await opened(lambda: timeout_at(loop_time() + 3.0, name="fetch"))
        with pytest.raises(TimeoutError):
            await wait_for(asyncio.sleep(1), 0, name="fetch")
        leave(enter(4.0, "fetch", "request"))
    assert [limit for limit, _ in limits_and_requests(seen)] == [float("inf"), float("inf"), 3.0, 0.0, 4.0]


async def test_an_enclosing_deadline_still_binds() -> None:
    """A configured limit is its own deadline; `requested` is what the code said, beneath an earlier one too."""
    with configured(inner=5.0):
        async with timeout(1.0, name="outer"):
            async with timeout(2.0, name="inner") as guard:
                assert (guard.limit, guard.owner, guard.requested) == (1.0, "outer", 2.0)


async def test_options_hold_with_it() -> None:
    """`at_least` is compared with the configured limit; `reschedule` moves it, and is then what was asked for."""
    with configured(fetch=0.5):
        with pytest.raises(DeadlineExceeded, match=r"'fetch' needs 1.000 s and its own limit is 0.500 s"):
            await opened(lambda: timeout(2.0, name="fetch", at_least=1.0))
        async with timeout(2.0, name="fetch") as guard:
            guard.reschedule(asyncio.get_running_loop().time() + 4.0)
            assert (guard.limit, guard.requested) == (4.0, 4.0)


async def test_limits_change_while_the_loop_runs() -> None:
    """From then on new ones take the new limit, and those that are open keep theirs; without one the code's is back."""
    with configured(fetch=0.5), recorded() as seen:
        async with timeout(2.0, name="fetch") as guard:
            put_in_force({"fetch": 0.7})
            assert guard.limit == 0.5
        await every_kind("fetch")
        put_in_force({})
        await every_kind("fetch")
    assert [limit for limit, _ in limits_and_requests(seen)] == [0.5, 0.7, 0.7, 0.7, 2.0, 2.0, 2.0]


def test_loops_of_other_threads_follow() -> None:
    """A change in one thread reaches the loop of another by a callback there."""
    changed, used = threading.Event(), threading.Event()
    limits: list[float] = []

    async def main() -> None:
        for _ in range(2):
            async with timeout(2.0, name="fetch") as guard:
                limits.append(guard.limit)
            if not used.is_set():
                used.set()
                await asyncio.to_thread(changed.wait)
                await asyncio.sleep(0)  # what is done already is awaited in no turn, from 3.14 on

    with configured(fetch=0.5):
        thread = threading.Thread(target=lambda: asyncio.run(main()))
        thread.start()
        used.wait()
        put_in_force({"fetch": 0.7})
        changed.set()
        thread.join()
    assert limits == [0.5, 0.7]


def test_where_none_is_configured_nothing_is_done_for_them() -> None:
    """The hot path has no instruction that names limits; once a name is known, no other function is called for it."""
    functions = (_hot_py.timeout, _hot_py.enter, _hot_py.aenter, _hot_py.aexit, _hot_py.leave)
    named = {str(each.argval) for function in functions for each in dis.get_instructions(function)}
    assert [name for name in named if "limit" in name] == []
    called: list[str] = []

    async def main() -> None:
        for _ in range(2):
            called.clear()
            await opened(lambda: timeout(2.0, name="fetch"))

    original: Any = _loop.LoopState.granted

    def counted(self: Any, kind: str, name: str, delay: float) -> float:
        called.append(name)
        return float(original(self, kind, name, delay))

    _loop.LoopState.granted = counted  # type: ignore[method-assign]  # to count
    try:
        run(main())
        assert called == []
        with configured(other=1.0):
            run(main())
            assert called == []
        with configured(fetch=1.0):
            run(main())
            assert called == ["fetch"]
    finally:
        _loop.LoopState.granted = original  # type: ignore[method-assign]  # as above
    assert _observers.installed == ()


async def test_figures_are_those_of_the_limit_that_applied() -> None:
    """The limit counts as it applied; opened are as many as closed, whatever changed between."""
    with configured(fetch=0.5):
        await every_kind("fetch")
    await every_kind("fetch")
    table = _process.snapshot()
    limits: Any = table[_metrics.LIMIT]["fetch",]
    assert (limits.total, sum(limits.counts), table[_metrics.ACTIVE]["fetch",]) == (3 * 0.5 + 3 * 2.0, 6, 0)


def test_a_name_past_the_cap_has_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is counted with others, and ends when it is to."""
    monkeypatch.setattr(_process, "max_names", 1)

    async def main() -> list[float]:
        limits = []
        with configured(fetch=0.5):
            for name in ("first", "fetch"):
                async with timeout(2.0, name=name) as one:
                    limits.append(one.limit)
        return limits

    assert run(main()) == [2.0, 0.5]


@pytest.mark.loops("virtual")
async def test_limits_of_a_name_are_counted_each_by_itself_while_they_are_few() -> None:
    """One that comes again is counted with itself; past so many they are counted together, and are seconds all the
    same. So are those of names past the cap, where nobody counts by the name."""
    here = _loop.state_of(asyncio.get_running_loop())
    few = here.series_of("timeout", "few")
    for limit in [1.0, 1.0, *range(2, 3 * _delays.MOST_LIMITS), None]:
        await opened(functools.partial(timeout, limit, name="few"))
    assert list(few) == list(range(1, _delays.MOST_LIMITS + 1))
    other = here.series_of("timeout", _metrics.OTHER)
    await opened(lambda: timeout(1.0, name=_metrics.OTHER))
    assert (len(few.figures.series), len(other.figures.series)) == (_delays.MOST_LIMITS, 0)
    with pytest.raises(ValueError, match=r"must be a number of seconds, not nan"):
        timeout(math.nan, name="few")

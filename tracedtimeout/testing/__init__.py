"""Virtual time for tests: an event loop whose clock stands still while code runs and jumps to the next timer.

A test of a five-minute timeout takes a millisecond, and what it measures is exact: assert on it with ``==``.

    from tracedtimeout.testing import run

    def test_a_slow_bank_is_given_up_after_two_seconds():
        async def main():
            with pytest.raises(TimeoutError):
                await charge(bank=SlowBank(seconds=300))
            return asyncio.get_running_loop().time()

        assert run(main()) == 2.0

With pytest-asyncio, have the hook of your ``conftest.py`` make the loops, and every ``async def`` test runs so:

    def pytest_asyncio_loop_factories(config, item):
        return {"virtual": VirtualClockLoop}

With `unittest`, set ``loop_factory = VirtualClockLoop`` on an `IsolatedAsyncioTestCase` (Python 3.13).
"""

from __future__ import annotations

import asyncio
import selectors
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, TypeVar, TypeVarTuple, Unpack

__all__ = ["VirtualClockLoop", "run"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

PATIENCE = 0.1
"""Real seconds that threads and sockets are given before the clock jumps past them."""


class VirtualClockLoop(asyncio.SelectorEventLoop):
    """An event loop whose `time()` starts at 0.0 and jumps to the next timer when nothing is left to do before it.

    Not everything can be virtual. While work runs in an executor, or a socket or pipe is open, the clock stands still
    for up to `patience` real seconds at each jump, so that what finishes in that time finishes before the timer. Tests
    of slower work belong on a real clock.

    When nothing can ever happen any more (no timer, no thread, no file), it raises RuntimeError where a real loop would
    hang for ever.
    """

    def __init__(self, *, patience: float = PATIENCE) -> None:
        self._now = 0.0
        self._in_threads = 0
        super().__init__(_Selector(self, patience))

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._now

    def block(self, seconds: float) -> None:
        """Let time pass with no callback run, as if code blocked the loop: what was due meanwhile runs afterwards."""
        self._now += seconds

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        future = super().run_in_executor(executor, func, *args)
        self._in_threads += 1
        future.add_done_callback(self._left_thread)
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Wait for the threads of the default executor, for as long as they take: no timer may jump past them."""
        await super().shutdown_default_executor()

    def _left_thread(self, _: object) -> None:
        self._in_threads -= 1

    def _jump(self) -> None:
        self._now = max(self._now, self._scheduled[0].when())  # type: ignore[attr-defined]  # the heap of timers


class _Selector(selectors.DefaultSelector):
    """Waits in virtual time: not at all, or briefly where the real world may still have something to say."""

    def __init__(self, loop: VirtualClockLoop, patience: float) -> None:
        super().__init__()
        self._loop = loop
        self._patience = patience

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout <= 0:
            return super().select(0)
        waits = self._loop._in_threads > 0 or len(self.get_map()) > 1  # one is the loop's own, to be woken by
        if timeout is None:
            return self._for_ever(waits)
        events = super().select(self._patience if waits else 0)
        if not events:
            self._loop._jump()
        return events

    def _for_ever(self, waits: bool) -> list[tuple[selectors.SelectorKey, int]]:
        if waits or threading.active_count() > 1:
            return super().select(None)
        events = super().select(0)
        if not events:
            raise RuntimeError("every task waits for something that cannot happen: no timer, thread or file is left")
        return events


def run(coroutine: Coroutine[Any, Any, T], *, debug: bool | None = None) -> T:
    """The result of `coroutine`, run as by `asyncio.run` but in virtual time."""
    with asyncio.Runner(debug=debug, loop_factory=VirtualClockLoop) as runner:
        return runner.run(coroutine)

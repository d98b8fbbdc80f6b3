"""The virtual clock: an event loop that jumps to the next timer when nothing is left to do before it."""

from __future__ import annotations

import asyncio
import selectors
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any, TypeVar, TypeVarTuple, Unpack

from . import _threads

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

PATIENCE = 0.1
"""Real seconds that sockets are given before the clock jumps past them."""

THREAD_PATIENCE = 5.0
"""Real seconds that a thread may work while the clock stands still for it."""

ELSEWHERE = -1
"""In place of a thread's ident: the job is another process's."""

LOOK = 0.001
"""Real seconds between two looks at threads: who was woken meanwhile shows."""


class VirtualClockLoop(asyncio.SelectorEventLoop):
    """An event loop whose `time()` starts at 0.0 and jumps to the next timer when nothing is left to do before it.

    Not everything can be virtual. The clock stands still while another thread works, and jumps while it waits in a
    queue or a lock: work in `asyncio.to_thread`, aiosqlite or a FastAPI `def` endpoint takes no virtual time. While a
    socket or pipe is open, it stands still for up to `patience` real seconds at each jump, so that what comes in that
    time comes before the timer. Tests of slower work belong on a real clock.

    When nothing can ever happen any more (no timer, no thread, no file), it raises RuntimeError where a real loop would
    hang for ever; and also when a thread has worked for `thread_patience` real seconds, and names it.

    Args:
        patience: real seconds for sockets and pipes.
        threads: False to wait for no thread: work in threads then takes as long in virtual time as the next timer is
            off.
        thread_patience: real seconds for one thread.
    """

    _tracedtimeout_virtual = True
    """For the state of the loop, which need not find it out: a machine that pauses might make it look real."""

    def __init__(
        self, *, patience: float = PATIENCE, threads: bool = True, thread_patience: float = THREAD_PATIENCE
    ) -> None:
        self._now = 0.0
        self._jobs: dict[object, int | None] = {}
        """The jobs of this loop in executors: the thread's ident; None before it has begun, or `ELSEWHERE`."""
        self._others = _threads.Others()
        super().__init__(_Selector(self, patience, thread_patience if threads else None))

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._now

    def block(self, seconds: float) -> None:
        """Let time pass with no callback run, as if code blocked the loop: what was due meanwhile runs afterwards."""
        self._now += seconds

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        token, elsewhere = object(), executor is not None and not isinstance(executor, ThreadPoolExecutor)

        def begun(*given: *Ts) -> T:
            if token in self._jobs:
                self._jobs[token] = threading.get_ident()
            return func(*given)

        self._jobs[token] = ELSEWHERE if elsewhere else None  # another process cannot say when it begins
        try:
            future: asyncio.Future[T] = super().run_in_executor(executor, func if elsewhere else begun, *args)
        except BaseException:
            del self._jobs[token]
            raise
        future.add_done_callback(lambda _: self._jobs.pop(token, None))
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Wait for the threads of the default executor, for as long as they take: no timer may jump past them."""
        await super().shutdown_default_executor()

    def jump(self) -> None:
        self._now = max(self._now, self._scheduled[0].when())  # type: ignore[attr-defined]  # the heap of timers

    def has_company(self) -> bool:
        return ELSEWHERE in self._jobs.values() or not self._others.settled()

    def at_work(self) -> object:
        """The work that time stands still for, as it is told; None if there is none."""
        jobs = frozenset(ident for ident in list(self._jobs.values()) if ident is not None)
        return "work in an executor that is no pool of threads" if ELSEWHERE in jobs else self._others.working(jobs)


class _Selector(selectors.DefaultSelector):
    """Waits in virtual time: not at all, or briefly where the real world may still have something to say."""

    def __init__(self, loop: VirtualClockLoop, patience: float, thread_patience: float | None) -> None:
        super().__init__()
        self._loop = loop
        self._patience = patience
        self._thread_patience = thread_patience

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout <= 0:
            return super().select(0)
        if timeout is None:
            return self._for_ever()
        events = super().select(self._patience if self._has_files() else 0)
        if not events and self._thread_patience is not None:
            working = self._loop.has_company()
            # Where none works, one may have ended its work after the look above.
            events = self._for_threads(self._thread_patience) if working else super().select(0)
        if not events:
            self._loop.jump()
        return events

    def _has_files(self) -> bool:
        return len(self.get_map()) > 1  # one is the loop's own, to be woken by

    def _for_threads(self, patience: float) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait until no thread works; returns what came meanwhile.

        Raises:
            RuntimeError: one has worked for too long.
        """
        until, idle = time.monotonic() + patience, 0
        while idle < 3:  # who was just woken shows at a later look
            events = super().select(LOOK)
            if events:
                return events
            at_work = self._loop.at_work()
            idle = idle + 1 if at_work is None else 0
            if at_work is not None and time.monotonic() >= until:
                raise RuntimeError(
                    f"virtual time stood still for {patience:g} s for {at_work}: "
                    "virtual_time(threads=False) waits for no thread"
                )
        return super().select(0)

    def _for_ever(self) -> list[tuple[selectors.SelectorKey, int]]:
        if self._has_files() or threading.active_count() > 1:
            return super().select(None)
        events = super().select(0)
        if not events:
            raise RuntimeError("every task waits for something that cannot happen: no timer, thread or file is left")
        return events


def run(coroutine: Coroutine[Any, Any, T], *, debug: bool | None = None, threads: bool = True) -> T:
    """The result of `coroutine`, run as by `asyncio.run` but in virtual time; `threads` as of `VirtualClockLoop`."""
    with asyncio.Runner(debug=debug, loop_factory=lambda: VirtualClockLoop(threads=threads)) as runner:
        return runner.run(coroutine)

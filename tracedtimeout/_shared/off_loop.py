"""Work that would hold up the event loop is done in a thread, once for all who ask for the same meanwhile."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


class OffLoop:
    """A thread of its own, started when first needed; one piece of work at a time.

    Args:
        name: the thread's.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._process = 0
        self._under_way: dict[Hashable, Future[Any]] = {}

    async def run(self, asked: Hashable, work: Callable[..., T], *args: Any) -> T:
        """The result of ``work(*args)``; that of the run under way, if it was asked for by an equal `asked`."""
        # Shielded: who hangs up ends no run that others wait for.
        return await asyncio.shield(asyncio.wrap_future(self._run(asked, work, args)))

    def _run(self, asked: Hashable, work: Callable[..., T], args: tuple[Any, ...]) -> Future[T]:
        thread = self._thread()
        run = self._under_way.get(asked)
        if run is None:
            run = self._under_way[asked] = thread.submit(work, *args)
            run.add_done_callback(lambda _: self._under_way.pop(asked, None))
        return run

    def _thread(self) -> ThreadPoolExecutor:
        """The executor of this process: in the child of a fork no thread of the parent runs."""
        if self._process != os.getpid():
            self._process = os.getpid()
            self._under_way = {}
            self._executor = ThreadPoolExecutor(1, thread_name_prefix=self._name)
        return self._executor

"""A program in slow motion: its event loop's clock runs slower, so the hiccups of a busy machine are shorter by it.

python -m tests.programs.slow_motion 4 tracedtimeout.demo.run.serve shop ...
"""

from __future__ import annotations

import asyncio
import runpy
import selectors
import sys
import time
from collections.abc import Callable
from typing import Any


class _Selector(selectors.DefaultSelector):
    """Waits `slower` times as long as it is told."""

    def __init__(self, slower: float) -> None:
        super().__init__()
        self._slower = slower

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return super().select(None if timeout is None else timeout * self._slower)


class SlowLoop(asyncio.SelectorEventLoop):
    """An event loop on which a second takes `slower` of them."""

    def __init__(self, slower: float) -> None:
        super().__init__(_Selector(slower))
        self._slower = slower

    def time(self) -> float:
        return time.monotonic() / self._slower


def main(slower: str, module: str, *arguments: str) -> None:
    """Run `module` as a program, its event loop being a slow one."""
    loop: Callable[[], Any] = lambda: SlowLoop(float(slower))  # noqa: E731
    asyncio.SelectorEventLoop = loop  # type: ignore[assignment]  # which is what uvicorn makes
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__")


if __name__ == "__main__":
    main(*sys.argv[1:])

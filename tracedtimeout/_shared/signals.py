"""Signals start threads: the code that one interrupts may hold any lock."""

from __future__ import annotations

import _thread
import signal
from collections.abc import Callable
from contextlib import suppress

from tracedtimeout._core._arguments import shown


def on_signal(number: int, action: Callable[[], object]) -> Callable[[], None]:
    """Have signal `number` call `action` in a thread; what it returns gives the signal back to whoever had it before.

    Raises:
        ValueError: this is not the main thread, or there is no such signal.
    """
    given: object = number
    if not isinstance(given, int) or given not in signal.valid_signals():
        raise ValueError(f"number must be a signal of this platform, not {shown(number)}")

    def handle(*_: object) -> None:
        # threading.Thread would take a lock that the interrupted code may hold; and what it interrupts, does not raise
        with suppress(RuntimeError):
            _thread.start_new_thread(action, ())

    before = signal.signal(number, handle)

    def undo() -> None:
        if signal.getsignal(number) is handle:  # else somebody has taken it since
            signal.signal(number, signal.SIG_DFL if before is None else before)  # None: it was no handler of Python's

    return undo

"""asyncio's own timeouts around work that is not the user's."""

from __future__ import annotations

import asyncio
from contextlib import suppress


def lose(patience: asyncio.Timeout) -> None:
    """Have `patience` cancel nobody, where what a signal raised kept it from being left.

    Its timer would run on, or the count of its cancellation stay.
    """
    with suppress(RuntimeError):  # it was not entered, has fired, or has been left
        patience.reschedule(None)
    task = asyncio.current_task()
    if task is not None and "[expiring]" in repr(patience):  # nothing else tells, and left it is expired
        task.uncancel()

"""asyncio's own timeouts around work that is not the user's."""

from __future__ import annotations

import asyncio
from contextlib import suppress


def lose(patience: asyncio.Timeout) -> None:
    """Have `patience` cancel nobody, where what a signal raised kept it from being left: its timer would run on."""
    with suppress(RuntimeError):  # it was not entered, or has been left
        patience.reschedule(None)

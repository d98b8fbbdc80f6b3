"""asyncio timeouts that say who ran out of time."""

from ._core._budget import budget, checkpoint, detach, remaining
from ._core._decorator import with_timeout
from ._core._observers import Observer
from ._core._outcome import DeadlineExceeded, Outcome
from ._core._timeout import Timeout, timeout, timeout_at
from ._core._wait_for import wait_for
from ._install import install

__all__ = [
    "DeadlineExceeded",
    "Observer",
    "Outcome",
    "Timeout",
    "budget",
    "checkpoint",
    "detach",
    "install",
    "remaining",
    "timeout",
    "timeout_at",
    "wait_for",
    "with_timeout",
]

"""asyncio timeouts that say who ran out of time."""

from typing import TYPE_CHECKING

from ._core import _fork as _fork
from ._core._budget import budget, checkpoint, detach, remaining
from ._core._decorator import with_timeout
from ._core._exceeded import DeadlineExceeded, Spent, Where
from ._core._observers import Observer
from ._core._outcome import Outcome
from ._core._timeout import Timeout, timeout, timeout_at
from ._core._view import View
from ._core._wait_for import wait_for
from ._disabled import DISABLED
from ._install import install
from ._install._limits import limits_on_signal, reload_limits
from ._version import VERSION as __version__  # noqa: N811  # what tools look for

if DISABLED and not TYPE_CHECKING:
    from ._disabled import Timeout, budget, checkpoint, detach, remaining, timeout, timeout_at, wait_for, with_timeout

__all__ = [
    "DeadlineExceeded",
    "Observer",
    "Outcome",
    "Spent",
    "Timeout",
    "View",
    "Where",
    "__version__",
    "budget",
    "checkpoint",
    "detach",
    "install",
    "limits_on_signal",
    "reload_limits",
    "remaining",
    "timeout",
    "timeout_at",
    "wait_for",
    "with_timeout",
]

"""What a timeout whose deadline fired raises, and where that goes beside what its body raised."""

from __future__ import annotations

from asyncio import CancelledError
from typing import TYPE_CHECKING

from ._outcome import DeadlineExceeded

if TYPE_CHECKING:
    from ._timeout import Timeout


def in_place_of(self: Timeout, exc: BaseException) -> DeadlineExceeded | None:
    """What to raise in place of `exc`; an exception of the body's own stays, with ours in its context (gh-105684)."""
    if isinstance(exc, CancelledError):
        return exceeded(self, self._elapsed)
    assert self._expiry is not None
    if not self._expiry.cancels:
        return None  # asyncio's wait_for(x, 0) passes it on as it is
    _insert(self, exc)
    if isinstance(exc, ExceptionGroup):
        for member in exc.exceptions:
            _insert(self, member)
    return None


def exceeded(self: Timeout, elapsed: float) -> DeadlineExceeded:
    """What `self` raises when a deadline ended it."""
    expiry = self._expiry
    assert expiry is not None
    what = f"{self.name!r} exceeded its {self.limit:.3f} s deadline"
    if not expiry.own:
        what = f"{self.name!r} was ended by the deadline of {expiry.owner!r}"
    spent = ", ".join(map(str, expiry.spent))
    return DeadlineExceeded(
        f"{what} after {elapsed:.3f} s"
        + (f": {spent}" if spent else "")
        + (f"{'; ' if spent else ': '}waiting at {expiry.where}" if expiry.where else ""),
        name=self.name,
        limit=self.limit,
        elapsed=elapsed,
        owner=expiry.owner,
        where=expiry.where,
        spent=expiry.spent,
    )


def _insert(self: Timeout, exc: BaseException) -> None:
    """Put our exception between `exc` and the CancelledError that it was raised in handling of."""
    while exc.__context__ is not None:
        if isinstance(exc.__context__, CancelledError):
            ours = exceeded(self, self._elapsed)
            ours.__context__ = ours.__cause__ = exc.__context__
            exc.__context__ = ours
            break
        exc = exc.__context__

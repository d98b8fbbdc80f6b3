"""The budget in tenacity: when to give up."""

from __future__ import annotations

import reprlib

from tracedtimeout import DeadlineExceeded, remaining

from ._extra import extra

with extra("tenacity"):
    from tenacity import RetryCallState
    from tenacity.stop import stop_all, stop_base

__all__ = ["stop_when_spent"]


class stop_when_spent(stop_base):  # noqa: N801  # named as tenacity names its own
    """Stops before a sleep after which the budget would leave less than `at_least` for another attempt.

    ``@retry(stop=stop_when_spent(0.05) | stop_after_attempt(5), wait=wait_exponential_jitter())``. The last attempt's
    own error is raised, with or without ``reraise=True``; a `retry_error_callback` is called as ever, and an attempt
    that is retried for what it returned ends with tenacity's RetryError. A wait is never shortened.

    It stops at once at a `DeadlineExceeded` of an enclosing deadline: one that has passed, or one that leaves less than
    an ``at_least`` within the attempt asked for. That of the attempt's own timeout is retried as any error.

    Args:
        at_least: seconds that an attempt needs.

    Raises:
        TypeError: `at_least` is not a number.
        ValueError: `at_least` is NaN or negative.
    """

    def __init__(self, at_least: float = 0.0) -> None:
        if isinstance(at_least, bool) or not isinstance(at_least, int | float):
            raise TypeError(f"at_least must be a number of seconds, not {reprlib.repr(at_least)}")
        if not at_least >= 0:  # NaN is not, either
            raise ValueError(f"at_least must be 0 or more seconds, not {reprlib.repr(at_least)}")
        self.at_least = at_least

    def __call__(self, retry_state: RetryCallState) -> bool:
        error = None if retry_state.outcome is None else retry_state.outcome.exception()
        left = remaining()
        if left > 0.0 and left - retry_state.upcoming_sleep >= self.at_least and not _refused(error, left):
            return False
        if error is None or retry_state.retry_object.retry_error_callback is not None:
            return True
        raise error

    def __and__(self, other: stop_base) -> stop_all:
        return stop_all(other, self)  # it raises, so the other is asked first


def _refused(error: BaseException | None, left: float) -> bool:
    """True if an enclosing deadline left the attempt too little: no more is left here than was left there."""
    return isinstance(error, DeadlineExceeded) and error.rejected and left <= error.limit

"""Arguments of users, checked at the door, in their words."""

from __future__ import annotations

import contextlib
import math
import reprlib
import time
from typing import Any

_bounded = reprlib.Repr()
_bounded.maxlong = _bounded.maxstring = _bounded.maxother = 500  # characters
_bounded.maxdict = _bounded.maxlist = _bounded.maxtuple = _bounded.maxset = _bounded.maxfrozenset = 50  # items


def shown(value: object) -> str:
    """`repr(value)` for a message about bad input: of bounded length, and of any value, also one that has none."""
    if isinstance(value, int) and value.bit_length() > 2000:  # of more digits than Python converts, perhaps
        return f"<int of {value.bit_length()} bits>"
    try:
        return _bounded.repr(value)
    except Exception:  # before 3.14, of a container of such, too
        return f"<{type(value).__name__}>"


def check_options(at_least: float, reserve: float | None) -> None:
    """Raise TypeError or ValueError for what is not a number of seconds, or is negative."""
    for parameter, value in (("at_least", at_least), ("reserve", reserve)):
        if value is not None and seconds_of(parameter, value) < 0.0:
            raise ValueError(f"{parameter} must not be negative, not {shown(value)}")


def seconds_of(parameter: str, value: object) -> float:
    """`value` as seconds, or a TypeError or ValueError that names `parameter`.

    An int stays one, as in asyncio. Any other number becomes a float, whatever arithmetic it has of its own.
    """
    if isinstance(value, str | bytes):  # float() would read them
        raise TypeError(_wrong(parameter, value)) from None
    try:
        seconds = float(value)  # type: ignore[arg-type]  # that it may not be a number is the question
    except OverflowError:
        raise ValueError(_wrong(parameter, value)) from None
    except (TypeError, ValueError):
        raise TypeError(_wrong(parameter, value)) from None
    if math.isnan(seconds):
        raise ValueError(_wrong(parameter, value)) from None
    return value if isinstance(value, int) else seconds


def plain(seconds: Any) -> Any:
    """`seconds`, None too, as an int or a float: others may have no hash, and arithmetic of their own."""
    return None if seconds is None else seconds_of("seconds", seconds)


def check_clock(parameter: str, when: float, now: float) -> None:
    """Raise ValueError for an instant of `time.time()` where the clock of the loop, which says `now`, is another."""
    if when - now > YEARS and abs(when - time.time()) < YEARS:
        raise ValueError(
            f"{parameter} must be an instant on the event loop's clock, not {when!r}, which is one of time.time(): "
            "write loop.time() + seconds"
        )


YEARS = 1e8
"""Three years: no deadline is so far off, and no instant of another clock so close to time.time()."""


def _wrong(parameter: str, value: object) -> str:
    """The message for a value that is no number of seconds: what it is, and what to write, where that can be told."""
    message = f"{parameter} must be a number of seconds, not {shown(value)}"
    if hasattr(value, "total_seconds"):
        return f"{message}: write .total_seconds() behind it"
    if hasattr(value, "__await__"):
        return f"{message}: the awaitable stands first, then the seconds"
    if callable(value):
        return f"{message}: call it"
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            return f"{message}: write {float(value):g}"
    return message

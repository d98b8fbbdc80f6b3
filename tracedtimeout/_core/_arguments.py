"""What users pass in: checked at the door, in their words."""

from __future__ import annotations

import math


def check_options(at_least: float, reserve: float | None) -> None:
    """Raise TypeError or ValueError for what is not a number of seconds, or is negative."""
    for parameter, value in (("at_least", at_least), ("reserve", reserve)):
        if value is not None and seconds_of(parameter, value) < 0.0:
            raise ValueError(f"{parameter} must not be negative, not {value!r}")


def seconds_of(parameter: str, value: object) -> float:
    """`value` as seconds (an int stays one, as in asyncio), or a TypeError or ValueError that names `parameter`."""
    wrong = f"{parameter} must be a number of seconds, not {value!r}"
    if isinstance(value, str | bytes):  # float() would read them
        raise TypeError(wrong) from None
    try:
        seconds = float(value)  # type: ignore[arg-type]  # that it may not be a number is the question
    except OverflowError:
        raise ValueError(wrong) from None
    except (TypeError, ValueError):
        raise TypeError(wrong) from None
    if math.isnan(seconds):
        raise ValueError(wrong) from None
    return value if isinstance(value, int | float) else seconds

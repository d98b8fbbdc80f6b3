"""The headers of a deadline, made and read without a clock: what goes in, comes out exactly."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tracedtimeout._core._arguments import shown
from tracedtimeout.propagation import DEADLINE_BUDGET, HEADERS, decode, encode, nanoseconds


def deadline_headers(seconds: float, *, header: str = DEADLINE_BUDGET) -> dict[str, str]:
    """The headers of a caller who gives a request `seconds`.

    They do not say when they were sent, so that a request gets all of it, however slow the test.

    Args:
        seconds: of budget.
        header: the one of `tracedtimeout.propagation.HEADERS` to write.

    Raises:
        TypeError, ValueError: there is no such header, or `seconds` is no finite number.
    """
    return {header: encode(header, nanoseconds(seconds))}


def granted(headers: Mapping[Any, Any] | Iterable[tuple[Any, Any]]) -> float | None:
    """The seconds that the headers of a request grant, the least of several; None where they have no deadline.

    Args:
        headers: of a request that was sent, as `httpx.Request.headers` or ASGI's pairs of bytes.

    Raises:
        ValueError: a header of a deadline is malformed.
        TypeError: `headers` is neither a mapping nor pairs.
    """
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    try:
        lines = [(_text(name).lower(), _text(value)) for name, value in pairs]
    except (TypeError, ValueError) as exc:
        raise TypeError(f"headers must be a mapping, or pairs of names and values, not {shown(headers)}") from exc
    found = [decode(name, value) for name, value in lines if name in HEADERS]
    return min((each / 10**9 for each in found if each is not None), default=None)


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)

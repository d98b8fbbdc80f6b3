"""The wire formats of a deadline: what four headers say, read strictly and written rounding down. No clock, no floats.

Grammars are matched whole and in ASCII: ``\\d`` also matches full-width digits and ``$`` a trailing newline, and two
Python libraries accept both.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import NamedTuple

from tracedtimeout._core._arguments import shown
from tracedtimeout._core._tuples import importing
from tracedtimeout._shared import trust

HEADERS = trust.HEADERS
"""All that are read."""
DEADLINE_BUDGET, GRPC_TIMEOUT, CONNECT_TIMEOUT, ENVOY_TIMEOUT = HEADERS
"""The first is ours: an RFC 9651 item, milliseconds left and, as ``sent``, the unix time in milliseconds at which that
was so."""
EMITTED = (DEADLINE_BUDGET, GRPC_TIMEOUT)
"""The headers that are written unless others are asked for."""

MOST_NS = 2**63 - 1
"""Longer deadlines, 292 years, are read and written as this one."""
_MS = 10**6

_LONGEST = 4096
"""Characters looked at: parameters unknown to us are legal, and must still be parsed."""


@importing
class Parsed(NamedTuple):
    """One header, understood: nanoseconds (None: explicitly no deadline), and when it was sent in unix milliseconds."""

    budget_ns: int | None
    sent_ms: int | None = None


Said = tuple[int | None, int | None]
"""The fields of `Parsed` without their names, which cost 0.3 us a request."""


def decode(header: str, value: str) -> int | None:
    """The nanoseconds that a header's value grants; None if it says that there is no deadline.

    Saturates at ``2**63 - 1``. When it was sent is not looked at, save that it must be well-formed.

    Raises:
        ValueError: `value` is malformed, or `header` is none of `HEADERS`.
    """
    return parse(header, value).budget_ns


def encode(header: str, nanoseconds: int) -> str:
    """The value of `header` that grants at most `nanoseconds`; rounding up would give a child more than its parent has.

    A spent budget is ``0``, and ``1n`` in grpc-timeout, which some servers take for none at all if it is zero.

    Raises:
        ValueError: `header` is not one that is written (Envoy's is for reading only).
        TypeError: `nanoseconds` is no int.
    """
    try:
        writer = _WRITERS[header]
    except (KeyError, TypeError):
        raise ValueError(f"header must be one of {sorted(_WRITERS)}, not {shown(header)}") from None
    try:
        return writer(min(max(0, operator.index(nanoseconds)), MOST_NS))
    except TypeError:
        raise TypeError(f"nanoseconds must be an int, not {shown(nanoseconds)}") from None


def parse(header: str, value: str) -> Parsed:
    """All that a header's value says. Raises ValueError as `decode` does."""
    try:
        said = read(header, value)
    except (KeyError, TypeError):
        raise ValueError(f"header must be one of {sorted(_READERS)}, not {shown(header)}") from None
    if said is None:
        raise ValueError(f"malformed {header}: {shown(value)[:60]}")
    return Parsed(*said)


def read(header: str, value: object) -> Said | None:
    """`parse`, of one of `HEADERS`; None if it is malformed: an error that nobody reads would double the cost."""
    reader = _READERS[header]
    return reader(value) if isinstance(value, str) and len(value) <= _LONGEST else None


_UNITS = {"n": 1, "u": 10**3, "m": _MS, "S": 10**9, "M": 60 * 10**9, "H": 3600 * 10**9}
"""From the finest to the coarsest."""


def _read_grpc(value: str) -> Said | None:
    digits, size = value[:-1], _UNITS.get(value[-1:])
    if size is None or len(digits) > 8 or not _is_digits(digits):
        return None
    return min(int(digits) * size, MOST_NS), None


def _write_grpc(nanoseconds: int) -> str:
    nanoseconds = max(1, nanoseconds)
    unit, size = next((unit, size) for unit, size in _UNITS.items() if nanoseconds // size < 10**8)
    return f"{nanoseconds // size}{unit}"


def _is_digits(text: str) -> bool:
    return text.isdigit() and text.isascii()  # the first holds for other scripts' digits, the second for ""


_CONNECT = re.compile("[0-9]{1,10}")


def _read_connect(value: str) -> Said | None:
    return (int(value) * _MS, None) if _CONNECT.fullmatch(value) else None  # ten digits are 116 days: no saturation


def _write_connect(nanoseconds: int) -> str:
    return str(min(nanoseconds // _MS, 10**10 - 1))


_ENVOY = re.compile("[0-9]{1,20}")


def _read_envoy(value: str) -> Said | None:
    if not _ENVOY.fullmatch(value) or (milliseconds := int(value)) >= 2**64:
        return None
    return min(milliseconds * _MS, MOST_NS) or None, None


# RFC 9651, sections 3.1.2 and 3.3: an integer has 15 digits at most, a parameter's value may be any bare item.
_KEY = r"[a-z*][a-z0-9_\-.*]*"
_BARE = (
    r"-?[0-9]{1,12}\.[0-9]{1,3}|@?-?[0-9]{1,15}"
    r'|"(?:[ !#-\[\]-~]|\\["\\])*"'
    r"|[A-Za-z*][A-Za-z0-9!#$%&'*+\-.^_`|~:/]*"
    r"|:[A-Za-z0-9+/=]*:|\?[01]"
    r'|%"(?:[ !#$&-~]|%[0-9a-f]{2})*"'
)
_PARAMETER = re.compile(f"; *({_KEY})(?:=({_BARE}))?")
_ITEM = re.compile(f" *([0-9]{{1,15}})((?:; *{_KEY}(?:=(?:{_BARE}))?)*) *")
_INTEGER = re.compile("-?[0-9]{1,15}")


def _read_budget(value: str) -> Said | None:
    budget, given, sent = value.partition(";sent=")  # what we send ourselves: read in a third of the grammar's time
    if value.isascii() and budget.isdigit() and len(budget) <= 15:
        if not given:
            return min(int(budget) * _MS, MOST_NS), None
        if sent.isdigit() and len(sent) <= 15:
            return min(int(budget) * _MS, MOST_NS), int(sent)
    return _read_item(value)


def _read_item(value: str) -> Said | None:
    """A deadline-budget by the whole grammar."""
    match = _ITEM.fullmatch(value)
    if match is None:
        return None
    budget_ns = min(int(match[1]) * _MS, MOST_NS)
    parameters = {found[1]: found[2] or "" for found in _PARAMETER.finditer(match[2])}  # the last of a name wins
    sent = parameters.get("sent")
    if sent is None:
        return budget_ns, None
    return (budget_ns, int(sent)) if _INTEGER.fullmatch(sent) else None


def _write_budget(nanoseconds: int) -> str:
    return str(nanoseconds // _MS)


_READERS: dict[str, Callable[[str], Said | None]] = {
    DEADLINE_BUDGET: _read_budget,
    GRPC_TIMEOUT: _read_grpc,
    CONNECT_TIMEOUT: _read_connect,
    ENVOY_TIMEOUT: _read_envoy,
}
_WRITERS: dict[str, Callable[[int], str]] = {
    DEADLINE_BUDGET: _write_budget,
    GRPC_TIMEOUT: _write_grpc,
    CONNECT_TIMEOUT: _write_connect,
}

"""Received headers: which are believed, the budget that they grant less their transit, and the counts of them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from tracedtimeout._core.figures import _metrics, _process

from . import _wire
from ._wire import HEADERS

KNOWN: dict[object, str] = {name: header for header in HEADERS for name in (header, header.encode())}
"""The headers that are read, by their names as text and as bytes."""

_BYTES = (bytes, bytearray)  # `bytes | bytearray` would be made anew at each request: 1 us
_LISTS, _NAMES = (list, tuple), (str, bytes)
_MOST_TRANSIT_NS = 100 * 10**6
"""A request door takes off no more than this, nor than a tenth of the value: clocks differ, and `sent` alone must
never expire a request."""


def seconds(
    lines: Iterable[tuple[object, object]],
    *,
    accept: Collection[str] = HEADERS,
    queued: bool = False,
    counted: bool = False,
    now_ns: int | None = None,
) -> float | None:
    """The least budget that the believed ones among header `lines` grant, in seconds; None if none does.

    What is malformed, sent at an impossible time or not believed is counted, never raised. Of a header that comes twice
    each line holds, and all but the first are counted as malformed besides: it may come but once.

    Args:
        lines: names and values, each text or bytes; what is none of `HEADERS` is skipped.
        accept: the headers believed.
        queued: it waited in a queue: all of the transit is taken off, so that it may be spent.
        counted: somebody read the same headers before, and counted what came with them.
        now_ns: unix time, by default now.
    """
    least: int | None = None
    granted, winner = 0, ""
    seen: list[str] = []
    ignored: list[tuple[str, str]] = []
    for line in lines:
        header = KNOWN.get(line[0])
        if header is None:
            continue
        if header not in accept:
            ignored.append((header, "untrusted"))
            continue
        if header not in seen:  # a list of four at most
            seen.append(header)
        elif not counted:
            ignored.append((header, "malformed"))
        value = line[1]
        parsed = _wire.read(header, value.decode("latin-1") if isinstance(value, _BYTES) else value)
        if parsed is None:
            if not counted:
                ignored.append((header, "malformed"))
            continue
        budget_ns, sent_ms = parsed
        if budget_ns is None:
            continue
        left = budget_ns
        if sent_ms is not None:
            transit_ns = (time.time_ns() if now_ns is None else now_ns) - sent_ms * 10**6
            left = _left(header, left, transit_ns, queued=queued, counted=counted)
        if least is None or left < least:
            least, granted, winner = left, budget_ns, header
    if ignored:
        for labels, times in Counter(ignored).items():
            _process.count(_metrics.HEADERS_IGNORED, labels, times)
    if least is None:
        return None
    if not counted:
        _process.record(_metrics.RECEIVED, (winner,), granted / 1e9)
    return least / 1e9


def lines_of(carrier: Mapping[object, object] | Iterable[tuple[object, object]] | None) -> list[tuple[str, object]]:
    """The lines of `HEADERS` in a carrier: a mapping or pairs, text or bytes, names in any case, values or lists.

    None, as some libraries say that there are no headers, has none.
    """
    if carrier is None:
        return []
    # A list is told first: to ask for a Mapping costs as much as reading a header.
    pairs = carrier.items() if not isinstance(carrier, list) and isinstance(carrier, Mapping) else carrier
    found: list[tuple[str, object]] = []
    for name, value in pairs:
        if isinstance(name, bytearray):
            name = bytes(name)  # noqa: PLW2901  # the same, hashable
        header = KNOWN.get(name.lower()) if isinstance(name, _NAMES) else None
        if header is None:
            continue
        if isinstance(value, _LISTS):
            found += [(header, each) for each in value]
        else:
            found.append((header, value))
    return found


def _left(header: str, budget_ns: int, transit_ns: int, *, queued: bool, counted: bool) -> int:
    """`budget_ns` less the transit, as far as that can be believed."""
    if transit_ns < 0 or (not queued and 0 < budget_ns < transit_ns):
        if not counted:
            _process.count(_metrics.HEADERS_IGNORED, (header, "skew"))
        return budget_ns
    if not counted:
        _process.record(_metrics.TRANSIT, (header,), transit_ns / 1e9)
    if queued:
        return max(0, budget_ns - transit_ns)
    return budget_ns - min(transit_ns, budget_ns // 10, _MOST_TRANSIT_NS)

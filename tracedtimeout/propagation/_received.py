"""Received headers: which are believed, the budget that they grant less their transit, and the counts of them."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from tracedtimeout._core._arguments import shown
from tracedtimeout._core._link import reader_here
from tracedtimeout._core.figures import _metrics, _process
from tracedtimeout._core.figures._metrics import RECEIVED, TRANSIT

from . import _wire
from ._wire import DEADLINE_BUDGET, HEADERS

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
    if lines.__class__ is list and len(lines) == 1 and not queued and not counted:
        only = lines[0]
        if KNOWN.get(only[0]) is DEADLINE_BUDGET and DEADLINE_BUDGET in accept:
            read = _as_we_write_it(only[1], now_ns)
            if read is not None:
                return read
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
        _record(RECEIVED, winner, granted / 1e9)
    return least / 1e9


_SENT: dict[type, Any] = {bytes: b";sent=", str: ";sent="}


def _as_we_write_it(value: Any, now_ns: int | None) -> float | None:
    """`seconds` of a deadline-budget as our own doors send it, in a fifth of the time; None, and nothing is counted, of
    any other, and of the first of a loop."""
    said = _SENT.get(value.__class__)
    if said is None or not value.isascii():
        return None
    budget, _, sent = value.partition(said)
    if not (budget.isdigit() and sent.isdigit()) or len(budget) > 12 or len(sent) > 15:
        return None
    granted = int(budget) * 1_000_000
    transit = (time.time_ns() if now_ns is None else now_ns) - int(sent) * 1_000_000
    if not 0 <= transit <= granted:
        return None
    try:
        headers = reader_here().figures.headers
        received, transits = headers[RECEIVED][DEADLINE_BUDGET], headers[TRANSIT][DEADLINE_BUDGET]
    except (AttributeError, KeyError):  # no loop, or the first of one
        return None
    seconds = granted / 1e9
    received.counts[bisect_left(received.bounds, seconds)] += 1
    received.total += seconds
    seconds = transit / 1e9
    transits.counts[bisect_left(transits.bounds, seconds)] += 1
    transits.total += seconds
    return (granted - min(transit, granted // 10, _MOST_TRANSIT_NS)) / 1e9


def _record(metric: _metrics.Metric, header: str, seconds: float) -> None:
    """Count `seconds` of `header`: by the loop, where one runs here."""
    figures = getattr(reader_here(), "figures", None)
    if figures is None:
        _process.record(metric, (header,), seconds)
    else:
        figures.of_header(metric, header).record(seconds)


def lines_of(carrier: Mapping[object, object] | Iterable[tuple[object, object]] | None) -> list[tuple[str, object]]:
    """The lines of `HEADERS` in a carrier: a mapping or pairs, text or bytes, names in any case, values or lists.

    None, as some libraries say that there are no headers, has none.

    Raises:
        TypeError: it is neither.
    """
    if carrier is None:
        return []
    # A list is told first: to ask for a Mapping costs as much as reading a header.
    pairs = carrier.items() if not isinstance(carrier, list) and isinstance(carrier, Mapping) else carrier
    found: list[tuple[str, object]] = []
    try:
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
    except (TypeError, ValueError) as exc:
        raise TypeError(f"carrier must be a mapping, or pairs of names and values, not {shown(carrier)}") from exc
    return found


def _left(header: str, budget_ns: int, transit_ns: int, *, queued: bool, counted: bool) -> int:
    """`budget_ns` less the transit, as far as that can be believed."""
    if transit_ns < 0 or (not queued and 0 < budget_ns < transit_ns):
        if not counted:
            _process.count(_metrics.HEADERS_IGNORED, (header, "skew"))
        return budget_ns
    if not counted:
        _record(TRANSIT, header, transit_ns / 1e9)
    if queued:
        return max(0, budget_ns - transit_ns)
    return budget_ns - min(transit_ns, budget_ns // 10, _MOST_TRANSIT_NS)

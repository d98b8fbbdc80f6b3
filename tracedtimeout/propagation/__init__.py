"""The budget across processes: what goes into outgoing headers and messages, and what comes out of incoming ones."""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Iterable, Mapping, MutableMapping
from typing import Any

from opentelemetry.context import Context
from opentelemetry.propagators.textmap import (
    CarrierT,
    Getter,
    Setter,
    TextMapPropagator,
    default_getter,
    default_setter,
)

from tracedtimeout._core._arguments import seconds_of, shown
from tracedtimeout._core._budget import remaining
from tracedtimeout._core._link import instant
from tracedtimeout._core._link import reader_here as here
from tracedtimeout._shared import trust

from . import _attached, _received
from ._wire import (
    CONNECT_TIMEOUT,
    DEADLINE_BUDGET,
    EMITTED,
    ENVOY_TIMEOUT,
    GRPC_TIMEOUT,
    HEADERS,
    MOST_NS,
    decode,
    encode,
)

__all__ = [
    "CONNECT_TIMEOUT",
    "DEADLINE_BUDGET",
    "EMITTED",
    "ENVOY_TIMEOUT",
    "GRPC_TIMEOUT",
    "HEADERS",
    "DeadlinePropagator",
    "decode",
    "encode",
    "extract",
    "inject",
    "outgoing",
]


def inject(carrier: MutableMapping[str, str], *, headers: Collection[str] = EMITTED) -> None:
    """Put the budget in force here into `carrier`, under each of `headers`; nothing if there is none.

    A spent budget goes out as ``0;sent=...`` and ``1n``: to fail before sending, look at `remaining()` first.
    """
    for header, value in outgoing(headers=headers).items():
        carrier[header] = value


def extract(
    carrier: Mapping[Any, Any] | Iterable[tuple[Any, Any]] | None,
    queued: bool = False,
    *,
    accept: Collection[str] = HEADERS,
) -> float | None:
    """Seconds of budget that came with a request or message, for `budget()` or `timeout()`; None if none did.

    Never raises for a header: a malformed one is ignored and counted. With several headers the least wins.

    Args:
        carrier: a mapping or pairs of names and values, each text or bytes: headers, metadata, the fields of a message;
            None for none.
        queued: it waited in a queue: all the time since it was sent is taken off, and a message older than its budget
            gives 0.0. Otherwise at most 100 ms and a tenth of it are, since clocks differ.
        accept: the headers believed.

    Raises:
        TypeError: `carrier` is neither a mapping nor pairs.
    """
    return _received.seconds(_received.lines_of(carrier), accept=accept, queued=queued)


def outgoing(seconds: float | None = None, *, headers: Collection[str] = EMITTED) -> dict[str, str]:
    """The headers that carry `seconds` of budget, by default what is left here; none if it is ``inf``.

    They say when they were made: make them anew for each attempt and redirect.

    Raises:
        TypeError, ValueError: `seconds` is no number of seconds.
    """
    sent_ms = time.time_ns() // 10**6  # before the budget is read: what passes in between counts as transit
    left = remaining() if seconds is None else seconds
    if left == math.inf:
        return {}
    budget_ns = nanoseconds(left)
    written = {header: encode(header, budget_ns) for header in headers}
    if DEADLINE_BUDGET in written:
        written[DEADLINE_BUDGET] += f";sent={sent_ms}"
    return written


def nanoseconds(seconds: float) -> int:
    """Finite `seconds` in whole nanoseconds, rounded down exactly (a product of floats may round up); 0 if negative.

    Raises:
        TypeError, ValueError: it is no finite number of seconds.
    """
    try:
        numerator, denominator = seconds.as_integer_ratio()
    except (AttributeError, TypeError, ValueError, OverflowError):
        number = seconds_of("seconds", seconds)
        if math.isinf(number):
            raise ValueError(f"seconds must be finite, not {shown(seconds)}") from None
        numerator, denominator = number.as_integer_ratio()
    return min(max(0, numerator * 10**9 // denominator), MOST_NS)


class DeadlinePropagator(TextMapPropagator):
    """Carries the budget through every client and server that OpenTelemetry instruments.

    ``OTEL_PROPAGATORS=tracecontext,baggage,deadline``. A deadline that an instrumentation extracts and attaches bounds
    the timeouts opened while it is; `install(accept=, maximum=)` says which are believed, and for how long. It cannot
    abort what is sent: a spent budget goes out as spent.

    A task keeps what was attached where it was created, this deadline like the span, also after the request: create a
    worker that outlives it, such as one that is started when first needed, under `detach()`.
    """

    def __init__(self) -> None:
        _attached.install()

    def extract(
        self, carrier: CarrierT, context: Context | None = None, getter: Getter[CarrierT] = default_getter
    ) -> Context:
        lines = [(header, value) for header in HEADERS for value in getter.get(carrier, header) or ()]
        seconds = _received.seconds(lines, accept=trust.accept)
        if seconds is not None and trust.maximum is not None:
            seconds = min(seconds, trust.maximum)
        context = Context() if context is None else context
        return context if seconds is None else _attached.with_deadline(context, seconds)

    def inject(
        self, carrier: CarrierT, context: Context | None = None, setter: Setter[CarrierT] = default_setter
    ) -> None:
        for header, value in outgoing(_left(context)).items():
            setter.set(carrier, header, value)

    @property
    def fields(self) -> set[str]:
        return set(EMITTED)


def _left(context: Context | None) -> float:
    """Seconds left here, and to the deadline in `context` if one is passed that may not be attached."""
    left = remaining()
    remote = None if context is None else _attached.deadline_in(context)
    if remote is None:
        return left
    reader = here()
    seconds: float = instant(remote, reader) - reader.clock()
    return min(left, max(0.0, seconds))

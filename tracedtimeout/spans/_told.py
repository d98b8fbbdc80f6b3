"""The attributes and the status of a span, as facts of its timeout."""

from __future__ import annotations

import math
from collections.abc import ItemsView, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from opentelemetry.trace import Span, StatusCode
from opentelemetry.util.types import AttributeValue

from tracedtimeout import _exemplars
from tracedtimeout._core._exceeded import DeadlineExceeded
from tracedtimeout._core._facts import Usual, ended_usually
from tracedtimeout._core._link import REMOTE
from tracedtimeout._core._outcome import Outcome
from tracedtimeout._core._timeout import Timeout
from tracedtimeout._core._view import View, message_of
from tracedtimeout._core._words import described, words

NAME = "tracedtimeout.name"
KIND = "tracedtimeout.kind"
LIMIT = "tracedtimeout.limit"
REQUESTED = "tracedtimeout.requested"
SOURCE = "tracedtimeout.source"
OUTCOME = "tracedtimeout.outcome"
OWNER = "tracedtimeout.owner"
OVERRUN = "tracedtimeout.overrun"
RESCHEDULES = "tracedtimeout.reschedules"
SPENT = "tracedtimeout.spent"
ERROR_TYPE = "error.type"
CODE_FUNCTION = "code.function.name"
CODE_FILE = "code.file.path"
CODE_LINE = "code.line.number"

Attributes = dict[str, AttributeValue]


class AtStart(Mapping[str, AttributeValue]):
    """The attributes at start, built if anybody looks: a sampler or a span that is recorded."""

    __slots__ = ("_built", "_timeout")

    def __init__(self, timeout: View) -> None:
        self._timeout = timeout
        self._built: Attributes | None = None

    def _all(self) -> Attributes:
        built = self._built
        if built is None:
            built = self._built = at_start(self._timeout, self._timeout.source)
        return built

    def copy(self) -> Attributes:
        return self._all().copy()

    def items(self) -> ItemsView[str, AttributeValue]:
        return (self._built or self._all()).items()

    def __getitem__(self, key: str) -> AttributeValue:
        return self._all()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._built or self._all())


def at_start(timeout: View, source: str) -> Attributes:
    attributes: Attributes = {NAME: timeout.name, KIND: timeout.kind, SOURCE: source}
    limit = timeout.limit
    if limit != math.inf:
        attributes[LIMIT] = _rounded(limit)
    requested = timeout.requested
    if requested is not None and requested != math.inf and _rounded(requested) != attributes.get(LIMIT):
        attributes[REQUESTED] = _rounded(requested)
    return attributes


def usual_start(facts: Usual) -> Mapping[str, AttributeValue]:
    """The attributes at start of a timeout of these facts. Many spans begin with them, so nobody can change them."""
    name, kind, limit = facts
    return MappingProxyType({NAME: name, KIND: kind, SOURCE: "own", LIMIT: _rounded(limit)})


def source_afterwards(timeout: View) -> str:
    """The source of the deadline of a timeout that is over: what enclosed it may be gone."""
    when, deadline = timeout.when(), timeout.deadline()
    if deadline is None or deadline == math.inf:
        return "none"
    if when is not None and when <= deadline:
        return "own"
    return "header" if timeout.owner == REMOTE else "inherited"


def end(span: Span, timeout: View) -> None:
    if span.is_recording():
        outcome: Any = timeout.outcome  # `timeout` has ended
        span.set_attribute(OUTCOME, str(outcome))
        if timeout.__class__ is not Timeout or not ended_usually(timeout):
            if more := _at_end(timeout, outcome):
                span.set_attributes(more)
            if outcome.is_error:
                span.set_status(StatusCode.ERROR, _description(timeout))
        _exemplars.keep(timeout, span.get_span_context())
    span.end()


def end_anyway(span: Span | None) -> None:
    """End `span`, whatever broke off the telling of its attributes."""
    if span is not None and span.is_recording():
        span.end()


def _at_end(timeout: View, outcome: Outcome) -> Attributes:
    """The attributes at end but the outcome: of most timeouts there are none."""
    attributes: Attributes = {}
    fired = timeout.expired() or outcome is Outcome.INHERITED
    if timeout.owner != timeout.name if fired else timeout.source in ("inherited", "header"):
        attributes[OWNER] = timeout.owner
    if (overrun := timeout.overrun) and (rounded := _rounded(overrun)):
        attributes[OVERRUN] = rounded
    if reschedules := timeout.reschedules:
        attributes[RESCHEDULES] = reschedules
    if outcome is Outcome.COMPLETED:
        return attributes
    if outcome.is_deadline:
        attributes[ERROR_TYPE] = "timeout"
    elif outcome.is_error:
        attributes[ERROR_TYPE] = words(type(timeout.error).__qualname__)
    if fired:
        _add_expiry(attributes, timeout)
    return attributes


def _add_expiry(attributes: Attributes, timeout: View) -> None:
    if timeout.spent:
        attributes[SPENT] = [words(spent) for spent in timeout.spent]
    if (where := timeout.where) is not None:
        attributes[CODE_FUNCTION] = words(f"{where.module}.{where.function}")
        attributes[CODE_FILE] = words(where.path)
        attributes[CODE_LINE] = where.line


def _description(timeout: View) -> str:
    """The message of `DeadlineExceeded`, also where another exception left the body; a foreign one as OTel puts it."""
    error = timeout.error
    if timeout.outcome is Outcome.FAILED and error is not None:
        return described(error)
    return words(error if isinstance(error, DeadlineExceeded) else message_of(timeout))


def _rounded(seconds: float) -> float:
    """To the microsecond: a limit is the difference of two clock readings, and 2.0 is meant to read 2.0."""
    return int(seconds * 1e6 + 0.5) / 1e6  # `round` takes three times as long


__all__ = ["AtStart", "at_start", "end", "end_anyway", "source_afterwards", "usual_start"]

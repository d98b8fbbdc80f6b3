"""Spans: one OpenTelemetry span for every timeout, or only for those that something went wrong with.

API only; the SDK, its processors and exporters are the application's. Two habits of OTel's own helpers are avoided:
`start_as_current_span` costs 5 us even without an SDK, and `record_exception` 55-115 us.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, ItemsView, Iterator, Mapping
from contextvars import ContextVar, Token
from typing import Any, Literal

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context, attach, get_current
from opentelemetry.context.contextvars_context import ContextVarsRuntimeContext
from opentelemetry.trace import Span, StatusCode, TracerProvider
from opentelemetry.util.types import AttributeValue

from . import _exemplars
from ._core._arguments import shown
from ._core._exceeded import DeadlineExceeded
from ._core._link import REMOTE
from ._core._observers import Closer, Noting, Unhurried
from ._core._outcome import Outcome
from ._core._view import View, message_of
from ._core._words import described, words
from ._version import VERSION

__all__ = ["SpanObserver"]

TRACER = "tracedtimeout"

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

# Tuples, for an enum's hash is a function of Python's.
_DEADLINE = (Outcome.REJECTED, Outcome.EXPIRED, Outcome.INHERITED)
"""Outcomes that are a timeout's own error."""

_ERROR = (*_DEADLINE, Outcome.REPLACED, Outcome.FAILED)
"""Outcomes that make the span an error; a cancellation is none."""

_TROUBLE = (*_DEADLINE, Outcome.REPLACED, Outcome.SUPPRESSED, Outcome.LATE)
"""Outcomes that a late span is created for: something expired or overran."""

(_CURRENT_SPAN,) = trace.set_span_in_context(trace.INVALID_SPAN, Context())
"""The key that OTel's context has the current span under."""

Policy = Literal["always", "late"]
Attributes = dict[str, AttributeValue]


class SpanObserver(Noting):
    """An observer that makes each timeout a span, current inside its body.

    With policy ``late`` there is no span until something expires or overruns; then one is created, with its true start
    time and under the span that was current on entry. Spans begun inside attach to that one too, as without us.

    Args:
        policy: ``always`` or ``late``.
        tracer_provider: by default the global one, whenever it is set.
    """

    def __init__(self, policy: Policy = "always", tracer_provider: TracerProvider | None = None) -> None:
        if policy not in ("always", "late"):
            raise ValueError(f"policy must be 'always' or 'late', not {shown(policy)}")
        self._late = policy == "late"
        plainly = self._late and type(self) is SpanObserver  # else `__call__` may be another
        super().__init__(self._afterwards, _context_reader() if plainly else None, Context)
        self._tracer = trace.get_tracer(TRACER, VERSION, tracer_provider)

    def __call__(self, timeout: View, /) -> Closer | None:
        if self._late:
            return Unhurried(self.closer, _standing(get_current()))
        before = _standing(get_current())
        span = None
        try:
            span = self._tracer.start_span(f"timeout {timeout.name}", before, attributes=_AtStart(timeout))
            if not span.get_span_context().is_valid:
                return None  # no SDK
            return _Inside(before, span).leave
        except BaseException:
            _end_anyway(span)
            raise

    def _afterwards(self, before: Context, timeout: View) -> None:
        """Create the span of a timeout that is over, if its end is worth one."""
        if timeout.outcome not in _TROUBLE:
            return
        start = time.time_ns() - round(timeout.elapsed * 1e9)
        attributes = _at_start(timeout, _source_afterwards(timeout))
        span = None
        try:
            span = self._tracer.start_span(f"timeout {timeout.name}", before, attributes=attributes, start_time=start)
            _end(span, timeout)
        finally:
            _end_anyway(span)


def _context_reader() -> Callable[[], object] | None:
    """What OTel's `get_current` asks in the end, two functions further down; None where that is something else."""
    variable = getattr(otel_context._RUNTIME_CONTEXT, "_current_context", None)
    usual = type(otel_context._RUNTIME_CONTEXT) is ContextVarsRuntimeContext and type(variable) is ContextVar
    return variable.get if usual else None


class _Inside(Context):
    """OTel's context in the body of a timeout: its span is current. Attached when made."""

    __slots__ = ("_behind", "_span", "_token", "before", "left")

    def __init__(self, before: Context, span: Span) -> None:
        super().__init__(before)
        dict.__setitem__(self, _CURRENT_SPAN, span)  # `set_span_in_context` copies once more
        self.before = before
        self.left = False
        self._behind: list[_Inside] | None = None
        self._span = span
        self._token: Token[Context] = attach(self)

    def leave(self, timeout: View) -> None:
        """Make what was current so again, and end the span.

        Not so where this is another Context than it was attached in (a generator closed by another task; OTel's
        `detach` logs an error then), nor while something attached later is still current: who still has this one
        current, reads what was before.
        """
        try:
            self.left = True
            token = self._token
            del self._token  # it leads to the task's Context, which tasks begun inside would keep alive
            if get_current() is not self or not _reset(token):
                self._stand_aside()
            behind, self._behind = self._behind, None
            for each in behind or ():
                each._stand_aside()
            _end(self._span, timeout)
        except BaseException:
            self.left = True
            self._stand_aside()
            _end_anyway(self._span)
            raise

    def _stand_aside(self) -> None:
        """Make the span current that was before, and once that is left, the span before that."""
        self.before = before = _standing(self.before)
        if (span := before.get(_CURRENT_SPAN)) is not None:
            dict.__setitem__(self, _CURRENT_SPAN, span)
        else:
            dict.pop(self, _CURRENT_SPAN, None)
        if isinstance(before, _Inside):
            before._behind = [*(before._behind or ()), self]


def _reset(token: Token[Context]) -> bool:
    try:
        token.var.reset(token)
    except ValueError:  # another Context, that copied the token's
        return False
    return True


def _standing(context: Context) -> Context:
    """`context`, or what was current before it if that was left already."""
    while isinstance(context, _Inside) and context.left:
        context = context.before
    return context


class _AtStart(Mapping[str, AttributeValue]):
    """The attributes at start, built if anybody looks: a sampler or a span that is recorded."""

    __slots__ = ("_built", "_timeout")

    def __init__(self, timeout: View) -> None:
        self._timeout = timeout
        self._built: Attributes | None = None

    def _all(self) -> Attributes:
        built = self._built
        if built is None:
            built = self._built = _at_start(self._timeout, self._timeout.source)
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


def _at_start(timeout: View, source: str) -> Attributes:
    attributes: Attributes = {NAME: timeout.name, KIND: timeout.kind, SOURCE: source}
    limit = timeout.limit
    if limit != math.inf:
        attributes[LIMIT] = _rounded(limit)
    requested = timeout.requested
    if requested is not None and requested != math.inf and _rounded(requested) != attributes.get(LIMIT):
        attributes[REQUESTED] = _rounded(requested)
    return attributes


def _source_afterwards(timeout: View) -> str:
    """Where the deadline of a timeout that is over came from; what enclosed it may be gone."""
    when, deadline = timeout.when(), timeout.deadline()
    if deadline is None or deadline == math.inf:
        return "none"
    if when is not None and when <= deadline:
        return "own"
    return "header" if timeout.owner == REMOTE else "inherited"


def _end(span: Span, timeout: View) -> None:
    if span.is_recording():
        outcome: Any = timeout.outcome  # `timeout` has ended
        span.set_attribute(OUTCOME, str(outcome))
        if more := _at_end(timeout, outcome):
            span.set_attributes(more)
        if outcome is not Outcome.COMPLETED and outcome in _ERROR:
            span.set_status(StatusCode.ERROR, _description(timeout))
        _exemplars.keep(timeout, span.get_span_context())
    span.end()


def _end_anyway(span: Span | None) -> None:
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
    if outcome in _DEADLINE:
        attributes[ERROR_TYPE] = "timeout"
    elif outcome in _ERROR:
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

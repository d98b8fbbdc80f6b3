"""The context in the body of a timeout that is a span: attached, left in whatever order, and never in the way."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar, Token

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context, attach, get_current
from opentelemetry.context.contextvars_context import ContextVarsRuntimeContext
from opentelemetry.trace import Span

from tracedtimeout._core._view import View

from ._told import end, end_anyway

(_CURRENT_SPAN,) = trace.set_span_in_context(trace.INVALID_SPAN, Context())
"""The key that OTel's context has the current span under."""


Current = Callable[[], Context]
Attach = Callable[[Context], Token[Context]]


def keeper() -> tuple[Current, Attach]:
    """OTel's `get_current` and `attach`; or, where that is as usual, what they ask in the end, two functions down."""
    kept = otel_context._RUNTIME_CONTEXT
    variable = getattr(kept, "_current_context", None) if type(kept) is ContextVarsRuntimeContext else None
    return (variable.get, variable.set) if isinstance(variable, ContextVar) else (get_current, attach)


class Inside(Context):
    """OTel's context in the body of a timeout: its span is current. Attached when made."""

    __slots__ = ("_behind", "_current", "_span", "_token", "before", "left")

    def __init__(self, before: Context, span: Span, current: Current, attach: Attach) -> None:
        super().__init__(before)
        dict.__setitem__(self, _CURRENT_SPAN, span)  # `set_span_in_context` copies once more
        self.before = before
        self.left = False
        self._behind: list[Inside] | None = None
        self._current = current
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
            if self._current() is not self or not _reset(token):
                self._stand_aside()
            behind, self._behind = self._behind, None
            for each in behind or ():
                each._stand_aside()
            end(self._span, timeout)
        except BaseException:
            self.left = True
            self._stand_aside()
            end_anyway(self._span)
            raise

    def _stand_aside(self) -> None:
        """Make the span current that was before, and once that is left, the span before that."""
        self.before = before = standing(self.before)
        if (span := before.get(_CURRENT_SPAN)) is not None:
            dict.__setitem__(self, _CURRENT_SPAN, span)
        else:
            dict.pop(self, _CURRENT_SPAN, None)
        if isinstance(before, Inside):
            before._behind = [*(before._behind or ()), self]


def _reset(token: Token[Context]) -> bool:
    try:
        token.var.reset(token)
    except ValueError:  # another Context, that copied the token's
        return False
    return True


def standing(context: Context) -> Context:
    """`context`, or what was current before it if that was left already."""
    while isinstance(context, Inside) and context.left:
        context = context.before
    return context


__all__ = ["Inside", "keeper", "standing"]

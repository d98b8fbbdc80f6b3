"""How the handler of each request ended, as its own timeout saw it, and which requests were not the load's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tracedtimeout import Outcome, Timeout

LOAD = "tracedtimeout-demo-load"
"""The user agent of the load generator."""

MISSED = (b"deadline-missed", b"1")
"""On an answer that is complete, and came after its handler's deadline."""


@dataclass(slots=True)
class Visit:
    """One request, and how the timeout of its handler ended."""

    send: Send
    name: str = ""
    outcome: Outcome | None = None

    def note(self, timeout: Timeout) -> None:
        self.name, self.outcome = timeout.name, timeout.outcome

    async def answer(self, message: Message) -> None:
        if message["type"] == "http.response.start" and self.outcome is Outcome.LATE:
            message["headers"] = [*message["headers"], MISSED]
        await self.send(message)


@dataclass(slots=True)
class Visits:
    """Counts what others than the load asked for: so its ledger can be compared exactly, whoever else calls."""

    others: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Their requests, by the name of the handler's timeout and its outcome."""

    def counted(self, app: ASGIApp) -> ASGIApp:
        """`app`, each of its requests a visit."""

        async def visited(scope: Scope, receive: Receive, send: Send) -> None:
            visit = Visit(send)
            token = _current.set(visit)
            try:
                await app(scope, receive, visit.answer)
            finally:
                _current.reset(token)
                if visit.outcome is not None and Headers(scope=scope).get("user-agent") != LOAD:
                    self.others[visit.name, visit.outcome] += 1

        return visited


_current: ContextVar[Visit | None] = ContextVar("visit", default=None)


def observe(timeout: Timeout) -> Callable[[Timeout], object] | None:
    """An observer: notes the end of each handler in its visit."""
    visit = _current.get()
    return visit.note if visit is not None and timeout.kind == "with_timeout" else None

"""How each request's handler ended, as its own timeout saw it, and which requests are not of the demo's load."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from tracedtimeout import Outcome, Timeout
from tracedtimeout._core._observers import Closer

LOAD = "tracedtimeout-demo-load"
"""The user agent of the load generator."""


@dataclass(slots=True)
class Visit:
    """One request, and how the timeout of its handler ended."""

    name: str = ""
    outcome: Outcome | None = None

    def note(self, timeout: Timeout) -> None:
        self.name, self.outcome = timeout.name, timeout.outcome


_current: ContextVar[Visit | None] = ContextVar("visit", default=None)


@dataclass(slots=True)
class Watch:
    """Tells apart what the load asked for and what others did, so that the load's ledger can be compared exactly."""

    others: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Requests of others, by the handler's timeout and outcome."""

    @contextmanager
    def visit(self, agent: str) -> Iterator[Visit]:
        """A request of `agent`, from here to the end of the block."""
        visit = Visit()
        token = _current.set(visit)
        try:
            yield visit
        finally:
            _current.reset(token)
            if agent != LOAD and visit.outcome is not None:
                self.others[visit.name, visit.outcome] += 1


def observe(timeout: Timeout) -> Closer | None:
    """An observer: notes the end of each handler in its visit."""
    visit = _current.get()
    return visit.note if visit is not None and timeout.kind == "with_timeout" else None

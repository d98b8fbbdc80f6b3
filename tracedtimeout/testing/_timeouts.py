"""`Timeouts`: what opened and closed in a test, to compare with what should have."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tracedtimeout._core import _observers
from tracedtimeout._core._exceeded import Spent, Where
from tracedtimeout._core._outcome import Outcome
from tracedtimeout._core._view import View


@dataclass(frozen=True, slots=True)
class Closed:
    """The facts of a timeout that has ended."""

    name: str
    kind: str
    outcome: Outcome
    owner: str
    limit: float
    requested: float | None
    elapsed: float
    where: Where | None
    spent: tuple[Spent, ...]


class Timeouts:
    """An observer that keeps what it sees, in order. Every method takes a name, or none for all names."""

    def __init__(self) -> None:
        self._opened: list[tuple[str, float]] = []
        self._open: dict[int, str] = {}
        self._closed: list[Closed] = []

    def __call__(self, timeout: View) -> _observers.Closer:
        self._opened.append((timeout.name, timeout.limit))
        self._open[id(timeout)] = timeout.name
        return self._close

    def opened(self, name: str | None = None) -> int:
        """The number of timeouts that were entered; those refused on entry count."""
        return len(self.budgets(name))

    def closed(self, name: str | None = None) -> list[Closed]:
        """The facts of the timeouts that have ended, in the order in which they did."""
        return [each for each in self._closed if name in (None, each.name)]

    def open(self, name: str | None = None) -> list[str]:
        """The names of the timeouts that are open now."""
        return [each for each in self._open.values() if name in (None, each)]

    def expired(self, name: str | None = None) -> int:
        """The number of timeouts that ended by their own deadline. See `outcomes` for those of another's."""
        return self.outcomes(name).count(Outcome.EXPIRED)

    def outcomes(self, name: str | None = None) -> list[Outcome]:
        """The outcomes of the timeouts, in the order in which they ended; each equals its word, ``expired``."""
        return [each.outcome for each in self.closed(name)]

    def owners(self, name: str | None = None) -> list[str]:
        """The name whose deadline was theirs, in the order in which they ended; empty for none."""
        return [each.owner for each in self.closed(name)]

    def budgets(self, name: str | None = None) -> list[float]:
        """The seconds that each timeout had as it was entered, in that order; ``inf`` for no deadline."""
        return [limit for each, limit in self._opened if name in (None, each)]

    def __repr__(self) -> str:
        told = [f"{each.name} {each.outcome.value}" for each in self._closed]
        return f"<Timeouts: {', '.join(told + [f'{name} open' for name in self._open.values()]) or 'none'}>"

    def _close(self, timeout: View) -> None:
        self._open.pop(id(timeout), None)
        assert timeout.outcome is not None
        self._closed.append(
            Closed(
                timeout.name,
                timeout.kind,
                timeout.outcome,
                timeout.owner,
                timeout.limit,
                timeout.requested,
                timeout.elapsed,
                timeout.where,
                timeout.spent,
            )
        )


@contextmanager
def recorded() -> Iterator[Timeouts]:
    """A block whose timeouts are kept in the `Timeouts` that it gives."""
    timeouts = Timeouts()
    _observers.add(timeouts)
    try:
        yield timeouts
    finally:
        _observers.remove(timeouts)

"""The comparison of the load's ledger with the shop's metrics, outcome by outcome."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tracedtimeout import Outcome

OUTCOME_OF: Mapping[str, Outcome] = {
    "200": Outcome.COMPLETED,
    "200 deadline-missed": Outcome.LATE,
    "203": Outcome.SUPPRESSED,
    "402": Outcome.FAILED,
    "409": Outcome.FAILED,
    "500": Outcome.REPLACED,
    "502": Outcome.FAILED,
    "503": Outcome.REJECTED,
    "504": Outcome.EXPIRED,
    "504 deadline-expired": Outcome.INHERITED,
    "hung up": Outcome.CANCELLED,
}
"""What an answer of the shop says about the timeout of its handler."""

Ends = Counter[tuple[str, str]]
"""How many, by the name of a handler's timeout and its outcome."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the comparison."""

    timeout: str
    outcome: str
    answers: str
    ledger: int
    metrics: int

    @property
    def agrees(self) -> bool:
        return self.ledger == self.metrics


def compare(answers: Mapping[str, Mapping[str, int]], metrics: Ends, others: Ends) -> list[Line]:
    """Every pair of handler and outcome that either side has; `others` are in the metrics and not in the ledger."""
    ledger: Ends = Counter()
    said: dict[tuple[str, str], list[str]] = {}
    for path, counts in answers.items():
        for answer, count in counts.items():
            key = (path.strip("/"), str(OUTCOME_OF.get(answer, "?")))
            ledger[key] += count
            said.setdefault(key, []).append(answer)
    names = {path.strip("/") for path in answers} | {name for name, _ in others}
    keys = {key for key in metrics if key[0] in names} | set(ledger)
    return [
        Line(*key, ", ".join(sorted(said.get(key, []))), ledger[key], metrics[key] - others[key])
        for key in sorted(keys, key=_order)
        if ledger[key] or metrics[key] != others[key]
    ]


def unanswered(sent: Mapping[str, int], answers: Mapping[str, Mapping[str, int]]) -> int:
    """Requests of which the ledger does not know how they ended."""
    return sum(sent.values()) - sum(sum(counts.values()) for counts in answers.values())


def outcomes(lines: Iterable[Line]) -> list[str]:
    """The outcomes that happened, in the order of precedence."""
    seen = {line.outcome for line in lines if line.metrics}
    return [str(outcome) for outcome in Outcome if outcome in seen]


def _order(key: tuple[str, str]) -> tuple[str, int]:
    order = [*map(str, reversed(Outcome))]
    return key[0], order.index(key[1]) if key[1] in order else len(order)

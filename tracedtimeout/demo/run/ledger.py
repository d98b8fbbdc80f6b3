"""The comparison of the load's ledger with the shop's metrics, outcome by outcome."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from tracedtimeout import Outcome

ERRORS = ("402", "409", "500", "502")

OUTCOME_OF: Mapping[str, Outcome] = {
    "200": Outcome.COMPLETED,
    "200 deadline-missed": Outcome.LATE,
    "203 deadline-missed": Outcome.SUPPRESSED,
    **dict.fromkeys(ERRORS, Outcome.FAILED),
    **{f"{error} deadline-missed": Outcome.REPLACED for error in ERRORS},
    "503": Outcome.REJECTED,
    "504": Outcome.EXPIRED,
    "504 deadline-expired": Outcome.INHERITED,
    "hung up": Outcome.CANCELLED,
}
"""The outcome of a handler's timeout, by the answer that a client got."""

ORDER = [*map(str, reversed(Outcome)), "?"]

Ends = Counter[tuple[str, str]]
"""Counts of ended timeouts, by name and outcome."""


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


def ends(page: str) -> Ends:
    """The counts in the text of a metrics page."""
    samples = (sample for family in text_string_to_metric_families(page) for sample in family.samples)
    counts = (sample for sample in samples if sample.name == "tracedtimeout_duration_seconds_count")
    return Ends({(each.labels["timeout"], each.labels["outcome"]): int(each.value) for each in counts})


def compare(ledger: Iterable[tuple[str, str, int]], metrics: Ends, others: Ends) -> list[Line]:
    """Every pair of handler and outcome that either side has; `others` are in the metrics and not in the ledger."""
    told: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for path, answer, count in ledger:
        told[path.strip("/"), str(OUTCOME_OF.get(answer, "?"))][answer] += count
    handlers = {handler for handler, _ in [*told, *others]}
    keys = {*told, *(key for key in metrics if key[0] in handlers)}
    lines = [
        Line(*key, ", ".join(sorted(told[key])), told[key].total(), metrics[key] - others[key])
        for key in sorted(keys, key=lambda key: (key[0], ORDER.index(key[1])))
    ]
    return [line for line in lines if line.ledger or line.metrics]

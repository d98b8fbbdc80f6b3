"""What is said at the end: the figures, the ledger beside the metrics, and the slowest expired trace."""

from __future__ import annotations

import json

from rich import box
from rich.console import Console
from rich.table import Table

from . import ledger, table
from .figures import ends
from .ledger import Line
from .services import Seen
from .waterfall import waterfall


class Summary:
    """The end of a run; `told` is the ledger as the load printed it, empty if there was no load."""

    def __init__(self, seen: Seen, told: str) -> None:
        self._seen = seen
        book = json.loads(told) if told else {"sent": {}, "answers": {}}
        self._loaded = bool(told)
        self._lines = ledger.compare(book["answers"], ends(seen.rows), seen.others) if told else []
        self._sent = sum(book["sent"].values())
        self._lost = ledger.unanswered(book["sent"], book["answers"])

    @property
    def agrees(self) -> bool:
        """Whether the ledger and the metrics do, line by line; so they do where there was no load."""
        return not self._lost and all(line.agrees for line in self._lines)

    def show(self, console: Console) -> None:
        console.print(table.table(self._seen.rows, self._seen.payments, brief=console.width < table.WIDE))
        if self._loaded:
            console.print(self._comparison(), self._verdict(), sep="\n")
        if self._seen.trace:
            console.print(waterfall(self._seen.trace, "\nThe slowest trace with an expired timeout", console.width))

    def _comparison(self) -> Table:
        shown = Table(
            title="\nThe load's ledger beside the shop's metrics",
            title_justify="left",
            title_style="bold",
            box=box.SIMPLE_HEAD,
            padding=(0, 1, 0, 0),
            pad_edge=False,
        )
        for heading in ("handler", "answer", "in the ledger", "outcome", "at /metrics", ""):
            shown.add_column(heading, justify="right" if heading in ("in the ledger", "at /metrics") else "left")
        for line in self._lines:
            shown.add_row(*_cells(line), style=None if line.agrees else "bold red")
        return shown

    def _verdict(self) -> str:
        wrong = sum(not line.agrees for line in self._lines)
        outcomes = ", ".join(ledger.outcomes(self._lines))
        if self.agrees:
            return f"{self._sent} requests, every one of them counted. Outcomes: {outcomes}."
        return f"{self._sent} requests, {self._lost} of them without an end; {wrong} lines disagree."


def _cells(line: Line) -> list[str]:
    verdict = "agrees" if line.agrees else "DISAGREES"
    return [line.timeout, line.answers, str(line.ledger), line.outcome, str(line.metrics), verdict]

"""The end of a run in words: the figures, the ledger beside the metrics, and the slowest expired trace."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from tracedtimeout import Outcome
from tracedtimeout.commands.top import Look, names

from .ledger import Line
from .telemetry import Span

BESIDES, WIDEST = 58, 50
"""Columns of what stands beside a bar of the trace, and of the longest bar."""


def show(console: Console, looks: Mapping[str, Look], lines: Sequence[Line] | None, spans: Sequence[Span]) -> None:
    """Print the whole summary; no comparison where `lines` is None, no trace where none has expired."""
    for service, look in looks.items():
        console.print(Text(f"\n{service}", "bold"), names(look), sep="\n")
    if lines is not None:
        title = Text("\nThe load's ledger beside the shop's metrics", "bold")
        console.print(title, _comparison(lines), _verdict(lines), sep="\n")
    if slowest := _slowest(spans):
        title = Text("\nThe slowest trace with an expired timeout", "bold")
        console.print(title, *_waterfall(slowest, max(10, min(WIDEST, console.width - BESIDES))), sep="\n")


def _comparison(lines: Sequence[Line]) -> Table:
    said, counted = Column("in the ledger", justify="right"), Column("at /metrics", justify="right")
    columns = ("handler", "answer", said, "outcome", counted, "")
    shown = Table(*columns, box=None, header_style="dim", padding=(0, 2, 0, 0), pad_edge=False)
    for line in lines:
        verdict, style = ("agrees", "") if line.agrees else ("DISAGREES", "bold red")
        counts = (str(line.ledger), line.outcome, str(line.metrics))
        shown.add_row(line.timeout, Text(line.answers), *counts, verdict, style=style)
    return shown


def _verdict(lines: Sequence[Line]) -> str:
    requests = sum(line.ledger for line in lines)
    if wrong := sum(not line.agrees for line in lines):
        return f"{requests} requests; {wrong} lines disagree."
    seen = {line.outcome for line in lines}
    outcomes = ", ".join(outcome for outcome in Outcome if outcome in seen)
    return f"{requests} requests, every one of them counted. Outcomes: {outcomes or 'none'}."


def _slowest(spans: Sequence[Span]) -> list[Span]:
    """The spans of the trace with the longest expired one."""
    expired = [span for span in spans if span["outcome"] == Outcome.EXPIRED]
    trace = max(expired, key=lambda span: span["end"] - span["start"])["trace"] if expired else ""
    return [span for span in spans if span["trace"] == trace]


def _waterfall(spans: Sequence[Span], width: int) -> Iterator[Text]:
    """A line for each span, beneath that of its parent: service and name, bar, duration, outcome."""
    by_id = {span["id"]: span for span in spans}
    start = min(span["start"] for span in spans)
    scale = width / max(1e-9, max(span["end"] for span in spans) - start)

    def path(span: Span) -> tuple[float, ...]:
        parent = by_id.get(span["parent"])
        return (*(path(parent) if parent else ()), span["start"])

    for span in sorted(spans, key=path):
        name = f"{span['service']:<10}{'  ' * (len(path(span)) - 1)}{span['name']}"
        left = min(width - 1, round((span["start"] - start) * scale))
        bar = " " * left + "\u2588" * max(1, round((span["end"] - start) * scale) - left)
        style = {"completed": "green", "cancelled": "dim"}.get(span["outcome"], "red")
        took = f"{span['end'] - span['start']:6.3f} s  "
        yield Text.assemble(f"{name:<34} ", (f"{bar:<{width}}", style), took, (span["outcome"], style))

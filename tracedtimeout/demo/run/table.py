"""The live table: every timeout's figures, and the last messages."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tracedtimeout import Outcome

from .figures import Row

STYLES: dict[str, str] = {
    Outcome.COMPLETED: "green",
    Outcome.CANCELLED: "dim",
    Outcome.LATE: "yellow",
    Outcome.SUPPRESSED: "yellow",
    Outcome.INHERITED: "magenta",
    Outcome.REJECTED: "cyan",
}
TROUBLE = "red"

FIGURES = ("active", "p50", "p95", "p99", "limit", "p95/limit")

WIDE = 112
"""Columns of a terminal that all figures and outcomes fit in."""

Message = tuple[float, str]


def picture(shop: Sequence[Row], payments: Sequence[Row], messages: Sequence[Message], width: int) -> RenderableType:
    """The table, as wide as there is room for, and the messages under it."""
    return Group(table(shop, payments, brief=width < WIDE), *map(said, messages))


def table(shop: Sequence[Row], payments: Sequence[Row], *, brief: bool = False) -> Table:
    """A line for each timeout of both services; a brief one leaves out the columns one misses least."""
    left_out = {"active", "p50", "p99"} if brief else set()
    shown = Table(box=box.SIMPLE_HEAD, header_style="bold", padding=(0, 1, 0, 0), pad_edge=False)
    shown.add_column("timeout", no_wrap=True, min_width=16)
    for heading in FIGURES:
        if heading not in left_out:
            shown.add_column(heading, justify="right", no_wrap=True, min_width=len("10.00 s"))
    shown.add_column("outcomes", no_wrap=brief, overflow="ellipsis")
    for service, rows in (("shop", shop), ("payments", payments)):
        if rows:
            shown.add_row(Text(service, "bold"))
        for row in rows:
            figures = (figure for heading, figure in _figures(row).items() if heading not in left_out)
            shown.add_row(f"  {row.name}", *figures, outcomes(row.outcomes))
    return shown


def _figures(row: Row) -> dict[str, str | Text]:
    values: list[str | Text] = [str(row.active)]
    values += [seconds(row.duration.quantile(q)) for q in (0.5, 0.95, 0.99)]
    values += [seconds(row.limit.mean), _percent(row.utilization.quantile(0.95))]
    return dict(zip(FIGURES, values, strict=True))


def outcomes(counts: dict[str, int]) -> Text:
    """``97 completed  3 expired``, commonest words last of all in the order of precedence."""
    text = Text()
    for outcome in reversed(Outcome):
        if count := counts.get(outcome, 0):
            text.append("  " if text else "").append(f"{count} {outcome}", STYLES.get(outcome, TROUBLE))
    return text


def said(message: Message) -> Text:
    """One message, with its time of day."""
    when, words = message
    return Text(f"{time.strftime('%H:%M:%S', time.localtime(when))} ", "dim").append(words, "default")


def seconds(value: float | None) -> str:
    """``7 ms``, ``1.25 s``; empty for none."""
    if value is None:
        return ""
    return f"{value * 1000:.0f} ms" if value < 0.9995 else f"{value:.2f} s"


def _percent(ratio: float | None) -> Text:
    if ratio is None:
        return Text()
    return Text(f"{ratio:.0%}", "red" if ratio > 1.0 else "yellow" if ratio > 0.9 else "")

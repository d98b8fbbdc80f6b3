"""A trace drawn in the terminal: one bar for each span, beneath that of its parent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.table import Table
from rich.text import Text

from .table import STYLES, TROUBLE, seconds
from .traces import Span

WIDEST = 50
BESIDES = 55
"""Columns of a bar, and of what stands beside it."""


def waterfall(spans: Sequence[Span], title: str, columns: int) -> Table:
    """A line for each span, in a terminal of so many columns: service and name, bar, duration, outcome."""
    width = max(10, min(WIDEST, columns - BESIDES))
    start = min(span["start"] for span in spans)
    length = max(span["end"] for span in spans) - start
    drawn = Table(title=title, title_justify="left", title_style="bold", box=None, show_header=False, pad_edge=False)
    for column in ("left", "left", "left", "right", "left"):
        drawn.add_column(justify=column, no_wrap=True)
    for depth, span in _nested(spans):
        style = STYLES.get(span["outcome"], TROUBLE)
        bar = _bar(span["start"] - start, span["end"] - start, length, width)
        took = seconds(span["end"] - span["start"])
        drawn.add_row(
            span["service"], "  " * depth + span["name"], Text(bar, style), took, Text(span["outcome"], style)
        )
    return drawn


def _bar(begin: float, end: float, length: float, width: int) -> str:
    scale = width / length if length else 0.0
    left = min(width - 1, round(begin * scale))
    return (" " * left + "\u2588" * max(1, round(end * scale) - left)).ljust(width)


def _nested(spans: Sequence[Span]) -> Iterator[tuple[int, Span]]:
    """Each span with its depth, parents before their children."""
    known = {span["id"] for span in spans}

    def beneath(parent: str, depth: int) -> Iterator[tuple[int, Span]]:
        for span in spans:
            if (span["parent"] if span["parent"] in known else "") == parent:
                yield depth, span
                yield from beneath(span["id"], depth + 1)

    return beneath("", 0)

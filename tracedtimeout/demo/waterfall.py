"""A trace drawn in the terminal: one bar for each span, beneath that of its parent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.table import Table
from rich.text import Text

from .table import STYLES, TROUBLE, seconds
from .traces import Span

WIDTH = 50


def waterfall(spans: Sequence[Span], title: str) -> Table:
    """A line for each span: name, bar, duration, outcome."""
    start = min(_number(span, "start") for span in spans)
    length = max(_number(span, "end") for span in spans) - start
    drawn = Table(title=title, title_justify="left", box=None, show_header=False, pad_edge=False)
    for depth, span in _nested(spans):
        style = STYLES.get(str(span["outcome"]), TROUBLE)  # type: ignore[call-overload]
        begin, end = (_number(span, edge) - start for edge in ("start", "end"))
        drawn.add_row(
            "  " * depth + str(span["name"]),
            Text(_bar(begin, end, length), style),
            Text(seconds(end - begin), justify="right"),
            Text(str(span["outcome"]), style),
        )
    return drawn


def _bar(begin: float, end: float, length: float) -> str:
    scale = WIDTH / length if length else 0.0
    left = min(WIDTH - 1, int(begin * scale))
    return (" " * left + "█" * max(1, round((end - begin) * scale))).ljust(WIDTH)


def _nested(spans: Sequence[Span]) -> Iterator[tuple[int, Span]]:
    """Each span with its depth, parents before their children."""
    known = {span["id"] for span in spans}

    def beneath(parent: str | float, depth: int) -> Iterator[tuple[int, Span]]:
        for span in spans:
            above = span["parent"] if span["parent"] in known else ""
            if above == parent:
                yield depth, span
                yield from beneath(span["id"], depth + 1)

    return beneath("", 0)


def _number(span: Span, key: str) -> float:
    return float(span[key])

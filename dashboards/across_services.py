"""The dashboard *Deadlines across services*: what callers' headers give, what the way takes, what is not believed."""

from __future__ import annotations

from tracedtimeout._core.figures import _metrics as metrics

from . import _promql as promql
from ._frame import AnyPanel, Board, Row
from ._panels import ACROSS, Query, Text, heat, lines
from ._tables import LAG_STEPS

SECOND = "Events a second."


def board() -> Board:
    return Board(
        ACROSS,
        "Deadlines across services",
        "The budget that callers send, what transit takes of it, headers not believed, and work refused or abandoned.",
        [
            Row("What callers give", _received()),
            Row("What the way takes, and what is not believed", _way()),
            Row("What is refused, ended or abandoned", _refused()),
        ],
    )


def _received() -> list[AnyPanel]:
    shares = [
        Query(promql.quantile(q, metrics.RECEIVED, "header"), f"{{{{header}}}} {name}")
        for q, name in ((0.05, "p5"), (0.5, "p50"))
    ]
    return [
        lines(Text("Budget received, by header", "What callers give: half, and the tightest 5 %.", "s"), shares),
        heat(
            Text("Budget received", "Requests by the seconds their header gave.", "s"),
            promql.buckets(metrics.RECEIVED),
        ),
        lines(
            Text("Requests with a budget", f"{SECOND} By the header it came in.", "ops"),
            [Query(promql.rate(metrics.RECEIVED, "header"), "{{header}}")],
            span=24,
            stacked=True,
        ),
    ]


def _way() -> list[AnyPanel]:
    shares = [
        Query(promql.quantile(q, metrics.TRANSIT, "header"), f"{{{{header}}}} {name}")
        for q, name in ((0.5, "p50"), (0.99, "p99"))
    ]
    steps = ((0.001, "orange"),)
    return [
        lines(
            Text("Transit", "Seconds on the way, by two machines' clocks: with their skew.", "s", LAG_STEPS),
            shares,
        ),
        lines(
            Text("Headers ignored", f"{SECOND} Malformed, skewed clocks, or not to be trusted here.", "ops", steps),
            [Query(promql.rate(metrics.HEADERS_IGNORED, "header, reason"), "{{header}} {{reason}}")],
            stacked=True,
        ),
    ]


def _refused() -> list[AnyPanel]:
    expired = promql.rate(metrics.REJECTIONS, "timeout, mode", 'reason="expired"')
    remote = promql.rate(metrics.INTERRUPTIONS, "timeout", 'owner="_remote"')
    steps = ((1, "orange"),)
    return [
        lines(
            Text("Expired on arrival", f"{SECOND} Never run, save in mode `dark`.", "ops"),
            [Query(expired, "{{timeout}} {{mode}}")],
            span=8,
        ),
        lines(
            Text("Ended by a caller's deadline", f"{SECOND} Nobody waited any more.", "ops"),
            [Query(remote, "{{timeout}}")],
            span=8,
        ),
        lines(
            Text("Threads abandoned", "Sync endpoints that run on after their 504.", "short", steps),
            [Query(promql.level(metrics.THREADS_ABANDONED, "timeout"), "{{timeout}}")],
            span=8,
        ),
    ]

"""The dashboard *One timeout*: its durations against its limit, its exemplars, who ends it and whom it ends."""

from __future__ import annotations

from tracedtimeout._core.figures import _metrics as metrics

from . import _promql as promql
from ._frame import AnyPanel, Board, Row
from ._panels import ONE, Query, Text, by_outcome, dashed, heat, lines, number
from ._tables import EXPIRY_STEPS, LAG_STEPS, USED_STEPS, suggested
from .limits import UNCENSORED

SECOND = "Events a second."
ENDED_BY, IN_FLIGHT = "Ended by the deadline of", "In flight when it fired"


def board() -> Board:
    return Board(
        ONE,
        "One timeout",
        "Durations of one timeout against its limit, with traces; who ends it, whom it ends, what its limit should be.",
        [
            Row("Now", _now()),
            Row("Duration against limit", _duration()),
            Row("What ends it, and what it ends", _ends()),
            Row("Clean-up and changes", _unwind()),
        ],
        one=True,
        onward=frozenset({IN_FLIGHT, ENDED_BY}),
    )


def _now() -> list[AnyPanel]:
    duration = promql.quantile(0.99, metrics.DURATION, extra=UNCENSORED)
    return [
        number(
            Text("Limit in force", "The average limit granted on entry.", "s"),
            Query(promql.mean(metrics.LIMIT, "timeout"), "limit"),
        ),
        number(Text("Duration, p99", "One in a hundred takes longer.", "s"), Query(duration, "p99")),
        number(
            Text("Utilization, p99", "Above 0.9 it is about to fire.", "percentunit", USED_STEPS),
            Query(promql.quantile(0.99, metrics.UTILIZATION), "p99"),
        ),
        number(
            Text("Share that expires", "Expiries over exits.", "percentunit", EXPIRY_STEPS),
            Query(promql.expiry_share("timeout"), "share"),
        ),
        number(
            Text("Active", "Entered and not yet left.", "short", ((10_000, "orange"),)),
            Query(promql.level(metrics.ACTIVE, "timeout"), "active"),
        ),
        number(
            Text("Uses", "Entered and left again, a second.", "ops"),
            Query(promql.rate(metrics.DURATION, "timeout"), "exits"),
        ),
    ]


def _duration() -> list[AnyPanel]:
    shares = [
        Query(promql.quantile(q, metrics.DURATION, extra=UNCENSORED), name, exemplar=True)
        for q, name in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))
    ]
    limit = Query(promql.mean(metrics.LIMIT, "timeout"), "limit")
    about = "Diamonds are single uses: click one, then its trace_id, and read in the trace where the time went."
    return [
        dashed(lines(Text("Duration against limit", about, "s"), [*shares, limit], span=24), "limit"),
        heat(
            Text("Durations", f"Uses by how long they took. {about}", "s"),
            promql.buckets(metrics.DURATION),
            exemplar=True,
        ),
        by_outcome(
            lines(
                Text("Exits by outcome", f"{SECOND} How it ended.", "ops"),
                [Query(promql.rate(metrics.DURATION, "outcome"), "{{outcome}}", exemplar=True)],
                stacked=True,
            )
        ),
        suggested(),
    ]


def _ends() -> list[AnyPanel]:
    ended = f'{metrics.INTERRUPTIONS.prometheus_name}{{{promql.TARGET}, owner=~"$timeout"}}'
    return [
        lines(
            Text(ENDED_BY, f"{SECOND} An enclosing timeout, or a caller's (`_remote`).", "ops"),
            [Query(promql.rate(metrics.INTERRUPTIONS, "owner"), "{{owner}}")],
            stacked=True,
        ),
        lines(
            Text(IN_FLIGHT, f"{SECOND} Nested timeouts its deadline ended: where it was stuck.", "ops"),
            [Query(f"sum by (timeout) (rate({ended}[{promql.NOW}]))", "{{timeout}}")],
            stacked=True,
        ),
    ]


def _unwind() -> list[AnyPanel]:
    shares = [
        Query(promql.quantile(q, metrics.UNWIND), name) for q, name in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))
    ]
    refused = promql.rate(metrics.REJECTIONS, "reason, mode")
    return [
        lines(Text("Unwind", "Seconds from firing to being left.", "s", LAG_STEPS), shares, span=8),
        lines(
            Text("Reschedules", f"{SECOND} Deadlines moved after entry.", "ops"),
            [Query(promql.rate(metrics.RESCHEDULES, "timeout"), "{{timeout}}")],
            span=8,
        ),
        lines(
            Text("Refused on entry", f"{SECOND} Too little budget left; `dark` ran nevertheless.", "ops"),
            [Query(refused, "{{reason}} {{mode}}")],
            span=8,
        ),
    ]

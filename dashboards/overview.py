"""The dashboard *Timeouts overview*: which timeout fires, whose deadline it is, which limits are close."""

from __future__ import annotations

from tracedtimeout._core.figures import _metrics as metrics

from . import _promql as promql
from ._frame import AnyPanel, Board, Row
from ._panels import OVERVIEW, Column, Query, Text, by_outcome, heat, lines, number, rows
from ._tables import EXPIRY_STEPS, LAG_STEPS, USED_STEPS, alerts, suggested

SECOND = "Events a second."


def board() -> Board:
    return Board(
        OVERVIEW,
        "Timeouts overview",
        "Which timeouts fire, whose deadline it is, how close the others are, and whether work really stops.",
        [
            Row("Now", _now()),
            Row("Which timeout fires", _fires()),
            Row("Whose deadline it is", _whose()),
            Row("How close the others are", _close()),
            Row("Does the work stop, and does the loop keep up", _stops()),
        ],
    )


def _now() -> list[AnyPanel]:
    used = promql.quantile(0.99, metrics.UTILIZATION, "timeout")
    lag = promql.quantile(0.99, metrics.TIMER_LAG)
    return [
        number(
            Text("Expiries", "Timeouts a second whose own deadline fired.", "ops", ((0.001, "orange"),)),
            Query(f"sum({promql.rate(metrics.EXPIRATIONS, 'timeout')})", "expiries"),
        ),
        number(
            Text("Share that expires", "Expiries over exits; refused work is in neither.", "percentunit", EXPIRY_STEPS),
            Query(promql.expiry_share("job"), "{{job}}"),
        ),
        number(
            Text("Closest to its limit", "The highest p99 of utilization of all names.", "percentunit", USED_STEPS),
            Query(f"max({used})", "utilization"),
        ),
        number(
            Text("Active", "Timeouts entered and not yet left.", "short", ((10_000, "orange"),)),
            Query(f"sum({promql.level(metrics.ACTIVE, 'timeout')})", "active"),
        ),
        number(
            Text("Timer lag, p99", "How late timers run: a blocked event loop.", "s", LAG_STEPS),
            Query(lag, "lag"),
        ),
        number(
            Text("Refused", "Timeouts a second refused for want of budget.", "ops", ((1, "orange"),)),
            Query(f"sum({promql.rate(metrics.REJECTIONS, 'timeout')})", "refused"),
        ),
        alerts(),
    ]


def _fires() -> list[AnyPanel]:
    expirations = Query(promql.rate(metrics.EXPIRATIONS, "timeout, outcome"), "{{timeout}} {{outcome}}")
    return [
        by_outcome(
            lines(
                Text("Expiries by name and outcome", f"{SECOND} Own deadline fired, whatever came of it.", "ops"),
                [expirations],
                stacked=True,
            )
        ),
        lines(
            Text("Share that expires, by name", "Expiries over exits of each name.", "percentunit", EXPIRY_STEPS),
            [Query(promql.expiry_share("timeout"), "{{timeout}}")],
        ),
        by_outcome(
            lines(
                Text("Exits by outcome", f"{SECOND} Every timeout that was left, by how it ended.", "ops"),
                [Query(promql.rate(metrics.DURATION, "outcome"), "{{outcome}}")],
                stacked=True,
            )
        ),
        lines(
            Text("Refused on entry", f"{SECOND} Too little budget left; `dark` ran nevertheless.", "ops"),
            [Query(promql.rate(metrics.REJECTIONS, "timeout, reason, mode"), "{{timeout}} {{reason}} {{mode}}")],
        ),
    ]


def _whose() -> list[AnyPanel]:
    interruptions = promql.rate(metrics.INTERRUPTIONS, "owner, timeout")
    whole = f"sum by (owner, timeout) (increase({metrics.INTERRUPTIONS.prometheus_name}"
    whole += f"{promql.matchers(metrics.INTERRUPTIONS)}[{promql.WHOLE}])) > 0"
    return [
        lines(
            Text("Who interrupts whom", f"{SECOND} The owner's deadline ended the other timeout.", "ops"),
            [Query(interruptions, "{{owner}} ended {{timeout}}")],
            stacked=True,
        ),
        rows(
            Text("Interruptions by owner", "Over the time range. `_remote`: a caller's header.", "short"),
            [Column("Interrupted", whole, "short", ((100, "orange"),))],
            span=12,
            owners=True,
        ),
    ]


def _close() -> list[AnyPanel]:
    return [
        heat(
            Text("Utilization", "Seconds taken over seconds granted. From 1 upwards: expired or late.", "percentunit"),
            promql.buckets(metrics.UTILIZATION),
        ),
        lines(
            Text("Utilization p99, by name", "Above 0.9 the timeout is about to fire.", "percentunit", USED_STEPS),
            [Query(promql.quantile(0.99, metrics.UTILIZATION, "timeout"), "{{timeout}}")],
        ),
        suggested(),
        lines(
            Text("Reschedules", f"{SECOND} Deadlines moved after entry.", "ops"),
            [Query(promql.rate(metrics.RESCHEDULES, "timeout"), "{{timeout}}")],
        ),
        lines(
            Text("Active, by name", "Timeouts entered and not yet left.", "short"),
            [Query(promql.level(metrics.ACTIVE, "timeout"), "{{timeout}}")],
        ),
    ]


def _stops() -> list[AnyPanel]:
    late = promql.rate(metrics.DURATION, "timeout", 'outcome="late"')
    return [
        lines(
            Text("Unwind p99, by name", "Seconds from firing to being left: slow clean-up.", "s", LAG_STEPS),
            [Query(promql.quantile(0.99, metrics.UNWIND, "timeout"), "{{timeout}}")],
        ),
        lines(
            Text("Timer lag p99, by instance", "Deadline to timer callback: a blocked loop.", "s", LAG_STEPS),
            [Query(promql.quantile(0.99, metrics.TIMER_LAG, "instance"), "{{instance}}")],
        ),
        lines(
            Text("Ended late", f"{SECOND} Past the deadline, but nothing could fire: the loop was blocked.", "ops"),
            [Query(late, "{{timeout}}")],
        ),
        lines(
            Text("Scrape duration p99", "Seconds spent collecting and encoding one scrape.", "s", LAG_STEPS),
            [Query(promql.quantile(0.99, metrics.SCRAPE_DURATION, "instance"), "{{instance}}")],
        ),
    ]

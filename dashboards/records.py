"""The table of recording rules, by group.

A name says ``level:metric:operation``. The level ``job`` keeps ``cluster`` and ``namespace`` as well, where they are.
"""

from __future__ import annotations

from tracedtimeout._core.figures import _metrics as metrics

from . import limits
from ._events import INSTANCE, TIMEOUT, exits, expirations, quantile
from ._record import Record, named

OBJECTIVE = 0.999
"""The share of uses that should end before their deadline, where the operator's table says nothing."""

SHORT = ("5m", "30m", "1h", "2h", "6h")
LONG = ("1d", "3d")
INTERRUPTIONS = metrics.INTERRUPTIONS.prometheus_name


def shares(window: str) -> list[Record]:
    """Expiries, exits, their ratio, and how many times too fast it burns the error budget, over a window."""
    expired, left = named("expirations", f"increase{window}"), named("exits", f"increase{window}")
    share = named("expiry_share", f"ratio_rate{window}")
    return [
        Record(expired, expirations(window)),
        Record(left, exits(window)),
        Record(share, f"({expired} or {left} * 0) / ({left} > 0)"),
        Record(named("budget_burn", f"ratio_rate{window}"), burn(share)),
    ]


def burn(share: str) -> str:
    """A share over the error budget of its timeout, with the severity that the operator's table says.

    `topk` takes the strictest of several rows for a name: a slip in the table must not silence everything.
    """
    return (
        f"{share} / on (timeout) group_left (severity)\n"
        '  (1 - topk by (timeout) (1, tracedtimeout_objective{timeout!=""}))\n'
        f"or on ({TIMEOUT})\n"
        f"{share} / on () group_left (severity)\n"
        f'  (1 - (topk(1, tracedtimeout_objective{{timeout=""}}) or on () vector({OBJECTIVE})))'
    )


LATE = 'outcome="late"'

NOW: tuple[Record, ...] = (
    Record(named("utilization", "p99_rate5m"), quantile(0.99, metrics.UTILIZATION, TIMEOUT)),
    Record(named("interruptions", "increase5m"), f"sum by ({TIMEOUT}) (increase({INTERRUPTIONS}[5m]))"),
    Record(
        named("remote_share", "ratio_rate5m"),
        f'sum by ({TIMEOUT}) (increase({INTERRUPTIONS}{{owner="_remote"}}[5m])) / ({named("exits", "increase5m")} > 0)',
    ),
    Record(named("unwind_seconds", "p90_rate5m"), quantile(0.9, metrics.UNWIND, TIMEOUT)),
    Record("job_instance:tracedtimeout_timer_lag_seconds:p90_rate5m", quantile(0.9, metrics.TIMER_LAG, INSTANCE)),
    Record("job_instance:tracedtimeout_late:increase5m", exits("5m", INSTANCE, LATE)),
    Record(
        "job_instance:tracedtimeout_late_share:ratio_rate5m",
        f"job_instance:tracedtimeout_late:increase5m\n/ ({exits('5m', INSTANCE)} > 0)",
    ),
)

GROUPS: dict[str, tuple[Record, ...]] = {
    "tracedtimeout-records": (*(record for window in SHORT for record in shares(window)), *NOW, *limits.NOW),
    "tracedtimeout-records-long": (*(record for window in LONG for record in shares(window)), *limits.DAY),
}

EVERY = {"tracedtimeout-records-long": "2m"}
"""The interval of a group that is evaluated less often: days change slowly, and cost the most to read."""

RECORDS: tuple[Record, ...] = tuple(record for group in GROUPS.values() for record in group)

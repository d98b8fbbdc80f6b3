"""The table of alerts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from tracedtimeout._core.figures import _metrics as metrics

from ._events import INSTANCE, PLACE, TIMEOUT, expirations, observed
from ._record import named

EXPECTED = "poll.*"
"""Names of timeouts whose expiry is their normal end (a queue polled with a timeout): no alert on their share."""

ALERTED = f'{{timeout!~"{EXPECTED}"}}'

OWNER = (
    '{{ with query (printf "tracedtimeout_objective{timeout=%q} or on () tracedtimeout_objective{timeout=\\"\\"}" '
    '$labels.timeout) }}{{ or (. | first | label "owner") "unassigned" }}{{ else }}unassigned{{ end }}'
)
"""Whom the operator's table names for a timeout. (An empty label would show as the template in `ALERTS`.)"""


def _board(uid: str, *labels: str) -> str:
    variables = "&".join(f"var-{label}={{{{ $labels.{label} | urlquery }}}}" for label in labels)
    return f"/d/{quote(uid)}?{variables}"


OVERVIEW = _board("tracedtimeout-overview", "cluster", "namespace", "job")
ONE = _board("tracedtimeout-one", "cluster", "namespace", "job", "timeout")


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert: what it says in a line, and why that matters with the first thing to do about it."""

    alert: str
    expr: str
    wait: str
    severity: str
    summary: str
    description: str
    dashboard: str = ONE
    window: str = ""

    def as_dict(self) -> dict[str, Any]:
        labels = {"severity": self.severity}
        labels |= {"window": self.window} if self.window else {}
        labels |= {"owner": OWNER} if self.dashboard == ONE else {}
        annotations = {
            "summary": self.summary,
            "description": self.description,
            "runbook_url": f"runbooks/{self.alert}.md",
            "dashboard_url": self.dashboard,
        }
        return {"alert": self.alert, "expr": self.expr, "for": self.wait, "labels": labels, "annotations": annotations}


@dataclass(frozen=True, slots=True)
class Burn:
    """A row of the multiwindow burn-rate table: how fast, seen over how long, confirmed by how recent."""

    factor: float
    long: str
    short: str
    wait: str


FAST = (  # Google's SRE Workbook, chapter 5, table 5-8; the waits are those of the Kubernetes API server's alerts
    Burn(14.4, "1h", "5m", "2m"),
    Burn(6, "6h", "30m", "15m"),
)
SLOW = (
    Burn(3, "1d", "2h", "1h"),
    Burn(1, "3d", "6h", "3h"),
)
CRITICAL = '{severity="critical"}'
OTHERS = '{severity!="critical"}'
SWALLOWED = 'outcome="suppressed"'


def burn_alert(burn: Burn, severity: str, rows: str = "") -> Alert:
    """Fires when the error budget burns `factor` times too fast, still does, and more than five expiries say so.

    `rows` chooses by the severity that the operator's table gives a name.
    """
    rate, on = named("budget_burn", "ratio_rate"), f"and on ({TIMEOUT})"
    return Alert(
        alert="TimeoutExpiryBurnRate",
        expr=f"{named('expiry_share', 'ratio_rate')}{burn.long}{ALERTED}\n"
        f"{on} {rate}{burn.long}{rows} > {burn.factor:g}\n"
        f"{on} {rate}{burn.short} > {burn.factor:g}\n"
        f"{on} {named('expirations', 'increase')}{burn.long} > 5",
        wait=burn.wait,
        severity=severity,
        summary="{{ $labels.timeout }} of {{ $labels.job }} expires in {{ $value | humanizePercentage }} of its uses",
        description=f"Over {burn.long} and over {burn.short}: {burn.factor:g} times what its objective allows. Work "
        "refused because its caller had no budget left is not counted. On the dashboard, 'In flight when it fired' and "
        "the traces name what takes the time.",
        window=burn.long,
    )


ALERTS: tuple[Alert, ...] = (
    *(burn_alert(burn, "critical", CRITICAL) for burn in FAST),
    *(burn_alert(burn, "warning", OTHERS) for burn in FAST),
    *(burn_alert(burn, "warning") for burn in SLOW),
    Alert(
        alert="TimeoutNearLimit",
        expr=f"{named('utilization', 'p99_rate5m')}{ALERTED} > 0.9\n"
        f"and {observed(metrics.UTILIZATION, TIMEOUT)} > 20\n"
        f"unless {named('remote_share', 'ratio_rate5m')} > 0.005",
        wait="1m",
        severity="warning",
        summary="{{ $labels.timeout }} of {{ $labels.job }} uses {{ $value | humanizePercentage }} of its limit at p99",
        description="One in a hundred is about to fire, or fires already. Limits set by callers' headers are left out. "
        "Did duration rise (look at what is nested in it) or the limit fall (look at whose deadline it inherits)?",
    ),
    Alert(
        alert="TimeoutEventLoopLag",
        # p90: only deadlines that pass are measured, and the p99 of twenty is one hiccup.
        expr="job_instance:tracedtimeout_timer_lag_seconds:p90_rate5m > 0.1\n"
        f"and {observed(metrics.TIMER_LAG, INSTANCE)} > 5\n"
        "or job_instance:tracedtimeout_late_share:ratio_rate5m > 0.01\n"
        "and job_instance:tracedtimeout_late:increase5m > 5",
        wait="2m",
        severity="warning",
        summary="The event loop of {{ $labels.instance }} ({{ $labels.job }}) is blocked: its timeouts fire late",
        description="One deadline in ten passes over 0.1 s before its timer runs, or over 1 % of timeouts end `late`: "
        "more than five in five minutes. Find the blocking call: asyncio's debug mode logs it, py-spy dump shows it.",
        dashboard=OVERVIEW,
    ),
    Alert(
        alert="TimeoutSlowUnwind",
        expr=f"{named('unwind_seconds', 'p90_rate5m')} > 0.5",
        wait="2m",
        severity="warning",
        summary="{{ $labels.timeout }} of {{ $labels.job }} takes {{ $value | humanizeDuration }} to stop after firing",
        description="Callers wait for the limit plus this: slow clean-up, or code that cannot be cancelled. Look at "
        "the finally and except CancelledError blocks under this timeout.",
    ),
    Alert(
        alert="TimeoutSuppressed",
        expr=expirations("5m", SWALLOWED) + " > 0",
        wait="0s",
        severity="warning",
        summary="{{ $labels.timeout }} of {{ $labels.job }} fired and its body went on: the cancellation was swallowed",
        description="Some code under this timeout catches CancelledError and does not raise it again, so the limit "
        "does not limit. The WARN log line of the timeout names the place it was waiting in.",
    ),
    Alert(
        alert="TimeoutTargetMissing",
        # `up` for what is scraped; the second half for what is pushed through a collector and has no `up`.
        expr=f"up == 0 and on ({INSTANCE}) group by ({INSTANCE}) (present_over_time(tracedtimeout_active[1h]))\n"
        f"or group by ({PLACE}) (present_over_time(tracedtimeout_active[1h]))"
        f" unless on ({PLACE}) group by ({PLACE}) (present_over_time(tracedtimeout_active[5m]))",
        wait="2m",
        severity="critical",
        summary="No timeouts are reported by {{ $labels.job }} {{ $labels.instance }} any more",
        description="It did report within the last hour. No other alert can fire for what is not seen. Is the process "
        "up, its /metrics reachable from Prometheus, or its collector exporting?",
        dashboard=OVERVIEW,
    ),
)

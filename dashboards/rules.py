"""The tables of recording rules and alerts, and the YAML that Prometheus loads.

Every window is written as Prometheus reads it. `files(scale)` shrinks windows and waits alike, so that a test sees in
seconds what operators see in hours; the thresholds, which are shares and seconds, stay.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

from ._windows import duration, scaled

OBJECTIVE = 0.999
"""The share of timeouts that should end before their deadline; what is left of 1 is the error budget."""

EXPECTED = "poll.*"
"""Names of timeouts whose expiry is their normal end (a queue polled with a timeout): no alert on their share."""

ONE = "/d/tracedtimeout-one?var-job={{ $labels.job | urlquery }}&var-timeout={{ $labels.timeout | urlquery }}"
WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
ALERTED = f'{{timeout!~"{EXPECTED}"}}'


@dataclass(frozen=True, slots=True)
class Record:
    """A recording rule; named ``level:metric:operation``."""

    record: str
    expr: str

    def as_dict(self) -> dict[str, Any]:
        return {"record": self.record, "expr": self.expr}


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert: what it says in a line, why that matters, and the first thing to do about it."""

    alert: str
    expr: str
    wait: str
    severity: str
    summary: str
    description: str
    runbook: str
    dashboard: str = "/d/tracedtimeout-overview?var-job={{ $labels.job | urlquery }}"
    window: str = ""

    def as_dict(self) -> dict[str, Any]:
        annotations = {key: getattr(self, key) for key in ("summary", "description", "runbook", "dashboard")}
        labels = {"severity": self.severity} | ({"window": self.window} if self.window else {})
        return {"alert": self.alert, "expr": self.expr, "for": self.wait, "labels": labels, "annotations": annotations}


@dataclass(frozen=True, slots=True)
class Burn:
    """A row of the multiwindow burn-rate table: how fast, seen over how long, confirmed by how recent."""

    factor: float
    long: str
    short: str
    wait: str
    severity: str


BURNS = (  # Google's SRE Workbook, chapter 5, table 5-8; the waits are those of the Kubernetes API server's alerts
    Burn(14.4, "1h", "5m", "2m", "page"),
    Burn(6, "6h", "30m", "15m", "page"),
    Burn(3, "1d", "2h", "1h", "ticket"),
    Burn(1, "3d", "6h", "3h", "ticket"),
)


def shares(window: str) -> list[Record]:
    """Expiries, exits and their ratio over a window. What a caller's spent budget had rejected is in neither."""
    expirations = f"job_timeout:tracedtimeout_expirations:rate{window}"
    exits = f"job_timeout:tracedtimeout_exits:rate{window}"
    counted = f'tracedtimeout_duration_seconds_count{{outcome!="rejected"}}[{window}]'
    return [
        Record(expirations, f"sum by (job, timeout) (rate(tracedtimeout_expirations_total[{window}]))"),
        Record(exits, f"sum by (job, timeout) (rate({counted}))"),
        Record(
            f"job_timeout:tracedtimeout_expiry_share:ratio_rate{window}",
            f"({expirations} or {exits} * 0) / ({exits} > 0)",
        ),
    ]


RECORDS: tuple[Record, ...] = (
    *(record for window in WINDOWS for record in shares(window)),
    Record(
        "job_timeout:tracedtimeout_utilization:p99_rate5m",
        "histogram_quantile(0.99, sum by (job, timeout, le) (rate(tracedtimeout_utilization_bucket[5m])))",
    ),
    Record(
        "job_timeout:tracedtimeout_remote_share:ratio_rate5m",
        'sum by (job, timeout) (rate(tracedtimeout_interruptions_total{owner="_remote"}[5m]))'
        " / (job_timeout:tracedtimeout_exits:rate5m > 0)",
    ),
    Record(
        "job_timeout:tracedtimeout_unwind_seconds:p90_rate5m",
        "histogram_quantile(0.9, sum by (job, timeout, le) (rate(tracedtimeout_unwind_seconds_bucket[5m])))",
    ),
    Record(
        "job_instance:tracedtimeout_timer_lag_seconds:p90_rate5m",
        "histogram_quantile(0.9, sum by (job, instance, le) (rate(tracedtimeout_timer_lag_seconds_bucket[5m])))",
    ),
    Record(
        "job_instance:tracedtimeout_late_share:ratio_rate5m",
        'sum by (job, instance) (rate(tracedtimeout_duration_seconds_count{outcome="late"}[5m]))'
        ' / (sum by (job, instance) (rate(tracedtimeout_duration_seconds_count{outcome!="rejected"}[5m])) > 0)',
    ),
)


def burn_alert(burn: Burn) -> Alert:
    """Fires when the error budget burns `factor` times too fast, still does, and more than five expiries say so."""
    share, limit = "job_timeout:tracedtimeout_expiry_share:ratio_rate", f"{burn.factor * (1 - OBJECTIVE):.4g}"
    return Alert(
        alert="TimeoutExpiryBurnRate",
        expr=f"{share}{burn.long}{ALERTED} > {limit}\n"
        f"and {share}{burn.short}{ALERTED} > {limit}\n"
        f"and sum by (job, timeout) (increase(tracedtimeout_expirations_total[{burn.long}])) > 5",
        wait=burn.wait,
        severity=burn.severity,
        summary="{{ $labels.timeout }} of {{ $labels.job }} expires in {{ $value | humanizePercentage }} of its uses",
        description=f"Over {burn.long} and over {burn.short}: {burn.factor:g} times what an objective of "
        f"{OBJECTIVE:.1%} allows. Work refused because its caller had no budget left is not counted.",
        runbook="Open the dashboard: 'In flight when it fired' and the traces name what takes the time. Fix or shed "
        "that dependency; raise the limit only if 'Suggested limit' says too tight and callers can wait.",
        dashboard=ONE,
        window=burn.long,
    )


ALERTS: tuple[Alert, ...] = (
    *(burn_alert(burn) for burn in BURNS),
    Alert(
        alert="TimeoutNearLimit",
        expr=f"job_timeout:tracedtimeout_utilization:p99_rate5m{ALERTED} > 0.9\n"
        "and sum by (job, timeout) (increase(tracedtimeout_utilization_count[5m])) > 20\n"
        "unless job_timeout:tracedtimeout_remote_share:ratio_rate5m > 0.005",
        wait="1m",
        severity="ticket",
        summary="{{ $labels.timeout }} of {{ $labels.job }} uses {{ $value | humanizePercentage }} of its limit at p99",
        description="One in a hundred is about to fire, or fires already. Limits set by callers' headers are left out.",
        runbook="Open the dashboard: did duration rise (look at what is nested in it) or the limit fall (look at whose "
        "deadline it inherits)? Act now: the next step is expiries.",
        dashboard=ONE,
    ),
    Alert(
        alert="TimeoutEventLoopLag",
        # p90: only deadlines that pass are measured, and the p99 of twenty is one hiccup.
        expr="job_instance:tracedtimeout_timer_lag_seconds:p90_rate5m > 0.1\n"
        "and sum by (job, instance) (increase(tracedtimeout_timer_lag_seconds_count[5m])) > 5\n"
        "or job_instance:tracedtimeout_late_share:ratio_rate5m > 0.01\n"
        'and sum by (job, instance) (increase(tracedtimeout_duration_seconds_count{outcome="late"}[5m])) > 5',
        wait="2m",
        severity="ticket",
        summary="The event loop of {{ $labels.instance }} ({{ $labels.job }}) is blocked: its timeouts fire late",
        description="One deadline in ten passes over 0.1 s before its timer runs, or over 1 % of timeouts end `late`: "
        "more than five in five minutes.",
        runbook="Find the blocking call: run with asyncio's debug mode (it logs callbacks over 0.1 s) or py-spy dump; "
        "move it to asyncio.to_thread, and put checkpoint() into CPU loops.",
    ),
    Alert(
        alert="TimeoutSlowUnwind",
        expr="job_timeout:tracedtimeout_unwind_seconds:p90_rate5m > 0.5",
        wait="2m",
        severity="ticket",
        summary="{{ $labels.timeout }} of {{ $labels.job }} takes {{ $value | humanizeDuration }} to stop after firing",
        description="Callers wait for the limit plus this: slow clean-up, or code that cannot be cancelled.",
        runbook="Look at the finally and except CancelledError blocks under this timeout; give clean-up a timeout of "
        "its own, or detach() it.",
        dashboard=ONE,
    ),
    Alert(
        alert="TimeoutSuppressed",
        # A counter that is born above 0 has no increase: the second half sees the first event of a series.
        expr='sum by (job, timeout) (increase(tracedtimeout_expirations_total{outcome="suppressed"}[5m])) > 0\n'
        'or sum by (job, timeout) (tracedtimeout_expirations_total{outcome="suppressed"}\n'
        '  unless tracedtimeout_expirations_total{outcome="suppressed"} offset 5m) > 0',
        wait="0s",
        severity="ticket",
        summary="{{ $labels.timeout }} of {{ $labels.job }} fired and its body went on: the cancellation was swallowed",
        description="Some code under this timeout catches CancelledError and does not raise it again, so the limit "
        "does not limit.",
        runbook="Search the body for `except CancelledError`, `except BaseException` and bare `except`; raise again. "
        "The WARN log line of the timeout names the place it was waiting in.",
        dashboard=ONE,
    ),
    Alert(
        alert="TimeoutTargetMissing",
        # `up` for what is scraped; the second half for what is pushed through a collector and has no `up`.
        expr="up == 0 and on (job, instance) group by (job, instance) (present_over_time(tracedtimeout_active[1h]))\n"
        "or group by (job) (present_over_time(tracedtimeout_active[1h]))"
        " unless on (job) group by (job) (present_over_time(tracedtimeout_active[5m]))",
        wait="2m",
        severity="page",
        summary="No timeouts are reported by {{ $labels.job }} {{ $labels.instance }} any more",
        description="It did report within the last hour. No other alert can fire for what is not seen.",
        runbook="Is the process up, its /metrics reachable from Prometheus (Status > Targets), or its collector "
        "exporting? Meant to go? Silence it for an hour.",
    ),
)


def groups(scale: float = 1) -> dict[str, dict[str, Any]]:
    """The two rule files, by name, as Prometheus reads them."""
    records = [record.as_dict() for record in RECORDS]
    alerts = [alert.as_dict() for alert in ALERTS]
    for rule in [*records, *alerts]:
        rule["expr"] = scaled(rule["expr"], scale)
    for rule in alerts:
        rule["for"] = duration(rule["for"], scale)
    return {
        "recording.yml": {"groups": [{"name": "tracedtimeout-records", "rules": records}]},
        "alerts.yml": {"groups": [{"name": "tracedtimeout-alerts", "rules": alerts}]},
    }


def files(scale: float = 1) -> dict[str, str]:
    """The text of each rule file."""
    return {name: dump(content) for name, content in groups(scale).items()}


class _Dumper(yaml.SafeDumper):
    pass


_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None),
)


def dump(content: dict[str, Any]) -> str:
    header = "# Written by `python -m dashboards` from dashboards/rules.py: edit there.\n"
    return header + yaml.dump(content, Dumper=_Dumper, sort_keys=False, width=1000, allow_unicode=True)

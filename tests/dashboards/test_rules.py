"""The recording rules and alerts: what they say at their true windows, and that the table is what is committed."""

from __future__ import annotations

import re
from subprocess import run

import pytest

from dashboards import rules
from dashboards._windows import duration, scaled
from tests.dashboards.stack import DASHBOARDS, program
from tracedtimeout._core._metrics import METRICS

PROMETHEUS = DASHBOARDS / "prometheus"
FAMILIES = {metric.prometheus_name for metric in METRICS}
EVERY: list[rules.Record | rules.Alert] = [*rules.RECORDS, *rules.ALERTS]
ALERTS = {alert.alert for alert in rules.ALERTS}


def promtool(*arguments: str) -> str:
    done = run([program("promtool"), *arguments], capture_output=True, text=True, check=False, cwd=PROMETHEUS)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_the_rules_fire_and_stay_silent_as_they_should() -> None:
    """Prometheus's own unit tests of the rules pass, at the windows that operators have."""
    assert promtool("test", "rules", "rules_test.yml") == ""


def test_every_alert_is_unit_tested() -> None:
    """No alert is without a promtool test that names it."""
    text = (PROMETHEUS / "rules_test.yml").read_text()
    assert {name for name in ALERTS if name not in text} == set()


@pytest.mark.parametrize("name", rules.files())
def test_the_rules_are_valid_at_any_scale(name: str) -> None:
    """Prometheus loads the committed files, and those with windows scaled down for a test."""
    assert promtool("check", "rules", name) == ""


def test_scaling_shrinks_windows_and_nothing_else() -> None:
    """Windows, offsets and waits are multiplied; thresholds, names and text that looks alike stay."""
    expr = "a:rate5m > 5 and rate(b[5m] offset 1h)"
    assert scaled(expr, 1 / 60) == "a:rate5m > 5 and rate(b[5000ms] offset 60000ms)"
    assert duration("2m", 0.1) == "12000ms"
    assert rules.files(1) == rules.files()


def test_alerts_tell_what_to_do() -> None:
    """Each alert has a summary with its labels, a description, a runbook line and a dashboard of ours."""
    for alert in rules.ALERTS:
        assert "$labels.job" in alert.summary
        assert alert.description.endswith(".")
        assert len(alert.runbook) > 60
        assert re.match(r"/d/tracedtimeout-(overview|one)\?", alert.dashboard)
        assert re.findall(r"\{\{(?! \$labels\.\w+ \| urlquery \}\})", alert.dashboard) == [], "names have spaces"
        assert alert.severity in ("page", "ticket")


def test_rules_read_metrics_that_exist() -> None:
    """Every family in an expression is in the package's table, or recorded by another rule."""
    recorded = {record.record for record in rules.RECORDS}
    for rule in EVERY:
        names = set(re.findall(r"\btracedtimeout_\w+", re.sub(r"\w+:\w+:\w+", "", rule.expr)))
        assert {re.sub("_(bucket|count|sum)$", "", name) for name in names} <= FAMILIES
        assert set(re.findall(r"\w+:\w+:\w+", rule.expr)) <= recorded


def test_recorded_names_say_level_metric_and_operation() -> None:
    """Names follow Prometheus's convention, and the level is what the expression keeps."""
    names = [record.record for record in rules.RECORDS]
    assert [name for name in names if not re.fullmatch(r"job_\w+:tracedtimeout_\w+:\w+\d[smhd]", name)] == []

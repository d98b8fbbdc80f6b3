"""The recording rules and alerts: what they say at their true windows, and that the table is what is committed."""

from __future__ import annotations

import re
from pathlib import Path
from subprocess import run

import pytest

from dashboards import alerts, records, rules
from dashboards._record import Record
from dashboards._windows import duration, scaled
from tests.dashboards.stack import DASHBOARDS, ROOT, program
from tracedtimeout._core.figures._metrics import METRICS

RUNBOOKS = ROOT / "docs/runbooks"
PROMETHEUS = DASHBOARDS / "prometheus"
FAMILIES = {metric.prometheus_name for metric in METRICS}
EVERY: list[Record | alerts.Alert] = [*records.RECORDS, *alerts.ALERTS]
ALERTS = {alert.alert for alert in alerts.ALERTS}
UNIT_TESTS = sorted(PROMETHEUS.glob("*_test.yml"))


def promtool(*arguments: str) -> str:
    done = run([program("promtool"), *arguments], capture_output=True, text=True, check=False, cwd=PROMETHEUS)
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.mark.long
@pytest.mark.server
@pytest.mark.parametrize("path", UNIT_TESTS, ids=lambda path: path.name)
def test_the_rules_fire_and_stay_silent_as_they_should(path: Path) -> None:
    """Prometheus's own unit tests of the rules pass, at the windows that operators have."""
    assert promtool("test", "rules", path.name) == ""


def test_every_alert_is_unit_tested() -> None:
    """No alert is without a promtool test that names it."""
    text = "".join(path.read_text() for path in UNIT_TESTS)
    assert {name for name in ALERTS if name not in text} == set()


@pytest.mark.server
@pytest.mark.parametrize("name", [*rules.files(), "objectives.yml"])
def test_the_rules_are_valid_at_any_scale(name: str) -> None:
    """Prometheus loads the committed files, and those with windows scaled down for a test."""
    assert promtool("check", "rules", name) == ""


def test_scaling_shrinks_windows_and_nothing_else() -> None:
    """Windows, offsets and waits are multiplied; thresholds, names and text that looks alike stay."""
    expr = "a:rate5m > 5 and rate(b[5m] offset 1h) < time() - 300"
    assert scaled(expr, 1 / 60) == "a:rate5m > 5 and rate(b[5000ms] offset 60000ms) < time() - 5.000"
    assert duration("2m", 0.1) == "12000ms"
    assert rules.files(1) == rules.files()


def test_alerts_tell_what_to_do() -> None:
    """Each alert has a summary with its labels, a description, the page to read and a dashboard of ours."""
    for alert in alerts.ALERTS:
        written = alert.as_dict()["annotations"]
        assert list(written) == ["summary", "description", "runbook_url", "dashboard_url"]
        assert "$labels.job" in written["summary"]
        assert written["description"].endswith((".", "?"))
        assert written["runbook_url"] == f"runbooks/{alert.alert}.md"
        assert (RUNBOOKS / f"{alert.alert}.md").read_text().startswith(f"# {alert.alert}\n")
        assert re.match(r"/d/tracedtimeout-(overview|one)\?", written["dashboard_url"])
        assert re.findall(r"\{\{(?! \$labels\.\w+ \| urlquery \}\})", written["dashboard_url"]) == [], (
            "names have spaces"
        )


def test_every_runbook_is_that_of_an_alert() -> None:
    """No page is left of an alert that is no more, and each says what to do first."""
    assert {path.stem for path in RUNBOOKS.iterdir()} == ALERTS
    assert [path.stem for path in RUNBOOKS.iterdir() if "\n## First\n" not in path.read_text()] == []


def test_only_what_the_table_calls_critical_pages() -> None:
    """Severities are `critical` and `warning`; an alert on a timeout is critical for names that the table calls so."""
    assert {alert.severity for alert in alerts.ALERTS} == {"critical", "warning"}
    pages = [alert for alert in alerts.ALERTS if alert.severity == "critical"]
    assert [alert.alert for alert in pages if alerts.CRITICAL not in alert.expr] == ["TimeoutTargetMissing"]


def test_nothing_is_summed_across_clusters_and_namespaces() -> None:
    """Each rule that sums, matches or groups by job does so within one cluster and namespace."""
    for rule in EVERY:
        kept = re.findall(r"(?:by|on) \(([^)]*)\)", rule.expr)
        assert [labels for labels in kept if "job" in labels and "cluster, namespace" not in labels] == []


def test_rules_read_metrics_that_exist() -> None:
    """Every family in an expression is in the package's table, or recorded by another rule."""
    recorded = {record.record for record in records.RECORDS}
    for rule in EVERY:
        names = set(re.findall(r"\btracedtimeout_\w+", re.sub(r"\w+:\w+:\w+", "", rule.expr)))
        assert {re.sub("_(bucket|count|sum)$", "", name) for name in names} <= FAMILIES | {"tracedtimeout_objective"}
        assert set(re.findall(r"\w+:\w+:\w+", rule.expr)) <= recorded


def test_recorded_names_say_level_metric_and_operation() -> None:
    """Names follow Prometheus's convention, and the level is what the expression keeps."""
    names = [record.record for record in records.RECORDS]
    assert [name for name in names if not re.fullmatch(r"job_\w+:tracedtimeout_\w+:\w+\d[smhd]", name)] == []

"""The table of suggested limits: its verdicts, worked out by Prometheus from buckets."""

from __future__ import annotations

from pathlib import Path
from subprocess import run
from typing import Any

import pytest
import yaml

from dashboards import limits
from tests.dashboards.stack import GENERATED, program

CASES: dict[str, dict[str, Any]] = {
    "fits": {"limit": 1.0, "bucket": "0.5", "uses": 100, "expired": 0, "verdict": "fits"},
    "loose": {"limit": 10.0, "bucket": "0.5", "uses": 100, "expired": 0, "verdict": "too loose"},
    "tight": {"limit": 0.5, "bucket": "0.5", "uses": 100, "expired": 0, "verdict": "too tight"},
    "rare": {"limit": 1.0, "bucket": "0.5", "uses": 1, "expired": 0, "verdict": "too few to tell (under 1000)"},
    "cancelled": {
        "limit": 1.0,
        "bucket": "0.5",
        "uses": 100,
        "expired": 0,
        "outcome": "cancelled",
        "verdict": "too few to tell (under 1000)",
    },
    "expiring": {
        "limit": 1.0,
        "bucket": "0.5",
        "uses": 100,
        "expired": 1,
        "verdict": "cannot tell, raise it (over 0.1 % expire)",
    },
    "cut short": {
        "limit": 10.0,
        "bucket": "0.5",
        "uses": 100,
        "expired": 0,
        "interrupted": 1,
        "verdict": "cannot tell, another's deadline ends it (over 0.1 %)",
    },
}
"""Timeouts by name: the limit in force, the bucket their durations fall in, uses and expiries a minute."""

CODES = {text: int(code) for code, (text, _) in limits.VERDICTS.items()}


def series(name: str, case: dict[str, Any]) -> list[dict[str, str]]:
    labels = f'job="shop", instance="a:1", timeout="{name}"'
    uses, expired, limit = case["uses"], case["expired"], case["limit"]
    interrupted = case.get("interrupted", 0)
    duration = f'{{{labels}, outcome="{case.get("outcome", "completed")}"'
    return [
        {"series": f'tracedtimeout_duration_seconds_bucket{duration}, le="0.25"}}', "values": "0x60"},
        {
            "series": f'tracedtimeout_duration_seconds_bucket{duration}, le="{case["bucket"]}"}}',
            "values": f"0+{uses}x60",
        },
        {"series": f'tracedtimeout_duration_seconds_bucket{duration}, le="+Inf"}}', "values": f"0+{uses}x60"},
        {"series": f"tracedtimeout_duration_seconds_count{duration}}}", "values": f"0+{uses}x60"},
        {"series": f"tracedtimeout_limit_seconds_count{{{labels}}}", "values": f"0+{uses}x60"},
        {"series": f"tracedtimeout_limit_seconds_sum{{{labels}}}", "values": f"0+{uses * limit}x60"},
        {"series": f'tracedtimeout_expirations_total{{{labels}, outcome="expired"}}', "values": f"0+{expired}x60"},
        {"series": f'tracedtimeout_interruptions_total{{{labels}, owner="whole"}}', "values": f"0+{interrupted}x60"},
    ]


@pytest.mark.server
@pytest.mark.parametrize("name", CASES)
def test_a_limit_is_judged_by_what_durations_say_of_it(name: str, tmp_path: Path) -> None:
    """A limit fits, is too tight or too loose, or cannot be judged: too few uses, or ends that hide the rest."""
    verdict = "job_timeout:tracedtimeout_limit_verdict:rate1d"
    expected = [{"labels": f'{verdict}{{job="shop", timeout="{name}"}}', "value": CODES[CASES[name]["verdict"]]}]
    test = {
        "interval": "1m",
        "input_series": series(name, CASES[name]),
        "promql_expr_test": [{"expr": verdict, "eval_time": "1h", "exp_samples": expected}],
    }
    rules = {"rule_files": [str(GENERATED / "prometheus/recording.yml")], "evaluation_interval": "1m", "tests": [test]}
    path = tmp_path / "test.yml"
    path.write_text(yaml.safe_dump(rules))
    done = run([program("promtool"), "test", "rules", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

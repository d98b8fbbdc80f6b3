"""The rules as objects of Kubernetes, for Prometheus Operator."""

from __future__ import annotations

from typing import Any

from . import objectives, rules


def files() -> dict[str, str]:
    """Two ``PrometheusRule`` objects: the rules, and the table of objectives that the operator edits."""
    groups = [group for content in rules.groups().values() for group in content]
    table = _prometheus_rule("tracedtimeout-objectives", objectives.groups())
    return {
        "rules.yml": rules.HEADER + rules.dump(_prometheus_rule("tracedtimeout", groups)),
        "objectives.yml": objectives.HEADER + rules.dump(table),
    }


def _prometheus_rule(name: str, groups: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/part-of": "tracedtimeout"}},
        "spec": {"groups": groups},
    }

"""A recording rule, and how what it records is named: ``level:metric:operation``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Record:
    """A recording rule."""

    record: str
    expr: str

    def as_dict(self) -> dict[str, Any]:
        return {"record": self.record, "expr": self.expr}


def named(metric: str, operation: str) -> str:
    """The name of what is recorded for each timeout of each job."""
    return f"job_timeout:tracedtimeout_{metric}:{operation}"

"""What is tried on the mutants of which module: its own tests first, then those that would notice."""

from __future__ import annotations

CORE = [
    "tests/core/test_timeout.py",
    "tests/core/test_corners.py",
    "tests/core/test_series.py",
    "tests/core/test_outcomes.py",
    "tests/core/test_budget.py",
    "tests/core/test_child_tasks.py",
    "tests/core/test_wait_for.py",
    "tests/core/test_observers.py",
    "tests/core/test_left_behind.py",
    "tests/core/test_ended.py",
    "tests/core/test_direct.py",
]
RANDOM = ["tests/core/test_model.py", "tests/core/test_differential.py", "tests/schedules/test_schedules.py"]
STRUCK = ["tests/faults/test_recursion.py", "tests/faults/test_growth.py"]

TARGETS: dict[str, list[str]] = {
    "_arguments": ["tests/core/test_timeout.py", *CORE[1:]],
    "_budget": ["tests/core/test_budget.py", "tests/wire/test_crossing.py", "tests/core/test_where.py", *CORE, *RANDOM],
    "_exceeded": ["tests/core/test_outcomes.py", "tests/core/test_where.py", *CORE, "tests/use/test_surface.py"],
    "_lanes": ["tests/core/test_lanes.py", *CORE, *RANDOM, *STRUCK],
    "_names": ["tests/core/test_names.py", *CORE],
    "_outcome": ["tests/core/test_outcome.py", *CORE],
    "_spent": [
        "tests/core/test_spent.py",
        "tests/core/test_outcomes.py",
        "tests/core/test_child_tasks.py",
        *CORE,
        *RANDOM,
    ],
    "_where": ["tests/core/test_where.py", *CORE],
    "_words": ["tests/core/test_words.py", "tests/core/test_names.py"],
}
"""The modules of the core that are tried, with their tests."""

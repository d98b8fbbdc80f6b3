"""The modules of the core whose mutants are tried, and the tests that may notice."""

from __future__ import annotations

MODULES = (
    "_arguments",
    "_budget",
    "_context",
    "_deciding",
    "_decorator",
    "_delays",
    "_ended",
    "_ending",
    "_entering",
    "_exceeded",
    "_facts",
    "_family",
    "_firing",
    "_granting",
    "_hot_py",
    "_lane",
    "_lanes",
    "_limits",
    "_link",
    "_loop",
    "_names",
    "_observers",
    "_open",
    "_outcome",
    "_raising",
    "_reserves",
    "_spent",
    "_closers",
    "_timeout",
    "_unwinding",
    "_view",
    "_wait_for",
    "_warn",
    "_where",
    "_words",
    "figures._metrics",
    "figures._process",
    "figures._series",
    "figures._table",
)

TESTS = [
    "tests/core",
    "tests/schedules",
    "tests/faults/test_recursion.py",
    "tests/mutation/lines.py",
    "tests/export/test_histograms.py",
    "tests/export/test_logs.py",
    "tests/export/test_prometheus.py",
    "tests/export/test_spans.py",
    "tests/export/test_from_zero.py",
    "tests/use/test_kit.py",
    "tests/use/test_limits.py",
    "tests/use/test_surface.py",
    "tests/use/test_views.py",
    "tests/wire/test_trust.py",
]
"""Tests of the process that they run in: a mutant is in no other."""

LEFT_OUT = ("tests/core/test_conformance.py", "tests/core/test_hot.py", "tests/core/test_asyncio_corners.py")
"""Processes of their own, the other twin, and a long one."""

WITHOUT = "not million and not gone_leave_nothing and not forked and not planted and not doctor and not last_frame"
"""Nor those whose names say that they take long, nor one where the stack has no frame for who looks on."""

RANDOM = ("test_differential.py", "test_model.py", "test_schedules.py", "lines.py")
"""Few, and they notice much: asked before others that are quicker, but for those that are `QUICK`."""

QUICK = 0.03
"""Seconds of a test that is asked in any case."""

FORKS = ("test_fork.py",)
"""Those that fork: asked of lines that no test comes to in this process."""

LIKE = 6
"""Of a test with parameters so many are asked, the quickest; but for `EACH` one of them."""

EACH = ("lines.py", "test_ending.py", "test_direct.py")
"""Whose parameters come to different lines."""

LONGEST = 1.5
"""Seconds of a test that is asked, unless it is one of those."""

ENOUGH = 6.0
"""Seconds of other tests, as they take with no fault, after which a mutant has survived."""


ALSO = {
    "_budget": ("test_two_loops.py", "test_threads.py"),
    "_context": ("test_for_doors.py",),
    "_delays": ("test_series.py", "test_limits.py", "test_lanes.py"),
    "_entering": ("test_series.py", "test_limits.py", "test_names.py"),
    "_ended": ("test_raising.py", "test_where.py", "test_series.py"),
    "_ending": ("test_raising.py", "test_deciding.py", "test_left_behind.py", "test_series.py", "test_fork.py"),
    "_exceeded": ("test_ended.py", "test_copies.py"),
    "_facts": ("test_views.py", "test_link.py"),
    "_family": ("test_threads.py", "test_two_loops.py", "test_firing.py"),
    "_firing": ("test_left_behind.py", "test_family.py", "test_metrics.py", "test_deciding.py"),
    "_hot_py": ("test_timeout.py", "test_wait_for.py", "test_entering.py", "test_ending.py", "test_direct.py"),
    "_lane": ("test_lanes.py", "test_firing.py"),
    "_lanes": ("test_firing.py",),
    "_link": ("test_firing.py", "test_two_loops.py", "test_threads.py"),
    "_loop": (
        "test_clocks.py",
        "test_fork.py",
        "test_lanes.py",
        "test_two_loops.py",
        "test_series.py",
        "test_left_behind.py",
    ),
    "_names": ("test_with_timeout.py",),
    "_raising": ("test_ending.py", "test_exceeded.py", "test_ended.py", "test_copies.py"),
    "_reserves": ("test_threads.py", "test_two_loops.py", "test_series.py", "test_family.py"),
    "_spent": ("test_child_tasks.py",),
    "_timeout": ("test_firing.py", "test_reserves.py"),
    "_unwinding": ("test_firing.py", "test_ending.py"),
    "_decorator": ("test_with_timeout.py",),
    "_view": ("test_views.py", "test_spans.py", "test_observers.py"),
    "_warn": ("test_logs.py",),
    "figures._metrics": ("test_series.py", "test_histograms.py"),
    "figures._process": ("test_series.py", "test_fork.py", "test_left_behind.py"),
    "figures._table": ("test_series.py", "test_histograms.py"),
}
"""Files of tests of a module that stand beside its own."""


def of(module: str) -> str:
    """The name of the module's own tests."""
    return f"test_{module.rpartition('.')[2].lstrip('_')}.py"

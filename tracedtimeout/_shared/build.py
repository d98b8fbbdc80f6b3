"""The figures that exporters show: those of the core, and the metric that tells which build of the package runs."""

from __future__ import annotations

from importlib import import_module

from tracedtimeout._core.figures import _metrics, _process
from tracedtimeout._core.figures._metrics import Metric
from tracedtimeout._core.figures._process import Table
from tracedtimeout._version import VERSION


def _implementation() -> str:
    """The language of the hot path: ``c`` or ``python``."""
    try:
        return str(import_module("tracedtimeout._core._hot").IMPLEMENTATION)
    except (ImportError, AttributeError):
        return "python"


BUILD_INFO = Metric(
    "tracedtimeout.build.info",
    "tracedtimeout_build_info",
    "updowncounter",  # a gauge, of which the core has none
    "{build}",
    ("version", "implementation"),
    "1, for the version of tracedtimeout that runs and the language of its hot path.",
)
METRICS = (*_metrics.METRICS, BUILD_INFO)

_INFO: Table = {BUILD_INFO: {(VERSION, _implementation()): 1}}


def snapshot() -> Table:
    """The figures of the process, now, as the core's `snapshot` has them, for all of `METRICS`."""
    return _process.snapshot() | _INFO

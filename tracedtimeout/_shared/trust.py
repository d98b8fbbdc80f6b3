"""The headers that a deadline comes in, and which of them OpenTelemetry's propagator believes: `install()` says."""

from __future__ import annotations

from collections.abc import Collection

HEADERS = ("deadline-budget", "grpc-timeout", "connect-timeout-ms", "x-envoy-expected-rq-timeout-ms")

accept: Collection[str] = HEADERS
maximum: float | None = None
"""Seconds that it grants no more than; None for no such bound."""

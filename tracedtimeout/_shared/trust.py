"""The headers that a deadline comes in, and which of them OpenTelemetry's propagator believes: `install()` says."""

from __future__ import annotations

from collections.abc import Collection

HEADERS = ("deadline-budget", "grpc-timeout", "connect-timeout-ms", "x-envoy-expected-rq-timeout-ms")

accept: Collection[str] = HEADERS
maximum: float | None = None
"""The most seconds that a header may grant; None for no such bound."""

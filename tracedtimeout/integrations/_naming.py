"""Names of requests: method and route template, never anything that a client may choose."""

from __future__ import annotations

UNMATCHED = "_unmatched"
OTHER = "_OTHER"
METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
"""Those that OpenTelemetry's semantic conventions know; a client may send any other."""
MARK = "__tracedtimeout_exempt__"
"""Set on the endpoints that are exempt."""


def method_and_route(method: str, template: str | None) -> str:
    """The name of requests with that method, for the route with that template; None is for no route."""
    return f"{method if method in METHODS else OTHER} {UNMATCHED if template is None else template}"

"""Names of requests: method and route template, never anything that a client may choose."""

from __future__ import annotations

import functools

UNMATCHED = "_unmatched"
OTHER = "_OTHER"
METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
"""The methods that OpenTelemetry's semantic conventions know; a client may send any other."""
MARK = "__tracedtimeout_exempt__"
"""Set on the endpoints that are exempt."""
_MOST = 1024


def method_and_route(method: str, template: str | None) -> str:
    """The name of requests with that method, for the route with that template; None is for no route."""
    return f"{method if method in METHODS else OTHER} {UNMATCHED if template is None else template}"


packages: dict[str, str] = {}
"""By the name of a request: the top-level package of its endpoint, whose frame is where the request waits."""


def note_endpoint(name: str, endpoint: object) -> None:
    """Remember whose code serves the requests `name`."""
    while isinstance(endpoint, functools.partial):
        endpoint = endpoint.func
    module = getattr(endpoint, "__module__", None)
    if isinstance(module, str) and name not in packages and len(packages) < _MOST:
        packages[name] = module.partition(".")[0]

"""The names of one ASGI application's requests, found before it routes them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from tracedtimeout._shared.asgi import Scope
from tracedtimeout._shared.once import Once
from tracedtimeout.integrations._naming import MARK, METHODS, UNMATCHED, method_and_route, note_endpoint

from . import _routes

EXEMPT = "_exempt"
"""The template that a `route_of` returns for a route that no deadline shall end."""

in_threads: set[str] = set()
"""Names of requests that a plain function serves, as far as can be told: frameworks run those in threads."""

_MOST, _LONGEST = 1024, 256
"""Names kept, and characters of a path whose name is: clients choose the paths."""


class Namer:
    """Names the requests of one application: `EXEMPT`, or method and template."""

    def __init__(self, app: object, route_of: Callable[[Scope], str | None] | None) -> None:
        self._app = app
        self._route_of = route_of
        self._resolver: _routes.Resolver | None = None
        self.kept: dict[tuple[Any, Any, Any], str] = {}
        """Names of HTTP requests, by method, path and root path, to be looked for here first; none is exempt."""
        self._exempt: dict[tuple[Any, Any, Any], str] = {}
        self._complain = Once()

    def __call__(self, scope: Scope) -> str:
        key = (scope.get("method", "GET"), scope["path"], scope.get("root_path") or "")
        if scope["type"] == "http":
            if key in self._exempt:
                return EXEMPT
            if key in self.kept:  # and not found there by the door: a server may leave out the root path
                return self.kept[key]
        try:
            template, endpoint, keep = self._found(scope)
        except Exception as exc:
            self._complain(f"finding the route of a request failed: it is {UNMATCHED!r}", exc)
            template, endpoint, keep = None, None, False
        name = EXEMPT if template == EXEMPT else method_and_route(key[0], template)
        if endpoint is not None and template is not None:
            note_endpoint(name, endpoint)
        if inspect.isfunction(endpoint) and not inspect.iscoroutinefunction(endpoint):
            in_threads.add(name)
        if keep and template is not None and key[0] in METHODS and len(key[1] + key[2]) <= _LONGEST:
            kept = self._exempt if name is EXEMPT else self.kept
            if len(kept) >= _MOST:
                kept.clear()
            kept[key] = name
        return name

    def _found(self, scope: Scope) -> tuple[str | None, object, bool]:
        """The template, what serves it, and whether these depend on nothing but the method and the paths."""
        if self._route_of is not None:
            return self._route_of(scope), None, False
        if self._resolver is None:
            self._resolver = _routes.resolver_for(self._app, scope)
        route = self._resolver(scope)
        keep = scope["type"] == "http" and self._resolver.by_path()
        if route is None and scope["type"] == "http" and not scope["path"].endswith("/"):
            route = self._mounted(scope)
            keep = keep and route is None  # each time, for the path is changed each time
        if route is None:
            return None, None, keep
        return EXEMPT if getattr(route.endpoint, MARK, False) else route.template, route.endpoint, keep

    def _mounted(self, scope: Scope) -> _routes.Route | None:
        """The route of a page of ours that is mounted at this very path: without the slash Starlette would redirect."""
        assert self._resolver is not None
        route = self._resolver({**scope, "path": scope["path"] + "/"})
        if route is None or not getattr(type(route.endpoint), MARK, False):
            return None
        scope["path"] += "/"
        return route

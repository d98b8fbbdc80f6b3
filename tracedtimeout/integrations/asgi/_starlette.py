"""The routes of Starlette and FastAPI, and of what is mounted in their applications."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tracedtimeout._shared.asgi import Scope

from ._resolver import Resolver, Route, methods_of


class Starlette:
    """Starlette's and FastAPI's table: the first route that matches in full, as their routers choose it."""

    def __init__(self, app: Any, mounted: Callable[[object], Resolver | None]) -> None:
        self._app = app
        self._mounted = mounted
        """The resolver for an application of another framework that is mounted, such as Flask's behind an adapter."""
        self._written: list[Any] = []
        self._known: list[Any] = []
        self._included = False  # some are of included routers, which may change by themselves
        self._prefixes: list[str] = []
        self._by_path = True

    def __call__(self, scope: Scope) -> Route | None:
        routes = self._routes()
        if not scope.get("root_path"):
            begins = scope["path"].startswith  # a sixth of what it takes to ask each route
            routes = [route for route, prefix in zip(routes, self._prefixes, strict=True) if begins(prefix)]
        return self._first(routes, dict(scope))

    def by_path(self) -> bool:
        self._routes()
        return self._by_path

    def known(self) -> Iterator[tuple[str, Route]]:
        return self._all(self._app.routes, "")

    def _routes(self) -> list[Any]:
        """The routes there are now, what depends on them being up to date."""
        written = self._app.routes
        if written == self._written and not self._included:
            return self._known
        routes = list(_flat(written))
        if routes != self._known:
            included = any(hasattr(route, "effective_route_contexts") for route in written)
            prefixes, by_path = [_prefix(route) for route in routes], not _any_host(routes)
            kept = list(written), routes, included, prefixes, by_path
            self._written, self._known, self._included, self._prefixes, self._by_path = kept  # in one step
        return routes

    def _first(self, routes: Iterable[Any], scope: Scope) -> Route | None:
        for route in _flat(routes):
            match, child = route.matches(scope)
            if match.name == "FULL":
                return self._inside(route, {**scope, **child})
        return None

    def _inside(self, route: Any, scope: Scope) -> Route | None:
        """The route itself; of a mount the one beneath it, or all that it serves as one."""
        path = _path(route)
        endpoint = getattr(route, "endpoint", None)
        if endpoint is not None or not hasattr(route, "app"):
            return Route(path, endpoint)
        if beneath := getattr(route, "routes", None):
            found = self._first(beneath, scope)
        elif resolver := self._mounted(route.app):
            found = resolver(scope)
        else:
            return Route(path, route.app)
        return None if found is None else Route(f"{getattr(route, 'path', '')}{found.template}", found.endpoint)

    def _all(self, routes: Iterable[Any], prefix: str) -> Iterator[tuple[str, Route]]:
        for route in _flat(routes):
            endpoint, beneath = getattr(route, "endpoint", None), getattr(route, "routes", None)
            if endpoint is not None:
                served = Route(prefix + _path(route), endpoint)
                for method in getattr(route, "methods", None) or methods_of(endpoint):
                    yield method, served
            elif beneath:
                yield from self._all(beneath, prefix + getattr(route, "path", ""))
            elif resolver := self._mounted(getattr(route, "app", None)):
                for method, found in resolver.known():
                    yield method, Route(f"{prefix}{getattr(route, 'path', '')}{found.template}", found.endpoint)


def _path(route: Any) -> str:
    return str(getattr(route, "path_format", None) or getattr(route, "path", ""))


def _prefix(route: Any) -> str:
    """The beginning of every path that `route` matches, where its regular expression tells; else empty."""
    original = type(getattr(route, "original_route", None))
    stock = {"NoneType", "APIRoute"} & {base.__name__ for base in original.__mro__}
    if not stock or type(route).matches.__module__ not in ("starlette.routing", "fastapi.routing"):
        return ""
    literal = _path(route).partition("{")[0]
    pattern = str(getattr(getattr(route, "path_regex", None), "pattern", ""))
    return literal if pattern.startswith(f"^{re.escape(literal)}") else ""


def _any_host(routes: Iterable[Any]) -> bool:
    """True if a route is chosen by the host name."""
    return any(hasattr(route, "host_regex") or _any_host(getattr(route, "routes", ())) for route in _flat(routes))


def _flat(routes: Iterable[Any]) -> Iterator[Any]:
    """The routes, with those of the routers that FastAPI includes without copying them."""
    for route in routes:
        contexts = getattr(route, "effective_route_contexts", None)
        if contexts is None:
            yield route
        else:
            yield from (getattr(context, "starlette_route", None) or context for context in contexts())

"""Which route a request will be routed to, asked of the web framework's own table before it routes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from tracedtimeout._shared.asgi import Scope


@dataclass(frozen=True, slots=True)
class Route:
    """A route as it was written: its template, and the function, class or app that serves it."""

    template: str
    endpoint: object = None


class Resolver(Protocol):
    """Finds the route of a request; None if there is none, or none with its method."""

    def __call__(self, scope: Scope, /) -> Route | None: ...

    def by_path(self) -> bool:
        """True if the method and the path alone decide, so that an answer may be kept."""


def resolver_for(app: object, scope: Scope) -> Resolver:
    """The resolver for the application around or inside the middleware: Starlette, FastAPI, Litestar, or nobody."""
    for candidate in (*_wrapped(app), scope.get("app")):
        if hasattr(candidate, "asgi_router"):
            return _Litestar(candidate)
        if isinstance(getattr(candidate, "routes", None), list):
            return _Starlette(candidate)
    return _Nobody()


def _wrapped(app: object) -> Iterator[object]:
    """`app` and the apps that it, a middleware, wraps."""
    seen: set[int] = set()
    while app is not None and id(app) not in seen:
        seen.add(id(app))
        yield app
        app = getattr(app, "app", None)


class _Nobody:
    """For an application whose routes we cannot see."""

    def __call__(self, scope: Scope) -> Route | None:
        return None

    def by_path(self) -> bool:
        return True


class _Starlette:
    """Starlette's and FastAPI's table: the first route that matches in full, as their routers choose it."""

    def __init__(self, app: Any) -> None:
        self._app = app
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
        return _first(routes, dict(scope))

    def by_path(self) -> bool:
        self._routes()
        return self._by_path

    def _routes(self) -> list[Any]:
        """The routes there are now, what depends on them being up to date."""
        written = self._app.routes
        if written == self._written and not self._included:
            return self._known
        routes = list(_flat(written))
        if routes != self._known:
            self._written, self._known = list(written), routes
            self._included = any(hasattr(route, "effective_route_contexts") for route in written)
            self._prefixes = [_prefix(route) for route in routes]
            self._by_path = not _any_host(routes)
        return routes


def _prefix(route: Any) -> str:
    """The beginning of every path that `route` matches, where its regular expression tells; else empty."""
    original = type(getattr(route, "original_route", None))
    stock = {"NoneType", "APIRoute"} & {base.__name__ for base in original.__mro__}
    if not stock or type(route).matches.__module__ not in ("starlette.routing", "fastapi.routing"):
        return ""
    literal = str(getattr(route, "path_format", None) or getattr(route, "path", "")).partition("{")[0]
    pattern = str(getattr(getattr(route, "path_regex", None), "pattern", ""))
    return literal if pattern.startswith(f"^{re.escape(literal)}") else ""


def _first(routes: Iterable[Any], scope: Scope) -> Route | None:
    for route in _flat(routes):
        match, child = route.matches(scope)
        if match.name == "FULL":
            return _inside(route, {**scope, **child})
    return None


def _inside(route: Any, scope: Scope) -> Route | None:
    """The route itself; of a mount the one beneath it, or all that it serves as one."""
    path = str(getattr(route, "path_format", None) or getattr(route, "path", ""))
    endpoint = getattr(route, "endpoint", None)
    if endpoint is not None or not hasattr(route, "app"):
        return Route(path, endpoint)
    beneath = getattr(route, "routes", None)
    if not beneath:
        return Route(path, route.app)
    found = _first(beneath, scope)
    return None if found is None else Route(f"{getattr(route, 'path', '')}{found.template}", found.endpoint)


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


class _Litestar:
    """Litestar's table. Inside the app it has routed already; around it, its router is asked."""

    def __init__(self, app: Any) -> None:
        self._app = app

    def __call__(self, scope: Scope) -> Route | None:
        template, handler = scope.get("path_template"), scope.get("route_handler")
        if template is None:
            path = re.sub("/+", "/", "/" + scope["path"].removeprefix(scope.get("root_path", "")).strip("/"))
            try:
                _, handler, _, _, template = self._app.asgi_router.handle_routing(path=path, method=scope.get("method"))
            except Exception:  # an error to be answered by the app: not found, method not allowed
                return None
        if not template:  # an app that is mounted, at its handler's path
            template = f"{min(getattr(handler, 'paths', None) or ('',))}/{{path}}"
        return Route(str(template), getattr(handler, "fn", handler))

    def by_path(self) -> bool:
        return True

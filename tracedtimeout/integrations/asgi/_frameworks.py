"""The routes of Litestar, Quart, Flask, Django and Sanic, asked of their own tables.

None of them is imported here: what is asked belongs to the application, or was imported by it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from tracedtimeout._shared.asgi import Scope
from tracedtimeout.integrations._naming import MARK

from ._resolver import Route, methods_of


def _beneath(scope: Scope) -> str:
    """The path within the application."""
    path, root = str(scope["path"]), str(scope.get("root_path") or "").rstrip("/")
    return path.removeprefix(root) if f"{path}/".startswith(f"{root}/") else path


class Litestar:
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

    def known(self) -> Iterator[tuple[str, Route]]:
        for route in self._app.routes:
            for handler in getattr(route, "route_handlers", ()):
                for method in getattr(handler, "http_methods", ()):
                    yield str(getattr(method, "value", method)), Route(str(route.path_format), handler.fn)


class Werkzeug:
    """Quart's and Flask's table, which is Werkzeug's."""

    def __init__(self, app: Any) -> None:
        self._app = app

    def __call__(self, scope: Scope) -> Route | None:
        over, socket = self._app.url_map, scope["type"] == "websocket"
        host = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), "localhost")
        bound = over.bind(host, subdomain=None if over.host_matching else self._subdomain(host))
        try:
            options = {"websocket": True} if socket else {}
            rule, _ = bound.match(_beneath(scope) or "/", scope.get("method", "GET"), return_rule=True, **options)
        except Exception:  # not found, method not allowed, a redirect: answers of the app's own
            return None
        return Route(str(rule.rule), self._endpoint(rule))

    def by_path(self) -> bool:
        over = self._app.url_map
        return not over.host_matching and not any(rule.subdomain for rule in over.iter_rules())

    def known(self) -> Iterator[tuple[str, Route]]:
        for rule in self._app.url_map.iter_rules():
            if not getattr(rule, "websocket", False):
                for method in rule.methods or ():
                    yield method, Route(str(rule.rule), self._endpoint(rule))

    def _subdomain(self, host: str) -> str:
        server = self._app.config.get("SERVER_NAME")
        if not server or not getattr(self._app, "subdomain_matching", False):
            return str(self._app.url_map.default_subdomain)
        return host.removesuffix(str(server)).rstrip(".")

    def _endpoint(self, rule: Any) -> object:
        return self._app.view_functions.get(rule.endpoint)


class Django:
    """Django's table, that of ROOT_URLCONF: what a middleware sets as the urlconf of a request is not seen."""

    def __call__(self, scope: Scope) -> Route | None:
        path = _beneath(scope)
        return self._resolved(path) or self._of_language(path)

    def by_path(self) -> bool:
        return True

    def known(self) -> Iterator[tuple[str, Route]]:
        return self._all(sys.modules["django.urls"].get_resolver().url_patterns, "")

    def _all(self, patterns: Iterable[Any], prefix: str) -> Iterator[tuple[str, Route]]:
        """The routes of views that are classes: which methods a function serves, it alone knows."""
        for pattern in patterns:
            route = prefix + str(pattern.pattern)
            beneath = getattr(pattern, "url_patterns", None)
            if beneath is not None:
                yield from self._all(beneath, route)
                continue
            view = _view(pattern.callback)
            for method in methods_of(view) or ["GET"]:
                yield method, Route(f"/{route}", view)

    def _of_language(self, path: str) -> Route | None:
        """The route among `i18n_patterns`, which go by the language that Django sets by the path's beginning."""
        translation: Any = sys.modules["django.utils.translation"]
        language = translation.get_language_from_path(path)
        if language is None:
            return None
        with translation.override(language):
            return self._resolved(path)

    def _resolved(self, path: str) -> Route | None:
        try:
            match = sys.modules["django.urls"].resolve(path)  # its handlers have imported it
        except Exception:  # not found: the app's to answer
            return None
        return Route(f"/{match.route}", _view(match.func))


def _view(function: Any) -> object:
    """The class of a view that is one, unless the view is marked by itself."""
    if hasattr(function, MARK):
        return function
    return getattr(function, "view_class", None) or getattr(function, "cls", None) or function


class Sanic:
    """Sanic's table of routes, which is there once the server has started."""

    def __init__(self, app: Any) -> None:
        self._app = app

    def __call__(self, scope: Scope) -> Route | None:
        host = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), None)
        try:
            route, handler, _ = self._app.router.get(_beneath(scope), scope.get("method", "GET"), host)
        except Exception:  # not found, method not allowed: the app's to answer
            return None
        return Route(f"/{route.path}", handler)

    def by_path(self) -> bool:
        router = self._app.router
        return bool(router.finalized) and not any(route.requirements for route in router.routes)

    def known(self) -> Iterator[tuple[str, Route]]:
        for route in self._app.router.routes:
            for method in route.methods:
                yield method, Route(f"/{route.path}", route.handler)

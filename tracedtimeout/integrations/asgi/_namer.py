"""The names of one ASGI application's requests, found before it routes them."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from tracedtimeout._shared.asgi import Scope
from tracedtimeout._shared.once import Once
from tracedtimeout.integrations._naming import MARK, METHODS, UNMATCHED, method_and_route, note_endpoint

from ._resolver import Resolver, Route
from ._routes import KNOWN, Nobody, resolver_for

_log = logging.getLogger("tracedtimeout")

EXEMPT = "_exempt"
"""The template that a `route_of` returns for a route that no deadline shall end."""

in_threads: set[str] = set()
"""Names of requests that a plain function serves, as far as can be told: frameworks run those in threads."""

_MOST, _LONGEST = 1024, 256
"""Names kept, and characters of a path whose name is: clients choose the paths."""
_MOST_KNOWN = 100
"""Names told before their first request: half of those that have figures of their own unless more are asked for."""
_SELDOM = {"HEAD", "OPTIONS"}
"""Methods that frameworks serve by themselves."""
_FRAMEWORKS = ("django.contrib.", "fastapi.", "flask.", "litestar.", "quart.", "starlette.")
"""The beginnings of modules whose routes are no application's own: documentation, static files, the admin's pages."""


class Namer:
    """Names the requests of one application: `EXEMPT`, or method and template."""

    def __init__(
        self,
        app: object,
        route_of: Callable[[Scope], str | None] | None,
        announce: Callable[[Iterator[str]], None],
    ) -> None:
        self._app = app
        self._route_of = route_of
        self._announce = announce
        """Told of the names that there will be."""
        self._resolver: Resolver | None = None
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
            self._resolver = resolver_for(self._app, scope)
            if isinstance(self._resolver, Nobody):
                self._tell_nobody()
            self.tell_known()
        route = self._resolver(scope)
        keep = scope["type"] == "http" and self._resolver.by_path()
        if route is None and scope["type"] == "http" and not scope["path"].endswith("/"):
            route = self._mounted(scope)
            keep = keep and route is None  # each time, for the path is changed each time
        if route is None:
            return None, None, keep
        return EXEMPT if getattr(route.endpoint, MARK, False) else route.template, route.endpoint, keep

    def tell_known(self) -> None:
        """Announce the names of the routes that there are; called again when the application has started."""
        if self._route_of is not None:
            return
        resolver = self._resolver or resolver_for(self._app, {})
        try:
            self._announce(islice(_names_of(resolver), _MOST_KNOWN))
        except Exception as exc:
            self._complain("the routes of an application cannot be listed", exc)

    def _tell_nobody(self) -> None:
        app: Any = self._app if inspect.isroutine(self._app) else type(self._app)
        _log.warning(
            "requests of %s are all named %r: its routes are not known here, as those of %s are; route_of= names them",
            f"{app.__module__}.{app.__qualname__}",
            UNMATCHED,
            KNOWN,
        )

    def _mounted(self, scope: Scope) -> Route | None:
        """The route of a page of ours that is mounted at this very path: without the slash Starlette would redirect."""
        assert self._resolver is not None
        route = self._resolver({**scope, "path": scope["path"] + "/"})
        if route is None or not getattr(type(route.endpoint), MARK, False):
            return None
        scope["path"] += "/"
        return route


def _names_of(resolver: Resolver) -> Iterator[str]:
    for method, route in resolver.known():
        of_its_own = str(getattr(route.endpoint, "__module__", "")).startswith(_FRAMEWORKS)
        if method not in _SELDOM and not of_its_own and not getattr(route.endpoint, MARK, False):
            yield method_and_route(method, route.template)

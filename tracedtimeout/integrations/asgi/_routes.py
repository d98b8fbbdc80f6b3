"""Which framework's table of routes is asked for the route of a request."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from tracedtimeout._shared.asgi import Scope

from ._frameworks import Django, Litestar, Sanic, Werkzeug
from ._resolver import Resolver, Route
from ._starlette import Starlette

KNOWN = "Starlette, FastAPI, Litestar, Quart, Flask, Django and Sanic"

_INSIDE = ("app", "application", "wsgi_application", "__self__")
"""The attributes by which middlewares, adapters and, last, methods such as `app.asgi_app` hold what they wrap."""
_DEEPEST = 32


def resolver_for(app: object, scope: Scope) -> Resolver:
    """The resolver for the application around or inside the middleware; `Nobody` if no framework is known in it."""
    return _resolver_in(app) or _resolver_in(scope.get("app")) or Nobody()


def _resolver_in(app: object) -> Resolver | None:
    return next((found for each in _wrapped(app) if (found := _resolver(each)) is not None), None)


def _resolver(app: Any) -> Resolver | None:
    if hasattr(app, "asgi_router"):
        return Litestar(app)
    if hasattr(app, "url_map") and hasattr(app, "view_functions"):
        return Werkzeug(app)
    modules = {base.__module__ for base in type(app).__mro__}
    if "sanic.app" in modules:
        return Sanic(app)
    if "django.core.handlers.asgi" in modules or "django.core.handlers.wsgi" in modules:
        return Django()
    if isinstance(getattr(app, "routes", None), list):
        return Starlette(app, _resolver_in)
    return None


def _wrapped(app: object) -> Iterator[object]:
    """`app` and the apps that it, a middleware or an adapter, wraps."""
    return islice(_outermost_first(app), _DEEPEST)


def _outermost_first(app: object) -> Iterator[object]:
    while app is not None:
        yield app
        app = next((found for name in _INSIDE if (found := getattr(app, name, None)) is not None), None)


class Nobody:
    """For an application whose routes we cannot see."""

    def __call__(self, scope: Scope) -> Route | None:
        return None

    def by_path(self) -> bool:
        return True

    def known(self) -> tuple[()]:
        return ()

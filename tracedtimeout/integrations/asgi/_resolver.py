"""The question put to a web framework's table of routes, before it routes."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from tracedtimeout._shared.asgi import Scope
from tracedtimeout.integrations._naming import METHODS


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

    def known(self) -> Iterable[tuple[str, Route]]:
        """The routes over HTTP that there are now, once for each method; those that cannot be told are left out."""


def methods_of(endpoint: object) -> list[str]:
    """The methods that a class serves, as frameworks have them: each by the attribute of its name."""
    return [method for method in sorted(METHODS) if inspect.isclass(endpoint) and hasattr(endpoint, method.lower())]

"""Limits from configuration: seconds by the name of a timeout, in place of those that the code asks for."""

from __future__ import annotations

from collections.abc import Mapping

from . import _names

KINDS = frozenset({"timeout", "wait_for", "with_timeout"})
"""The kinds that ask for seconds in code; a `timeout_at` and a request have a deadline that somebody else made."""

OTHERS = "*"
"""Stands for every name that has no limit of its own."""

configured: Mapping[str, float] = {}
"""Swapped whole, never changed in place."""


def limit_of(kind: str, name: str) -> float | None:
    """The seconds that are configured for timeouts of `kind` that are called `name` in the code; None for none."""
    if not configured or kind not in KINDS or name in _names.defaults:
        return None
    return configured.get(name, configured.get(OTHERS))

"""The error of a door whose package is not installed: it names the extra to install."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Have an ImportError inside name the extra; it is called as its door is."""
    try:
        yield
    except ImportError as exc:
        message = f"tracedtimeout.integrations.{name} needs an extra: pip install 'tracedtimeout[{name}]' ({exc})"
        raise ImportError(message, name=exc.name) from exc

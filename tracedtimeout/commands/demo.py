"""``python -m tracedtimeout demo``: a small shop under load, to watch timeouts in."""

from __future__ import annotations

from importlib.util import find_spec

for needed in ("aiosqlite", "httpx", "opentelemetry.sdk", "rich", "starlette", "uvicorn"):
    if find_spec(needed) is None:  # each of its processes would find out by itself
        raise ImportError(f"The demo needs {needed}: pip install 'tracedtimeout[demo]'", name=needed)

from tracedtimeout.demo.run.cli import main  # noqa: E402  # not before it is known that it can be

__all__ = ["main"]

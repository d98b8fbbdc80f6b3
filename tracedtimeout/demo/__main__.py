"""Starts the demo, or says in one line what it needs first."""

import sys
from importlib.util import find_spec

NEEDED = ("aiosqlite", "httpx", "opentelemetry.sdk", "rich", "starlette", "uvicorn")


def lacking() -> list[str]:
    """The packages of the extra that are not installed."""
    return [name for name in NEEDED if not _found(name)]


def _found(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False


if __name__ == "__main__":
    if missing := lacking():
        sys.exit(f"The demo needs {', '.join(missing)}: pip install 'tracedtimeout[demo]'")
    from tracedtimeout.demo.cli import main

    sys.exit(main())

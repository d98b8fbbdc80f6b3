"""Starts the demo, or says in one line what it needs first."""

import signal
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


def start() -> int | str:
    """Run the demo; returns what to exit with."""
    if missing := lacking():
        return f"The demo needs {', '.join(missing)}: pip install 'tracedtimeout[demo]'"
    from tracedtimeout.demo.run.cli import main  # noqa: PLC0415  # not before it is known that it can be

    return main()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts background jobs with SIGINT ignored
    try:
        sys.exit(start())
    except KeyboardInterrupt:
        sys.exit(130)

"""The commands of ``python -m tracedtimeout``, a module each; its ``main`` takes the arguments.

Without a command all are listed; one that lacks a package says what to install.
"""

from __future__ import annotations

import signal
import sys
from contextlib import suppress
from importlib import import_module

__all__ = ["COMMANDS", "main"]

COMMANDS = {
    "dashboards": "Grafana dashboards, Prometheus rules, a mixin and runbooks, written to a folder",
    "demo": "a small shop under load, to watch timeouts in",
    "doctor": "what is installed, which settings are in force, who holds asyncio's own timeouts",
    "suggest": "the limits that Prometheus's rules suggest, as a file for TRACEDTIMEOUT_LIMITS",
    "top": "the timeouts of a running process, from its live page",
}
"""Commands by name, with a line for the list. The module of one raises an ImportError that names a missing extra."""


def main(arguments: list[str]) -> int | str:
    """Run the command that the first argument names; returns what to exit with."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_list())
        return 0
    name, *rest = arguments
    if name not in COMMANDS:
        return f"There is no command {name!r}.\n{_list()}"
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts background jobs with SIGINT ignored
    with suppress(AttributeError):
        sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]  # a terminal that has no bars gets "?"
    try:
        command = import_module(f"{__name__}.{name}")
    except ImportError as error:
        return str(error)
    try:
        ended: int | str = command.main(rest)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return ended


def _list() -> str:
    lines = (f"  {name:<12}{does}" for name, does in COMMANDS.items())
    return "\n".join(["python -m tracedtimeout COMMAND, or COMMAND --help:", *lines])

"""Limits from configuration: from a mapping or a TOML file, put in force, and read again while the program runs."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tracedtimeout._core import _delays, _limits
from tracedtimeout._core._arguments import seconds_of, shown

_log = logging.getLogger("tracedtimeout")

Source = Mapping[str, float] | str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds by name, and where they are from: a mapping, or the path of a file."""

    source: Mapping[str, float] | str | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        told = ", ".join(f"{name!r} = {seconds:g}" for name, seconds in self.seconds.items())
        return (told or "none") + (f" in {self.source}" if isinstance(self.source, str) else "")

    def put_in_force(self) -> None:
        """Have timeouts that are made from now on take these limits."""
        global _in_force
        _in_force = self
        _limits.configured = self.seconds
        _delays.resolve_limits()


_in_force = Limits()


def limits_from(who: str, source: object) -> Limits:
    """The limits that a mapping has, or a TOML file: ``"name" = seconds``.

    Raises:
        TypeError, ValueError: they are none; the message begins with `who`, and names the file and the name.
    """
    if isinstance(source, Mapping):
        return Limits(source, _checked(who, source))
    if not isinstance(source, str | os.PathLike):
        raise TypeError(f"{who} must be seconds by name, or the path of a TOML file, not {shown(source)}")
    import tomllib  # noqa: PLC0415  # most programs have no such file

    path = os.fsdecode(source)
    try:
        with open(path, "rb") as file:  # noqa: PTH123  # pathlib loads five modules more with every import
            found = tomllib.load(file)
    except (OSError, ValueError) as error:
        raise ValueError(f"{who}: {path} cannot be read: {error}") from None
    return Limits(path, _checked(f"{who}: {path}", found))


def _checked(who: str, found: Mapping[Any, object]) -> dict[str, float]:
    limits: dict[str, float] = {}
    for name, seconds in found.items():
        if not isinstance(name, str) or not name:
            raise TypeError(f"{who}: a name must be a string that is not empty, not {shown(name)}")
        if "*" in name and name != _limits.OTHERS:
            raise ValueError(f"{who}: {name!r} is no pattern: names are exact, and '*' stands for all the others")
        wrong = f"{who}: {name!r} must be a number of seconds above 0, not {shown(seconds)}"
        if isinstance(seconds, bool | Mapping | str | list):
            raise TypeError(wrong)
        if not 0.0 < (limit := float(seconds_of(f"{who}: {name!r}", seconds))) < math.inf:
            raise ValueError(wrong)
        limits[name] = limit
    return limits


def reload_limits() -> bool:
    """Read again the limits that `install` was given; timeouts that are open keep theirs.

    Returns:
        True if they were read. False if `install` was given none, and if they are bad: that is logged, and nothing has
        changed.
    """
    source = _in_force.source
    if source is None:
        return False
    try:
        limits = limits_from("limits", source)
    except (TypeError, ValueError) as error:
        _log.error("limits stay as they were: %s", error)  # the message is all
        return False
    limits.put_in_force()
    _log.info("limits were read again: %s", limits)
    return True


def limits_on_signal(number: int) -> Callable[[], None]:
    """Have a signal call `reload_limits`, in a thread: ``limits_on_signal(signal.SIGUSR2)``.

    Returns:
        The function that gives the signal back to whoever had it before.

    Raises:
        ValueError: this is not the main thread, or there is no such signal.
    """
    from tracedtimeout._shared.signals import on_signal  # noqa: PLC0415  # a plain import has no need of it

    return on_signal(number, reload_limits)

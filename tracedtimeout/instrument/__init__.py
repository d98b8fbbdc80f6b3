"""Unchanged code: watches the timeouts of asyncio itself, in an application and in the libraries it uses.

    opentelemetry-instrument python app.py

or, before the libraries are imported,

    from tracedtimeout.instrument import TracedTimeoutInstrumentor

    TracedTimeoutInstrumentor().instrument()

`asyncio.timeout`, `timeout_at`, `Timeout` and `wait_for` are counted like ours and become late spans (of what expired
or overran). They do what they did: a plain TimeoutError, no budget inherited or enforced. OpenTelemetry's metrics are
exported if its SDK is there; for Prometheus call `tracedtimeout.install`.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from types import FrameType, ModuleType
from typing import Any, Literal, cast, get_args

from opentelemetry.metrics import MeterProvider

from tracedtimeout._core import _names, _observers
from tracedtimeout._core._arguments import shown
from tracedtimeout._core._observers import Observer
from tracedtimeout._disabled import DISABLED
from tracedtimeout.spans import SpanObserver

from . import _calls
from ._standins import STANDINS, replace

try:
    from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]  # no __all__
except ImportError as _exc:
    _message = f"tracedtimeout.instrument needs an extra: pip install 'tracedtimeout[instrument]' ({_exc})"
    raise ImportError(_message, name=_exc.name) from _exc

__all__ = ["TracedTimeoutInstrumentor"]

_log = logging.getLogger("tracedtimeout")

Names = Literal["module", "function"]
Prefixes = str | Iterable[str] | None

INCLUDE = "TRACEDTIMEOUT_INSTRUMENT_INCLUDE"
EXCLUDE = "TRACEDTIMEOUT_INSTRUMENT_EXCLUDE"
NAMES = "TRACEDTIMEOUT_INSTRUMENT_NAMES"

_NEVER = ("asyncio", "tracedtimeout")
"""Packages whose own use of asyncio's timeouts is never watched."""


class TracedTimeoutInstrumentor(BaseInstrumentor):  # type: ignore[misc]  # untyped in older releases
    """Watches the timeouts that asyncio is asked for.

    Keyword arguments of ``instrument()``, each with an environment variable that stands in for it when it is left out:

    - ``include`` (``TRACEDTIMEOUT_INSTRUMENT_INCLUDE``, commas between): prefixes of module names; only code of those
      is watched. ``shop`` is the package ``shop`` and all in it.
    - ``exclude`` (``TRACEDTIMEOUT_INSTRUMENT_EXCLUDE``): prefixes of those that are not.
    - ``names`` (``TRACEDTIMEOUT_INSTRUMENT_NAMES``): ``module``, a timeout is called by the calling module; or
      ``function``, by ``module:qualname``.
    - ``tracer_provider``, ``meter_provider``: by default the global ones.
    """

    _stop_metrics: Callable[[], None] | None = None

    def instrumentation_dependencies(self) -> Collection[str]:
        return ()

    def _instrument(self, **kwargs: Any) -> None:
        if DISABLED:
            return
        watcher = _Watcher(
            _prefixes("include", kwargs.get("include"), INCLUDE) or ("",),
            _prefixes("exclude", kwargs.get("exclude"), EXCLUDE),
            _checked(kwargs.get("names") or os.environ.get(NAMES) or "module"),
            SpanObserver("late", kwargs.get("tracer_provider")),
        )
        self._stop_metrics = _export_metrics(kwargs.get("meter_provider"))
        _warn_of_holders(watcher)
        _calls.watcher = watcher
        for module, name, original, standin in STANDINS:
            if not replace(module, name, original, standin):
                setattr(module, name, standin)

    def _uninstrument(self, **kwargs: Any) -> None:
        """Put back the very objects, unless somebody replaced ours meanwhile; timeouts that are open end watched."""
        _calls.watcher = None
        for module, name, original, standin in STANDINS:
            replace(module, name, standin, original)
        if self._stop_metrics is not None:
            self._stop_metrics()


class _Watcher:
    """Watches by the name of the calling module."""

    def __init__(self, include: tuple[str, ...], exclude: tuple[str, ...], names: Names, spans: SpanObserver) -> None:
        self._include = include
        self._exclude = (*_NEVER, *exclude)
        self._by_function = names == "function"
        self._spans = spans
        self._known: dict[str, bool] = {}

    def name_of(self, caller: FrameType) -> str | None:
        module = str(caller.f_globals.get("__name__") or "?")
        watched = self._known.get(module)
        if watched is None:
            watched = self._known[module] = self.watches(module)
        if not watched:
            return None
        return _names.of_caller(caller) if self._by_function else _names.checked(module)

    def watches(self, module: str) -> bool:
        return _within(module, self._include) and not _within(module, self._exclude)

    def observers(self) -> list[Observer]:
        """All that are installed, with late spans in the place of theirs."""
        return [self._spans, *(each for each in _observers.installed if not isinstance(each, SpanObserver))]


def _within(module: str, prefixes: tuple[str, ...]) -> bool:
    return any(not prefix or module == prefix or module.startswith(f"{prefix}.") for prefix in prefixes)


def _prefixes(parameter: str, given: Prefixes, variable: str) -> tuple[str, ...]:
    if given is None:
        given = os.environ.get(variable, "")
    prefixes = given.split(",") if isinstance(given, str) else list(given)
    if not all(isinstance(prefix, str) for prefix in prefixes):
        raise TypeError(f"{parameter} must be prefixes of module names, not {shown(given)}")
    return tuple(prefix.strip() for prefix in prefixes if prefix.strip())


def _checked(names: object) -> Names:
    if names in get_args(Names):
        return cast(Names, names)
    raise ValueError(f"names must be 'module' or 'function', not {shown(names)}")


def _export_metrics(meter_provider: MeterProvider | None) -> Callable[[], None] | None:
    from tracedtimeout import otlp  # noqa: PLC0415  # OpenTelemetry's metrics take 8 ms to import

    try:
        return otlp.instrument(meter_provider)
    except ImportError:  # the SDK is the application's, and may not be there
        return None


def _warn_of_holders(watcher: _Watcher) -> None:
    """Say which modules took what we replace before we did."""
    holders = sorted(_holders(watcher))
    if holders:
        _log.warning(
            "instrumented late: what these modules took from asyncio when they were imported may go unwatched; "
            "instrument before they are: %s",
            ", ".join(holders),
        )


def _names_in(module: object) -> Mapping[str, object]:
    """The names in a module; none of an object that stands in a module's place. A lazy module is not loaded by it."""
    if not issubclass(type(module), ModuleType):
        return {}
    return cast(Mapping[str, object], object.__getattribute__(module, "__dict__"))


def _holders(watcher: _Watcher) -> Iterator[str]:
    originals = {id(original) for _, _, original, _ in STANDINS}
    for module_name, module in list(sys.modules.items()):
        if watcher.watches(module_name):
            held = [name for name, value in list(_names_in(module).items()) if id(value) in originals]
            if held:
                yield f"{module_name} ({', '.join(held)})"

"""The settings of `install()`: where each comes from, and what it may be."""

from __future__ import annotations

import importlib
import math
import operator
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeAlias, TypeVar, cast, get_args

from tracedtimeout._core._arguments import seconds_of, shown
from tracedtimeout._core._observers import Observer
from tracedtimeout._core.figures import _metrics
from tracedtimeout._shared.trust import HEADERS

from ._limits import Limits, limits_from

if TYPE_CHECKING:
    from prometheus_client.registry import CollectorRegistry

T = TypeVar("T")
Registry: TypeAlias = "CollectorRegistry | None"
Spans = Literal["always", "late", "off"]
Bounds = Mapping[str, Sequence[float]]


@dataclass(frozen=True, slots=True, repr=False)
class Setting(Generic[T]):
    """A setting, as the default of its parameter: its environment variable's value, else `default()`."""

    parameter: str
    default: Callable[[], T]
    read: Callable[[str], Any]
    check: Callable[[str, Any], T]
    empty_is_a_value: bool = False
    """A variable that is set, and empty, says something: elsewhere it is as if it were not set."""

    def __repr__(self) -> str:
        return f"<{self.variable}, else {self.default()!r}>"

    @property
    def variable(self) -> str:
        return f"TRACEDTIMEOUT_{self.parameter.upper()}"

    def value(self, given: object) -> T:
        """The argument `given` if it is one, else the variable's, else the default.

        Raises:
            TypeError, ValueError: it is not one of those allowed; the message names the parameter or the variable.
        """
        if given is not self:
            return self.check(self.parameter, given)
        text = os.environ.get(self.variable, "").strip()
        if not text and not (self.empty_is_a_value and self.variable in os.environ):
            return self.default()
        try:
            value = self.read(text)
        except Exception as exc:  # whatever importing the user's module may raise
            raise ValueError(f"{self.variable}={text!r} cannot be read: {exc}") from exc
        return self.check(self.variable, value)


def _default_registry() -> Registry:
    import prometheus_client  # noqa: PLC0415  # takes 30 ms to import

    return prometheus_client.REGISTRY


def _is_registry(who: str, value: object) -> Registry:
    from prometheus_client.registry import CollectorRegistry  # noqa: PLC0415  # as above

    if value is None or isinstance(value, CollectorRegistry):
        return value
    raise TypeError(f"{who} must be a prometheus_client.CollectorRegistry or None, not {shown(value)}")


def _is_policy(who: str, value: object) -> Spans:
    if value in get_args(Spans):
        return cast(Spans, value)
    raise ValueError(f"{who} must be 'always', 'late' or 'off', not {shown(value)}")


def _are_observers(who: str, value: object) -> tuple[Observer, ...]:
    if not isinstance(value, Iterable):
        raise TypeError(f"{who} must be observers, not {shown(value)}")
    observers = tuple(value)
    for observer in observers:
        if isinstance(observer, type) or not callable(observer):
            raise TypeError(f"{who} must be observers, which are called with a Timeout, not {shown(observer)}")
    return observers


def _is_count(who: str, value: object) -> int:
    try:
        count = operator.index(value)  # type: ignore[arg-type]  # that it may be none is the question
    except TypeError:
        raise TypeError(f"{who} must be a whole number, not {shown(value)}") from None
    if count < 1:
        raise ValueError(f"{who} must be at least 1, not {shown(value)}")
    return count


def _are_headers(who: str, value: object) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Collection):
        raise TypeError(f"{who} must be some of {HEADERS}, not {shown(value)}")
    if not set(value) <= set(HEADERS):
        raise ValueError(f"{who} must be some of {HEADERS}, not {shown(value)}")
    return tuple(value)


def _is_maximum(who: str, value: object) -> float | None:
    if value is not None and seconds_of(who, value) < 0.0:
        raise ValueError(f"{who} must not be negative, not {shown(value)}")
    return None if value is None else float(cast(float, value))


def _are_limits(who: str, value: object) -> Limits:
    return Limits() if value is None else limits_from(who, value)


def _are_bounds(who: str, value: object) -> Bounds | None:
    """Bounds by instrument name; bare ones are those of the histograms with the common seconds buckets."""
    if value is None:
        return None
    histograms = {metric.name: metric for metric in _metrics.METRICS if metric.kind == "histogram"}
    if not isinstance(value, Mapping):
        common = _metrics.DURATION.default_bounds
        bounds = _ascending(who, value)
        value = {name: bounds for name, metric in histograms.items() if metric.default_bounds == common}
    for name in value:
        if name not in histograms:
            raise ValueError(f"{who}: {name!r} is not one of {sorted(histograms)}")
    return {name: _ascending(who, bounds) for name, bounds in value.items()}


def _ascending(who: str, value: Any) -> tuple[float, ...]:
    try:
        bounds = () if isinstance(value, str) else tuple(map(float, value))  # else "12" were 1 and 2
    except (TypeError, ValueError):
        raise TypeError(f"{who} must be numbers, not {shown(value)}") from None
    if not bounds or not all(map(math.isfinite, bounds)) or sorted(set(bounds)) != list(bounds):
        raise ValueError(f"{who} must be finite and strictly ascending, not {shown(value)}")
    return bounds


def _read_object(text: str) -> Any:
    """The object that ``module:attribute`` names; None for ``none``."""
    if text.lower() in ("none", "off"):
        return None
    module, _, attribute = text.partition(":")
    if not attribute:
        raise ValueError("write module:attribute")
    return operator.attrgetter(attribute)(importlib.import_module(module))


def _read_observers(text: str) -> list[Any]:
    """The objects that ``module:attribute,module:attribute`` names; classes are called."""
    found = [_read_object(part.strip()) for part in text.split(",")]
    return [one() if isinstance(one, type) else one for one in found]


def _read_bounds(text: str) -> Mapping[str, list[float]] | list[float]:
    """Numbers between commas: ``0.1,1`` or ``tracedtimeout.duration=0.1,1;tracedtimeout.unwind=0.01,0.1``."""
    if "=" not in text:
        return [float(bound) for bound in text.split(",")]
    parts = [part.partition("=") for part in text.split(";") if part.strip()]
    return {name.strip(): [float(bound) for bound in bounds.split(",")] for name, _, bounds in parts}


def _read_headers(text: str) -> list[str]:
    """The names between commas; none for an empty text, or ``none``."""
    return [] if text.lower() in ("", "none") else [name.strip().lower() for name in text.split(",")]


REGISTRY: Setting[Registry] = Setting("registry", _default_registry, _read_object, _is_registry)
SPANS: Setting[Spans] = Setting("spans", lambda: "always", str.lower, _is_policy)
OBSERVERS: Setting[tuple[Observer, ...]] = Setting("observers", tuple, _read_observers, _are_observers)
BUCKETS: Setting[Bounds | None] = Setting("buckets", lambda: None, _read_bounds, _are_bounds)
MAX_NAMES: Setting[int] = Setting("max_names", lambda: 200, int, _is_count)
ACCEPT: Setting[tuple[str, ...]] = Setting("accept", lambda: HEADERS, _read_headers, _are_headers, True)
MAXIMUM: Setting[float | None] = Setting("maximum", lambda: None, float, _is_maximum)
LIMITS: Setting[Limits] = Setting("limits", Limits, str, _are_limits)

SETTINGS: tuple[Setting[Any], ...] = (
    REGISTRY,
    SPANS,
    OBSERVERS,
    BUCKETS,
    MAX_NAMES,
    ACCEPT,
    MAXIMUM,
    LIMITS,
)

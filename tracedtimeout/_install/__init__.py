"""`install()`: the one call that wires telemetry. The exporters are imported when it is called."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tracedtimeout._core._observers import Observer
from tracedtimeout._disabled import DISABLED

from ._limits import Limits, Source
from ._settings import (
    ACCEPT,
    BUCKETS,
    LIMITS,
    MAX_NAMES,
    MAXIMUM,
    OBSERVERS,
    REGISTRY,
    SPANS,
    Bounds,
    Registry,
    Setting,
    Spans,
)

if TYPE_CHECKING:
    from prometheus_client.registry import CollectorRegistry


def install(
    *,
    registry: CollectorRegistry | Setting[Registry] | None = REGISTRY,
    spans: Spans | Setting[Spans] = SPANS,
    observers: Iterable[Observer] | Setting[tuple[Observer, ...]] = OBSERVERS,
    buckets: Bounds | Sequence[float] | Setting[Bounds | None] | None = BUCKETS,
    max_names: int | Setting[int] = MAX_NAMES,
    accept: Collection[str] | Setting[tuple[str, ...]] = ACCEPT,
    maximum: float | Setting[float | None] | None = MAXIMUM,
    limits: Source | Setting[Limits] | None = LIMITS,
) -> Callable[[], None]:
    """Export what timeouts do from now on. A second call replaces the first; what it returns undoes it.

    OpenTelemetry's metrics and spans go through its global providers, if the application sets them, before or after;
    through another meter provider with `tracedtimeout.otlp.instrument`. Prometheus's families go to `registry`.

    An argument that is left out is taken from the environment variable ``TRACEDTIMEOUT_`` and its name in capitals,
    else it is the default given here.

    Args:
        registry: where Prometheus's families go: `prometheus_client.REGISTRY`; None for nowhere. In the environment
            ``module:attribute`` or ``none``. With ``PROMETHEUS_MULTIPROC_DIR`` set they go to its files instead.
        spans: ``always``, ``late`` (only of timeouts that expired or overran) or ``off``.
        observers: told of every timeout, after spans are begun and before they end. In the environment
            ``module:attribute``, several between commas; classes are called.
        buckets: upper bounds by instrument name (``tracedtimeout.unwind``), or those of all histograms that have the
            common seconds buckets. Settable until something was counted, and they stay then. In the environment
            ``0.1,1,10`` or ``tracedtimeout.duration=0.1,1;tracedtimeout.unwind=0.01,0.1``.
        max_names: 200 names of timeouts have figures of their own, later ones share those of ``_OTHER``.
        accept: the headers that OpenTelemetry's propagator of ours believes; ``()`` at an edge. In the environment
            names between commas, or ``none``. Server doors have an `accept` of their own.
        maximum: seconds that a deadline which it extracts is cut to; None for no such bound.
        limits: seconds by name that `timeout`, `wait_for` and `with_timeout` take in place of those in the code, where
            the code gives a ``name=`` and seconds; ``"*"`` stands for all other names. A mapping, or the path of a TOML
            file of lines ``"name" = seconds``, as in the environment. `reload_limits` reads it again.

    With ``TRACEDTIMEOUT_DISABLED=1`` it does nothing, and in `tracedtimeout.testing.no_telemetry` it wires nothing.

    Raises:
        TypeError, ValueError: bad input; the message names the parameter or the variable. Nothing has changed then.
        RuntimeError: `buckets` differ from those that figures already stand in.
    """
    if DISABLED:
        return lambda: None
    where, policy = REGISTRY.value(registry), SPANS.value(spans)
    others: dict[str, Any] = {
        "observers": OBSERVERS.value(observers),
        "buckets": BUCKETS.value(buckets),
        "max_names": MAX_NAMES.value(max_names),
        "accept": ACCEPT.value(accept),
        "maximum": MAXIMUM.value(maximum),
        "limits": LIMITS.value(limits),
    }
    if _suspensions:
        return lambda: None
    from ._installation import prepared, put_in_place  # noqa: PLC0415  # Prometheus's client takes 30 ms to import

    wanted = prepared(where, policy, **others)
    put_in_place(wanted)
    return wanted.undo


_suspensions = 0


@contextmanager
def suspended() -> Iterator[None]:
    """A block in which nothing is installed, and `install` wires nothing; for tests."""
    global _suspensions
    installation = sys.modules.get(f"{__name__}._installation")
    resume = None
    _suspensions += 1
    try:
        resume = None if installation is None else installation.suspend()
        yield
    finally:
        _suspensions -= 1
        if resume is not None:
            resume()

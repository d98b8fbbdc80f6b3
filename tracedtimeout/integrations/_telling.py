"""The headers of a deadline: which of them an HTTP client's door sends, and to which hosts."""

from __future__ import annotations

import math
import reprlib
import time
from collections.abc import Collection, Iterable
from contextvars import ContextVar
from dataclasses import dataclass

from tracedtimeout._disabled import DISABLED
from tracedtimeout.propagation import CONNECT_TIMEOUT, DEADLINE_BUDGET, EMITTED, GRPC_TIMEOUT, decode, encode, outgoing

from ._hosts import Hosts

TOLD = (DEADLINE_BUDGET,)
"""The headers by which a request tells its deadline unless others are asked for."""
_WRITTEN = (DEADLINE_BUDGET, GRPC_TIMEOUT, CONNECT_TIMEOUT)

Changes = dict[str, str | None]
"""Headers of a request by name: the value of one to set, or None for one to take out."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The address that a request goes to; ports as they are written, None for the scheme's own."""

    scheme: str
    host: str
    port: int | None

    @property
    def hop(self) -> str:
        return self.host if self.port is None else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class _Redirect:
    to: Origin
    first: Origin
    call: object
    """An object that the library makes once for each call, redirects included; None where that cannot be told."""
    started: float


_redirect: ContextVar[_Redirect | None] = ContextVar("tracedtimeout-redirect", default=None)
"""The redirect that was last answered in this context: libraries follow one in the context of the request. A door sees
the requests of a call one by one, and is not told that one follows another."""


class Telling:
    """The terms of one door: the hosts that are told of deadlines, and by which headers.

    Args:
        hosts: None for all; then a redirect to another origin is not told.
        headers: of those that are written.

    Raises:
        TypeError, ValueError: bad input; the message names the parameter and the value.
    """

    def __init__(self, hosts: Collection[str] | None, headers: Collection[str]) -> None:
        if isinstance(headers, str):
            raise TypeError(f"headers must be a collection of header names, not the string {reprlib.repr(headers)}")
        for header in headers:
            encode(header, 0)  # a ValueError here, rather than at the first request
        self._hosts = Hosts(hosts)
        self._headers = tuple(headers)
        self._ours = frozenset({*headers, *EMITTED})
        """The headers that a request may have of this door, or of OpenTelemetry's instrumentation by our propagator."""

    def begin(
        self,
        origin: Origin,
        carried: Iterable[tuple[str, str]],
        *,
        total: float | None = None,
        patience: float | None = None,
        call: object = None,
    ) -> Told:
        """A request to `origin` that is about to be sent.

        Args:
            carried: its header lines: a deadline that its caller put there bounds what is told.
            total: seconds that its call may take, redirects included.
            patience: seconds that its sender waits for an answer to begin. They shorten a deadline that is told, and
                are none by themselves.
            call: an object of this call alone.
        """
        now = time.monotonic()
        followed = _redirect.get()
        first, started = origin, now
        if followed is not None and followed.to == origin and followed.call is call:
            _redirect.set(None)
            first = followed.first
            started = now if call is None else followed.started
        asked = {name: granted for name, value in carried if (granted := _granted(name.lower(), value)) is not None}
        names = {name.lower() for name in asked if name.lower() in _WRITTEN}
        return Told(
            origin=origin,
            first=first,
            call=call,
            started=started,
            listed=origin.host in self._hosts and (not self._hosts.everywhere or first == origin),
            headers=tuple(dict.fromkeys([*self._headers, *names])),
            ours=self._ours,
            asked=now + min(asked.values(), default=math.inf),
            total=math.inf if total is None else started + total,
            patience=math.inf if patience is None else patience,
        )


@dataclass(frozen=True, slots=True)
class Told:
    """The headers of one request."""

    origin: Origin
    first: Origin
    """The origin that the call went to first, before redirects."""
    call: object
    started: float
    listed: bool
    """True if the request's host is told of the budget."""
    headers: tuple[str, ...]
    ours: frozenset[str]
    asked: float
    """On the monotonic clock: the deadline that its caller wrote into it."""
    total: float
    """On the monotonic clock: the end of its call by the library's own limit."""
    patience: float

    @property
    def names(self) -> frozenset[str]:
        """The headers that may be changed."""
        return self.ours.union(self.headers)

    def changes(self, left: float) -> Changes:
        """The changes to the request's headers when `left` seconds of the budget are left."""
        if DISABLED:
            return {}
        if not self.listed:
            return dict.fromkeys(self.ours)
        if left == math.inf and self.asked <= self.total and self.asked <= time.monotonic() + self.patience:
            return {}  # nothing shortens what its caller wrote, if anything
        now = time.monotonic()
        seconds = min(left, self.asked - now, self.total - now)
        if seconds == math.inf:
            return {}
        return {**dict.fromkeys(self.ours), **outgoing(max(0.0, min(seconds, self.patience)), headers=self.headers)}

    def redirects(self, to: Origin | None) -> None:
        """Note that the answer is a redirect to there: the next request from here to there is this call's."""
        if to is not None and (to != self.first or self.call is not None):
            _redirect.set(_Redirect(to, self.first, self.call, self.started))


def _granted(header: str, value: str) -> float | None:
    """Seconds that a header line grants; None if it is none of ours, malformed, or explicitly without a deadline."""
    if header not in _WRITTEN:
        return None
    try:
        granted = decode(header, value)
    except ValueError:
        return None
    return None if granted is None else granted / 1e9

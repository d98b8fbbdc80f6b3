"""The budget in requests: an adapter for its sessions."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

from tracedtimeout import checkpoint

from ._extra import extra
from ._hosts import PRIVATE
from ._outgoing import ended_by_budget_here, ended_there_here, least, seconds_to_send
from ._telling import TOLD, Changes, Origin, Telling

with extra("requests"):
    import requests
    from requests.adapters import HTTPAdapter
    from requests.structures import CaseInsensitiveDict
    from urllib3 import Timeout
    from urllib3.exceptions import ReadTimeoutError, TimeoutStateError

__all__ = ["PRIVATE", "DeadlineAdapter"]

_PORTS = {"http": 80, "https": 443}


class DeadlineAdapter(HTTPAdapter):
    """Sends with each request the seconds left of the budget, and lets it take no longer.

    ``session.mount("https://", DeadlineAdapter())``, and for ``"http://"``. A request whose budget is spent is not
    sent. Each attempt and redirect carries what is left then: the least of the budget, the read timeout, and a deadline
    that the caller wrote into the request. With no deadline in force a request is sent as it is.

    No timer ends a blocking call: it looks at the budget before each attempt and between the chunks of the body.

    Args:
        hosts: the host names that are told of the budget, ``*.example.org`` for all beneath one, `PRIVATE` for those of
            one's own network. To others goes no header of ours at all, OpenTelemetry's propagator and the caller
            included. By default all are told, but for a redirect to another origin.
        headers: the headers that tell it.
        options: those of `requests.adapters.HTTPAdapter`.

    Raises (of a request):
        DeadlineExceeded: the budget was spent before it was sent, or while it was under way.
    """

    __attrs__: list[str] = [*HTTPAdapter.__attrs__, "_telling"]  # noqa: RUF012  # what is pickled, as requests has it

    def __init__(
        self, *, hosts: Collection[str] | None = None, headers: Collection[str] = TOLD, **options: Any
    ) -> None:
        self._telling = Telling(hosts, headers)
        super().__init__(**options)

    def send(  # noqa: PLR0917  # as in requests
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> requests.Response:
        own = _Limits.of(timeout)
        seconds_to_send()
        sent = request.copy()  # requests makes redirects, and answers to challenges, of what it was given
        told = self._telling.begin(_origin(str(request.url)), sent.headers.items(), patience=own.read)
        sent.headers = headers = _Headers(sent.headers)
        left: Any = _Left(own, lambda left: headers.change(told.changes(left)))
        try:
            response = super().send(sent, stream, left, verify, cert, proxies)
        except (requests.Timeout, requests.ConnectionError):
            ended_by_budget_here()
            raise
        response.request = request
        if response.is_redirect:
            told.redirects(_origin(urljoin(response.url, response.headers["location"])))
        try:
            ended_there_here(response.status_code, response.headers, told.origin.hop)
        except BaseException:
            response.close()
            raise
        vars(response.raw)["stream"] = _bounded(response.raw.stream)
        return response


@dataclass(frozen=True, slots=True)
class _Limits:
    """A request's own limits, in seconds; None for none."""

    connect: float | None
    read: float | None
    total: float | None = None

    @classmethod
    def of(cls, timeout: Any) -> _Limits:
        """The limits that `timeout` says, in whatever form requests takes them."""
        if isinstance(timeout, Timeout):
            return cls(_number(timeout.connect_timeout), _read_of(timeout), _number(timeout.total))
        if not isinstance(timeout, tuple):
            return cls(timeout, timeout)
        if len(timeout) != 2:
            raise ValueError(
                f"timeout must be seconds, or a tuple of those to connect and to read, not {reprlib.repr(timeout)}"
            )
        return cls(*timeout)


def _read_of(timeout: Timeout) -> float | None:
    try:
        return _number(timeout.read_timeout)
    except TimeoutStateError:  # it has a total alone, whose clock has not started
        return _number(timeout.total)


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) else None


class _Headers(CaseInsensitiveDict[str]):
    """The headers of a request, with the copies that urllib3 makes of them, and sends."""

    def __init__(self, lines: Any) -> None:
        self._copies: list[_Headers] = []
        super().__init__(lines)

    def copy(self) -> _Headers:
        self._copies.append(made := _Headers(self))
        return made

    def change(self, changes: Changes) -> None:
        for header, value in changes.items():
            self.pop(header, None)
            if value is not None:
                self[header] = value
        for each in self._copies:
            each.change(changes)


class _Left(Timeout):
    """The limits of each of a request's attempts: urllib3 makes a clone for one as it begins."""

    def __init__(self, own: _Limits, tell: Callable[[float], None]) -> None:
        super().__init__()
        self._own = own
        self._tell = tell

    def clone(self) -> Timeout:
        left = seconds_to_send()
        self._tell(left)
        own = self._own
        return Timeout(connect=least(own.connect, left), read=least(own.read, left), total=least(own.total, left))


def _bounded(stream: Callable[..., Iterator[bytes]]) -> Callable[..., Iterator[bytes]]:
    """`stream`, which yields the chunks of a body, ended by the budget between them."""

    def bounded(*args: Any, **kwargs: Any) -> Iterator[bytes]:
        try:
            for chunk in stream(*args, **kwargs):
                checkpoint()
                yield chunk
        except ReadTimeoutError:
            ended_by_budget_here()
            raise

    return bounded


def _origin(url: str) -> Origin:
    parts = urlsplit(url)
    port = parts.port if parts.port != _PORTS.get(parts.scheme) else None
    return Origin(parts.scheme, parts.hostname or "", port)

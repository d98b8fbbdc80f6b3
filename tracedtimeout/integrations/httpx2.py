"""The budget in httpx2: transports, asynchronous and synchronous, that wrap any other."""

from __future__ import annotations

from collections.abc import Collection

from ._extra import extra
from ._hosts import PRIVATE
from ._httpx import AsyncBody, AsyncDoor, SyncBody, SyncDoor
from ._telling import TOLD

with extra("httpx2"):
    import httpx2

__all__ = ["PRIVATE", "AsyncDeadlineTransport", "DeadlineTransport"]


class _AsyncBody(AsyncBody, httpx2.AsyncByteStream):
    library = httpx2


class _SyncBody(SyncBody, httpx2.SyncByteStream):
    library = httpx2


class AsyncDeadlineTransport(AsyncDoor, httpx2.AsyncBaseTransport):
    """Sends with each request the seconds left of the budget, and lets no phase of it take longer.

    ``httpx2.AsyncClient(transport=AsyncDeadlineTransport())``. A request whose budget is spent is not sent. Each
    attempt and redirect carries what is left then: the least of the budget, the client's read timeout, and a deadline
    that the caller wrote into the request. With no deadline in force a request is sent as it is.

    Args:
        transport: what sends; by default a new `httpx2.AsyncHTTPTransport`.
        hosts: the host names that are told of the budget, ``*.example.org`` for all beneath one, `PRIVATE` for those of
            one's own network. To others goes no header of ours at all, OpenTelemetry's propagator and the caller
            included. By default all are told, but for a redirect to another origin.
        headers: the headers that tell it.

    Raises (of a request):
        DeadlineExceeded: the budget was spent before it was sent, or while it was under way.
    """

    library = httpx2
    body = _AsyncBody

    def __init__(
        self,
        transport: httpx2.AsyncBaseTransport | None = None,
        *,
        hosts: Collection[str] | None = None,
        headers: Collection[str] = TOLD,
    ) -> None:
        super().__init__(httpx2.AsyncHTTPTransport() if transport is None else transport, hosts, headers)


class DeadlineTransport(SyncDoor, httpx2.BaseTransport):
    """The `AsyncDeadlineTransport` of `httpx2.Client`; by default around a new `httpx2.HTTPTransport`.

    No timer ends a blocking call: it looks at the budget before each phase and between the chunks of the body. So one
    that stalls within a body takes up to what was left when the body began.
    """

    library = httpx2
    body = _SyncBody

    def __init__(
        self,
        transport: httpx2.BaseTransport | None = None,
        *,
        hosts: Collection[str] | None = None,
        headers: Collection[str] = TOLD,
    ) -> None:
        super().__init__(httpx2.HTTPTransport() if transport is None else transport, hosts, headers)

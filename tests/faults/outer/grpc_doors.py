"""Scenes of gRPC's doors: its interceptors, with the rest of grpc left out, which lives in threads of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from typing import Any

import grpc
import grpc.aio

from tests.faults.scenes import FOR_EVER
from tracedtimeout import DeadlineExceeded, budget, checkpoint, timeout
from tracedtimeout.integrations.grpc import DeadlineClientInterceptor, DeadlineServerInterceptor, client_interceptors

from .doors import FILES
from .stage import Stage
from .trial import Room, Scene

SHORT, SPENT, LONG = (("deadline-budget", str(milliseconds)) for milliseconds in (1000, 0, 9000))
METHOD = "/shop.Payments/pay"
EXCEEDED = grpc.StatusCode.DEADLINE_EXCEEDED


# the server


class Aborted(Exception):  # noqa: N818  # as grpc's own is no error either
    """A call is ended with a status."""


class Context:
    """A call, as its handler sees it."""

    def __init__(self, *metadata: tuple[str, str], left: float | None = None) -> None:
        self._metadata, self._left = metadata, left
        self.written: list[object] = []

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return self._metadata

    def time_remaining(self) -> float | None:
        return self._left

    async def write(self, response: object) -> None:
        self.written.append(response)

    async def abort(self, code: grpc.StatusCode, details: str) -> None:
        raise Aborted(code.name)


class ContextInThread(Context):
    """The same, of a handler that is not async."""

    def abort(self, code: grpc.StatusCode, details: str) -> Any:
        raise Aborted(code.name)


async def pays(request: object, context: Any) -> object:
    return "paid"


async def waits(request: object, context: Any) -> object:
    await asyncio.sleep(FOR_EVER)
    return "it never ends"


async def fails(request: object, context: Any) -> object:
    raise ValueError("of the handler")


async def is_late_itself(request: object, context: Any) -> object:
    async with timeout(1, name="secret"):
        return await waits(request, context)


async def finds(request: object, context: Any) -> object:
    try:
        return await waits(request, context)
    finally:
        checkpoint()


async def streams(request: object, context: Any) -> AsyncIterator[object]:
    yield "first"
    yield await waits(request, context)


def computes(request: object, context: Any) -> object:
    checkpoint()
    return "paid"


def is_spent(request: object, context: Any) -> object:
    with budget(0):
        checkpoint()
    return "it never ends"


def counts(request: object, context: Any) -> Iterator[object]:
    yield 1
    checkpoint()
    yield 2


async def serve(stage: Stage, behaviour: Any, context: Context, **terms: Any) -> object:
    """What a call ends with."""
    interceptor: DeadlineServerInterceptor = stage.keep(str(terms), lambda: DeadlineServerInterceptor(**terms))
    streaming = behaviour in (streams, counts)
    make = grpc.unary_stream_rpc_method_handler if streaming else grpc.unary_unary_rpc_method_handler

    async def continuation(details: object) -> Any:
        return make(behaviour)

    details: Any = grpc.aio.ClientCallDetails(METHOD, None, None, None, None)
    handler: Any = await interceptor.intercept_service(continuation, details)
    run = handler.unary_stream if streaming else handler.unary_unary
    try:
        if isinstance(context, ContextInThread):
            return await asyncio.to_thread(lambda: list(run(None, context)) if streaming else run(None, context))
        if streaming:
            return [*[each async for each in run(None, context)], *context.written]
        return await run(None, context)
    except (Aborted, ValueError, TimeoutError) as exc:
        return f"{type(exc).__name__}: {exc}", context.written


def serving(behaviour: Any, context: Callable[[], Context], **terms: Any) -> Scene:
    async def scene(stage: Stage) -> object:
        return await serve(stage, behaviour, context(), **terms)

    scene.__name__ = f"serving_{behaviour.__name__}"
    return scene


# the client


class Call:
    """A call that is answered after some seconds; ended by its own timeout, if that is the less."""

    def __init__(self, details: Any, seconds: float) -> None:
        self._seconds, self._limit = seconds, details.timeout

    def __await__(self) -> Generator[Any, None, Any]:
        return self._answer().__await__()

    async def __aiter__(self) -> AsyncIterator[object]:
        yield "first"
        yield await self._answer()

    async def _answer(self) -> object:
        if self._limit is None or self._limit > self._seconds:
            await asyncio.sleep(self._seconds)
            return "paid"
        await asyncio.sleep(self._limit)
        raise grpc.aio.AioRpcError(EXCEEDED, grpc.aio.Metadata(), grpc.aio.Metadata(), "Deadline Exceeded")


async def requests() -> AsyncIterator[object]:
    yield "pay"


async def call(kind: str, seconds: float, limit: float | None = None) -> object:
    """What a call of a kind gives, that takes so many seconds."""
    interceptor = next(each for each in client_interceptors() if hasattr(each, f"intercept_{kind}"))
    details = grpc.aio.ClientCallDetails(METHOD, limit, grpc.aio.Metadata(("who", "me")), None, None)

    async def continuation(details: Any, request: Any) -> Call:
        return Call(details, seconds)

    given: Any = requests() if kind.startswith("stream") else "pay"
    intercept: Callable[..., Awaitable[Any]] = getattr(interceptor, f"intercept_{kind}")
    try:
        answer = await intercept(continuation, details, given)
        return [each async for each in answer] if kind.endswith("stream") else await answer
    except DeadlineExceeded as exc:
        return exc.owner
    except grpc.aio.AioRpcError as exc:
        return exc.code().name


def calling(kind: str) -> Scene:
    async def scene(stage: Stage) -> object:
        """In time, ended by a budget or a timeout, by its own limit, and not sent."""
        async with timeout(9, name="around"):
            seen = [await call(kind, 1)]
        for seconds in (1, 0):
            with budget(seconds):
                seen.append(await call(kind, FOR_EVER))
        seen.append(await call(kind, FOR_EVER, limit=1))
        try:
            async with timeout(1, name="around"):
                seen.append(await call(kind, FOR_EVER))
        except DeadlineExceeded as exc:
            seen.append(exc.owner)
        return seen

    scene.__name__ = f"calling_{kind}"
    return scene


async def called_in_a_thread(stage: Stage) -> object:
    """A blocking call, sent and not."""

    class Blocking:
        def result(self, seconds: float | None = None) -> object:
            return "paid"

    def pay() -> object:
        details: Any = grpc.aio.ClientCallDetails(METHOD, None, None, None, None)
        interceptor = DeadlineClientInterceptor()
        seen = []
        for seconds in (5, 0):
            try:
                with budget(seconds):
                    seen.append(
                        interceptor.intercept_unary_unary(lambda details, request: Blocking(), details, "").result()
                    )
            except DeadlineExceeded as exc:
                seen.append(exc.owner)
        return seen

    return await asyncio.to_thread(pay)


SCENES: tuple[Scene, ...] = (
    serving(pays, lambda: Context(SHORT)),
    serving(pays, lambda: Context(SPENT)),
    serving(pays, lambda: Context(left=0.0)),
    serving(pays, lambda: Context(SPENT), dark=True),
    serving(waits, lambda: Context(SHORT)),
    serving(waits, lambda: Context(left=2.0)),
    serving(waits, Context, default=3, at_least=1),
    serving(fails, lambda: Context(SHORT)),
    serving(is_late_itself, lambda: Context(LONG)),
    serving(finds, lambda: Context(SHORT)),
    serving(streams, lambda: Context(SHORT)),
    serving(computes, lambda: ContextInThread(LONG)),
    serving(computes, lambda: ContextInThread(SPENT)),
    serving(is_spent, lambda: ContextInThread(LONG)),
    serving(counts, lambda: ContextInThread(LONG)),
    *map(calling, ("unary_unary", "unary_stream", "stream_unary", "stream_stream")),
    called_in_a_thread,
)

GRPC = Room(FILES, SCENES)

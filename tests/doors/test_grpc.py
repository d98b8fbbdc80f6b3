"""The budget in grpc.aio, over real sockets, in all four kinds of call."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import grpc.aio
import pytest

from tests.services.asgi_servers import figures, outcomes, until
from tests.services.blocking import in_thread
from tests.services.rpc import KINDS, SERVICE, Payments, call, channel, listening
from tracedtimeout import DeadlineExceeded, Outcome, budget, remaining, timeout
from tracedtimeout._core.figures._metrics import HEADERS_IGNORED, INTERRUPTIONS, RECEIVED, REJECTIONS, THREADS_ABANDONED
from tracedtimeout.integrations.grpc import (
    DeadlineClientInterceptor,
    DeadlineServerInterceptor,
    client_interceptors,
)
from tracedtimeout.propagation import decode

pytestmark = pytest.mark.slow  # a real server, and grpc's own timers

kinds = pytest.mark.parametrize("kind", KINDS)
ROUNDED_UP = 1.01
"""What grpc makes of a timeout on its way: hence the metadata, which the server interceptor reads as well."""
DEADLINE_EXCEEDED = grpc.StatusCode.DEADLINE_EXCEEDED


def client() -> list[grpc.aio.ClientInterceptor]:
    return client_interceptors()


def server(**terms: Any) -> list[grpc.aio.ServerInterceptor]:
    return [DeadlineServerInterceptor(**terms)]


async def status(calling: grpc.aio.Channel, method: str, request: bytes = b"pay", **options: Any) -> Any:
    """The status that a call ends with."""
    try:
        await call(calling, method, request, **options)
    except grpc.aio.AioRpcError as exc:
        return exc.code()
    return grpc.StatusCode.OK


def milliseconds(metadata: dict[str, str]) -> int:
    granted = decode("deadline-budget", metadata["deadline-budget"])
    assert granted is not None
    return granted // 10**6


# The client


@kinds
async def test_the_budget_goes_out(kind: str) -> None:
    """A call of each kind carries what is left, as its own timeout and as metadata; without a budget neither."""
    payments = Payments()
    async with channel(payments, client=client()) as calling:
        async with timeout(2.0):
            assert await call(calling, kind, metadata=[("who", "me")]) == b"pay"
        await call(calling, kind)
    assert payments.granted[0] is not None
    assert payments.granted[0] <= 2.0 * ROUNDED_UP
    assert (milliseconds(payments.metadata[0]) < 2000, payments.metadata[0]["who"]) == (True, "me")
    assert (payments.granted[1], payments.metadata[1].get("deadline-budget")) == (None, None)


@pytest.mark.parametrize(
    ("options", "most"),
    [
        ({"timeout": 9.0}, 2.0),
        ({"timeout": 0.5}, 0.5),
        ({"metadata": [("grpc-timeout", "300m")]}, 0.3),
        ({"timeout": 0.5, "metadata": [("grpc-timeout", "300m")]}, 0.3),
        ({"timeout": 0.5, "metadata": [("grpc-timeout", "900m"), ("deadline-budget", "9000")]}, 0.5),
        ({"metadata": [("grpc-timeout", "soon")]}, 2.0),
        ({"timeout": 0.5, "metadata": [("deadline-budget", "300")]}, 0.3),
        ({"metadata": [("deadline-budget", "soon")]}, 2.0),
    ],
)
async def test_the_least_limit_holds(options: dict[str, Any], most: float) -> None:
    """Of a call's timeout, a deadline in its metadata and the budget, the least holds, and is what is said."""
    payments = Payments()
    async with channel(payments, client=client()) as calling, timeout(2.0):
        await call(calling, "unary_unary", **options)
    assert payments.granted[0] is not None
    assert most - 0.1 < payments.granted[0] <= most * ROUNDED_UP
    assert most - 0.1 < milliseconds(payments.metadata[0]) / 1e3 <= most


async def test_endless_limits() -> None:
    """A limit without end is none: nothing overflows on its way."""
    payments = Payments()
    async with channel(payments, client=client()) as calling:
        for endless in (float("inf"), 9.2e18):
            await call(calling, "unary_unary", timeout=endless)
    assert payments.granted == [None, None]
    assert ["deadline-budget" in metadata for metadata in payments.metadata] == [False, False]


@kinds
async def test_a_spent_budget_sends_nothing(kind: str) -> None:
    """With the budget spent a call of any kind fails at once, unsent, and says whose deadline it was."""
    payments = Payments()
    async with channel(payments, client=client()) as calling, timeout(60.0):
        with budget(0.0), pytest.raises(DeadlineExceeded) as caught:
            await call(calling, kind)
    assert (caught.value.owner, payments.metadata) == ("_budget", [])


async def test_clean_up_after_an_expiry_is_sent() -> None:
    """In clean-up after an expiry the deadline that fired binds no more: the call is sent, without a limit."""
    payments = Payments()
    async with channel(payments, client=client()) as calling:
        with pytest.raises(DeadlineExceeded):
            async with timeout(0.01):
                try:
                    await asyncio.sleep(5.0)
                finally:
                    await call(calling, "unary_unary")
    assert payments.granted == [None]


@kinds
async def test_a_silent_server_ends_as_the_timeout(kind: str) -> None:
    """The timeout around a call fires, as around anything else, not grpc's own."""
    async with channel(Payments(), client=client()) as calling:
        t = timeout(0.1, name="pay")
        with pytest.raises(DeadlineExceeded):
            async with t:
                await call(calling, kind, b"wait")
    assert t.outcome is Outcome.EXPIRED


@kinds
async def test_a_budget_without_a_timer_ends_a_call(kind: str) -> None:
    """A bare budget ends a call of any kind, as ours; a call's own timeout ends it as grpc's."""
    async with channel(Payments(), client=client()) as calling:
        with budget(0.1), pytest.raises(DeadlineExceeded) as caught:
            await call(calling, kind, b"wait")
        with budget(60.0):
            assert await status(calling, kind, b"wait", timeout=0.05) is DEADLINE_EXCEEDED
    assert caught.value.owner == "_budget"


async def test_calls_written_to() -> None:
    """The calls whose requests are written one by one, and read one by one, are bounded and answered as the others."""
    payments = Payments()
    async with channel(payments, client=client()) as calling, timeout(2.0):
        gathered: Any = calling.stream_unary(f"/{SERVICE}/stream_unary")()
        await gathered.write(b"one ")
        await gathered.write(b"two")
        await gathered.done_writing()
        assert (await gathered, await gathered.code()) == (b"one two", grpc.StatusCode.OK)
        echoed: Any = calling.stream_stream(f"/{SERVICE}/stream_stream")()
        await echoed.write(b"one")
        assert await echoed.read() == b"one"
        await echoed.done_writing()
        assert await echoed.read() is grpc.aio.EOF
    assert all(granted is not None and granted <= 2.0 * ROUNDED_UP for granted in payments.granted)


@pytest.mark.parametrize("kind", ["stream_unary", "stream_stream"])
@pytest.mark.parametrize("written", [True, False])
async def test_what_writes_the_requests_ends_with_the_call(kind: str, written: bool) -> None:
    """A call that a bare budget cut leaves no task that waits for its next request, which would be told as the loop
    is closed."""
    ended: list[str] = []

    async def requests() -> AsyncIterator[bytes]:
        try:
            yield b"one"
            await asyncio.sleep(5.0)
        finally:
            ended.append(kind)

    async with channel(Payments(), client=client()) as calling:
        method: Any = getattr(calling, kind)
        with budget(0.05), pytest.raises(DeadlineExceeded):
            made = method(f"/{SERVICE}/{kind}")(*([] if written else [requests()]))
            if written:
                await made.write(b"one")
            while kind == "stream_stream" and written:
                await made.read()
            await (made if kind == "stream_unary" else all_of(made))
    await asyncio.sleep(0.01)
    assert ended == ([] if written else [kind])
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def all_of(answers: AsyncIterator[bytes]) -> list[bytes]:
    return [answer async for answer in answers]


async def test_a_server_that_ended_a_call_is_named() -> None:
    """When a server found the deadline passed just before its caller's, that is what the caller's exception says."""

    class JustBefore(grpc.aio.UnaryUnaryClientInterceptor):
        async def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
            made = await continuation(client_call_details, request)
            await made.code()
            time.sleep(max(0.0, remaining() - 0.001))  # noqa: ASYNC251  # a timer would be late now and then
            return made

    doors = server(default=0.02, maximum=0.02)
    async with channel(Payments(), client=[*client(), JustBefore()], server=doors) as calling:
        with budget(0.2), pytest.raises(DeadlineExceeded) as caught:
            await call(calling, "unary_unary", b"wait")
    note = f"/{SERVICE}/unary_unary answered DEADLINE_EXCEEDED: The deadline has passed."
    assert caught.value.__notes__ == [note]


# Blocking channels


@contextmanager
def blocking(payments: Payments) -> Iterator[grpc.Channel]:
    """A blocking channel to a server of `payments`."""
    with in_thread(listening(payments)) as target, grpc.insecure_channel(target) as plain:
        yield grpc.intercept_channel(plain, DeadlineClientInterceptor())


def ask(calling: grpc.Channel, kind: str, request: bytes = b"pay", **options: Any) -> bytes:
    method: Any = getattr(calling, kind)
    made = method(f"/{SERVICE}/{kind}")(iter([request]) if kind.startswith("stream") else request, **options)
    return bytes(made) if kind.endswith("unary") else bytes(list(made)[-1])


@kinds
def test_a_blocking_call_carries_the_budget(kind: str) -> None:
    """A blocking call carries the least of its limits, and with none it is as it was."""
    payments = Payments()
    with blocking(payments) as calling:
        with budget(2.0):
            assert ask(calling, kind, metadata=[("who", "me")]) == b"pay"
            ask(calling, kind, timeout=0.5)
            ask(calling, kind, metadata=[("deadline-budget", "300")])
        ask(calling, kind)
    *bounded, free = zip(payments.granted, payments.metadata, strict=True)
    for (granted, metadata), most in zip(bounded, (2.0, 0.5, 0.3), strict=True):
        assert granted is not None
        assert (granted <= most * ROUNDED_UP, milliseconds(metadata) <= most * 1e3) == (True, True)
    assert (free[0] is None or free[0] > 1e9, "deadline-budget" in free[1]) == (True, False)
    assert payments.metadata[0]["who"] == "me"


@kinds
def test_a_blocking_call_fails_fast(kind: str) -> None:
    """With the budget spent nothing is sent; spent on the way, the call ends as ours; its own timeout is grpc's."""
    payments = Payments()
    with blocking(payments) as calling:
        with budget(0.0), pytest.raises(DeadlineExceeded) as unsent:
            ask(calling, kind)
        assert payments.metadata == []
        with budget(0.1), pytest.raises(DeadlineExceeded) as cut:
            ask(calling, kind, b"wait")
        with budget(60.0), pytest.raises(grpc.RpcError):
            ask(calling, kind, b"wait", timeout=0.05)
    assert (unsent.value.owner, cut.value.owner) == ("_budget", "_budget")


def test_a_future_of_a_blocking_channel() -> None:
    """A call that is asked for its result later is bounded and answered as the others."""
    with blocking(Payments()) as calling:
        unary_unary: Any = calling.unary_unary
        with budget(2.0):
            made = unary_unary(f"/{SERVICE}/unary_unary").future(b"pay")
            assert (made.result(), made.code()) == (b"pay", grpc.StatusCode.OK)
        with budget(0.1), pytest.raises(DeadlineExceeded):
            unary_unary(f"/{SERVICE}/unary_unary").future(b"wait").result()


async def test_a_cancelled_call_is_cancelled_at_the_server() -> None:
    """Cancelling the task that waits for a call ends the call, which has no limit, at its server."""
    ended = asyncio.Event()

    class Waiting(Payments):
        async def unary_unary(self, request: bytes, context: Any) -> bytes:
            try:
                return await self.note(request, context)
            finally:
                ended.set()

    payments = Waiting()
    async with channel(payments, client=client()) as calling:
        task = asyncio.create_task(call(calling, "unary_unary", b"wait"))
        while not payments.metadata:
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(ended.wait(), 3.0)


# The server


@pytest.mark.parametrize("method", [*KINDS, "written"])
async def test_a_handler_sees_the_budget(method: str) -> None:
    """A handler of any kind runs under the least of the call's timeout, its metadata and `maximum`, or `default`."""
    payments = Payments()
    async with channel(payments, server=server(default=3.0, maximum=8.0)) as calling:
        await call(calling, method, timeout=5.0)
        await call(calling, method, timeout=5.0, metadata=[("deadline-budget", "2000")])
        await call(calling, method, timeout=9.0)
        await call(calling, method)
    assert [round(left) for left in payments.left] == [5, 2, 8, 3]
    assert outcomes() == {(f"{SERVICE}/{method}", "completed"): 4}
    assert figures(RECEIVED) == {("grpc-timeout",): 2, ("deadline-budget",): 1}


@pytest.mark.parametrize("method", [*KINDS, "written"])
async def test_expiry_in_a_handler(method: str) -> None:
    """A handler of any kind is ended at its caller's deadline, and the call with DEADLINE_EXCEEDED."""
    async with channel(Payments(), server=server()) as calling:
        ended = await status(calling, method, b"wait", metadata=[("deadline-budget", "50")])
    assert ended is DEADLINE_EXCEEDED
    assert outcomes() == {(f"{SERVICE}/{method}", "inherited"): 1}
    assert figures(INTERRUPTIONS) == {(f"{SERVICE}/{method}", "_remote"): 1}


async def test_expiry_says_nothing_of_what_is_inside() -> None:
    """What the peer is told holds neither name nor path."""
    async with channel(Payments(), server=server(default=0.05)) as calling:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(calling, "unary_unary", b"wait")
    assert (caught.value.code(), caught.value.details()) == (DEADLINE_EXCEEDED, "The deadline has passed.")
    assert outcomes() == {(f"{SERVICE}/unary_unary", "expired"): 1}


@pytest.mark.parametrize("method", ["nested", "nested_in_thread"])
async def test_a_timeout_of_the_handlers_own_says_nothing_to_the_peer(method: str) -> None:
    """It is an error of the handler's as grpc has it, without our names and places in it."""
    async with channel(Payments(), server=[DeadlineServerInterceptor()]) as calling, timeout(60.0):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(calling, method)
    assert (caught.value.code(), "own" in str(caught.value.details())) == (grpc.StatusCode.UNKNOWN, True)
    assert not {"secret", "rpc", "Deadline"} & set(re.findall(r"\w+", str(caught.value.details())))


async def test_a_thread_that_runs_on_is_counted() -> None:
    """A worker thread cannot be stopped: the peer is told, and the thread is counted until it ends."""
    payments = Payments()
    async with channel(payments, server=[DeadlineServerInterceptor(default=0.05)]) as calling:
        with pytest.raises(grpc.aio.AioRpcError):
            await call(calling, "to_thread")
        assert figures(THREADS_ABANDONED) == {(f"{SERVICE}/to_thread",): 1}
        payments.released.set()
        await until(lambda: figures(THREADS_ABANDONED) == {})


async def test_one_line_says_the_budget() -> None:
    """A deadline-budget that a caller put into the metadata is replaced, not sent beside ours."""
    payments = Payments()
    async with channel(payments, client=client()) as calling, timeout(2.0):
        await call(calling, "unary_unary", metadata=[("deadline-budget", "9000")])
    assert [key for key, _ in payments.lines].count("deadline-budget") == 1


async def test_a_peer_that_reads_slowly() -> None:
    """A deadline that passes while a response waits for its peer to read ends the call as any other."""
    async with channel(Payments(), server=server()) as calling:
        unary_stream: Any = calling.unary_stream
        made = unary_stream(f"/{SERVICE}/flood")(b"", metadata=[("deadline-budget", "100")])
        await made.read()
        await asyncio.sleep(0.3)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            while await made.read():
                pass
    assert caught.value.code() is DEADLINE_EXCEEDED
    assert outcomes() == {(f"{SERVICE}/flood", "inherited"): 1}


@pytest.mark.parametrize("method", [*KINDS, "written", "in_thread", "stream_in_thread"])
async def test_refusals(method: str) -> None:
    """What arrives expired, or with too little, ends with DEADLINE_EXCEEDED, and its handler does not run."""
    payments = Payments()
    async with channel(payments, server=server(at_least=9.0)) as calling:
        seen = [
            await status(calling, method, metadata=[("deadline-budget", "0")]),
            await status(calling, method, timeout=6.0),
            await status(calling, method, timeout=60.0),
        ]
    assert (seen, len(payments.left)) == ([DEADLINE_EXCEEDED, DEADLINE_EXCEEDED, grpc.StatusCode.OK], 1)
    assert figures(REJECTIONS) == {
        (f"{SERVICE}/{method}", "expired", "enforce"): 1,
        (f"{SERVICE}/{method}", "at_least", "enforce"): 1,
    }


async def test_in_the_dark() -> None:
    """In the dark what would be refused is counted and runs."""
    payments = Payments()
    async with channel(payments, server=server(at_least=0.3, dark=True)) as calling:
        await call(calling, "unary_unary", metadata=[("deadline-budget", "0")])
    assert payments.left == [float("inf")]
    assert figures(REJECTIONS) == {(f"{SERVICE}/unary_unary", "expired", "dark"): 1}


@pytest.mark.parametrize("method", ["in_thread", "stream_in_thread"])
async def test_handlers_in_threads(method: str) -> None:
    """A handler that runs in a thread sees the budget there, and ends itself by `checkpoint`."""
    payments = Payments()
    async with channel(payments, server=server(maximum=8.0)) as calling:
        await call(calling, method, timeout=5.0)
        await call(calling, method)
        seen = await status(calling, method, b"wait", metadata=[("deadline-budget", "100")])
    assert [round(left) for left in payments.left] == [5, 8, 0]
    assert seen is DEADLINE_EXCEEDED


async def test_trust() -> None:
    """What is not believed has no say, and is counted; neither has what is malformed."""
    payments = Payments()
    async with channel(payments, server=server(accept=("grpc-timeout",))) as calling:
        await call(calling, "unary_unary", metadata=[("deadline-budget", "50")])
    async with channel(payments, server=server()) as calling:
        await call(calling, "unary_unary", metadata=[("deadline-budget", "-5")])
    assert payments.left == [float("inf")] * 2
    assert figures(HEADERS_IGNORED) == {("deadline-budget", "untrusted"): 1, ("deadline-budget", "malformed"): 1}


async def test_unknown_methods_add_no_name() -> None:
    """A call of a method that does not exist is answered by grpc, and counted under no name."""
    async with channel(Payments(), server=server()) as calling:
        unary_unary: Any = calling.unary_unary
        made = unary_unary("/shop.Payments/Nothing")(b"", timeout=5.0)
        assert await made.code() is grpc.StatusCode.UNIMPLEMENTED
    assert outcomes() == {}


async def test_a_hop() -> None:
    """Client and server together: what is left at the caller is what its peer has, never more."""
    payments = Payments()
    async with channel(payments, client=client(), server=server()) as calling, timeout(2.0):
        await call(calling, "unary_unary")
    assert 1.0 < payments.left[0] <= 2.0
    assert figures(RECEIVED) == {("deadline-budget",): 1}

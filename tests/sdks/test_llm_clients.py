"""openai's and anthropic's clients, with our door in their httpx2 client, against a provider on loopback."""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest

from tests.sdks.provider import Provider
from tests.services.asgi_servers import outcomes, serving
from tracedtimeout import DeadlineExceeded, budget, timeout
from tracedtimeout.integrations.httpx2 import PRIVATE, AsyncDeadlineTransport
from tracedtimeout.propagation import decode

openai: Any = importlib.import_module("openai")
anthropic: Any = importlib.import_module("anthropic")

pytestmark = [pytest.mark.sdks, pytest.mark.slow]  # real clients, and a real server

Ask = Callable[..., Awaitable[Any]]
SDKS = ("openai", "anthropic")
both = pytest.mark.parametrize("sdk", SDKS)


@asynccontextmanager
async def asking(sdk: str, provider: Provider, **door: Any) -> AsyncIterator[tuple[Any, Ask]]:
    """An SDK's client of `provider`, and what asks it one question."""
    async with (
        serving(provider.app()) as url,
        httpx2.AsyncClient(transport=AsyncDeadlineTransport(**door)) as http_client,
    ):
        if sdk == "openai":
            client = openai.AsyncOpenAI(base_url=url, api_key="k", http_client=http_client)
        else:
            client = anthropic.AsyncAnthropic(base_url=url, api_key="k", http_client=http_client)

        async def ask(model: str = "m", of: Any = None, **options: Any) -> Any:
            messages = [{"role": "user", "content": "x"}]
            asked = client if of is None else of
            if sdk == "openai":
                return await asked.chat.completions.create(model=model, messages=messages, **options)
            return await asked.messages.create(model=model, messages=messages, max_tokens=1, **options)

        yield client, ask


def milliseconds(headers: dict[str, str]) -> int:
    granted = decode("deadline-budget", headers["deadline-budget"])
    assert granted is not None
    return granted // 10**6


@both
async def test_the_budget_goes_out(sdk: str) -> None:
    """A question carries what is left, and without a budget no deadline; the SDK tells its own limit by itself."""
    provider = Provider()
    async with asking(sdk, provider) as (client, ask):
        await ask()
        async with timeout(2.0):
            await ask()
            await ask(of=client.with_options(timeout=0.5))
            await ask(timeout=0.25)
    bare, bounded, optioned, given = provider.told
    assert ("deadline-budget" in bare, bare["x-stainless-read-timeout"]) == (False, "600")
    assert (milliseconds(bounded) <= 2000, bounded["x-stainless-read-timeout"]) == (True, "600")
    assert (milliseconds(optioned), optioned["x-stainless-read-timeout"]) == (500, "0.5")
    assert (milliseconds(given), given["x-stainless-read-timeout"]) == (250, "0.25")
    assert all("grpc-timeout" not in told for told in provider.told)


@both
async def test_a_provider_that_is_none_of_ours_is_not_told(sdk: str) -> None:
    """With `hosts=` of one's own network a provider elsewhere sees no header of ours, and the budget ends the call."""
    provider = Provider()
    async with asking(sdk, provider, hosts=["gateway.internal"]) as (_, ask):
        with pytest.raises(DeadlineExceeded):
            async with timeout(0.2):
                await ask("slow")
    async with asking(sdk, provider, hosts=PRIVATE) as (_, ask), timeout(2.0):
        await ask()
    assert ["deadline-budget" in told for told in provider.told] == [False, True]


@both
async def test_a_slow_answer_ends_as_the_timeout(sdk: str) -> None:
    """The timeout around a question fires, named, in time, and the SDK tries no second time."""
    provider = Provider()
    async with asking(sdk, provider) as (_, ask):
        with pytest.raises(DeadlineExceeded) as caught:
            async with timeout(0.2, name="ask"):
                await ask("slow")
    assert (caught.value.name, len(provider.told), outcomes()) == ("ask", 1, {("ask", "expired"): 1})


@both
async def test_each_attempt_is_told_anew(sdk: str) -> None:
    """The SDK's own retries carry what is left then, and end with the timeout around them."""
    provider = Provider()
    async with asking(sdk, provider) as (client, ask):
        with pytest.raises(DeadlineExceeded):
            async with timeout(1.4):
                await ask("slow", of=client.with_options(timeout=0.3, max_retries=9))
    told = [milliseconds(headers) for headers in provider.told]
    assert (299 <= told[0] <= 300, len(told) > 1) == (True, True)
    assert [headers["x-stainless-retry-count"] for headers in provider.told] == [str(n) for n in range(len(told))]


@both
async def test_a_spent_budget_sends_nothing(sdk: str) -> None:
    """With a bare budget spent nothing is sent; anthropic's SDK makes an error of its own of that, and says why."""
    provider = Provider()
    async with asking(sdk, provider) as (client, ask):
        with budget(0.0), pytest.raises((DeadlineExceeded, anthropic.APIConnectionError)) as caught:
            await ask(of=client.with_options(max_retries=0))
    assert isinstance(caught.value if sdk == "openai" else caught.value.__cause__, DeadlineExceeded)
    assert provider.told == []


async def test_a_stream_ends_as_the_timeout() -> None:
    """A stream that stalls is ended by the timeout around its loop; one that does not is read to its end."""
    provider = Provider()
    async with asking("openai", provider) as (_, ask):
        async with timeout(5.0):
            assert len([piece async for piece in await ask(stream=True)]) == 2
        pieces = []
        with pytest.raises(DeadlineExceeded):
            async with timeout(0.3):
                async for piece in await ask("slow", stream=True):
                    pieces.append(piece)  # noqa: PERF401  # as a user writes it
    assert len(pieces) == 1

"""A little of everything, under switches of Python's: without assertions, in development mode, on debug loops."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from typing import Any

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import set_tracer_provider
from prometheus_client import generate_latest

import tracedtimeout
from tracedtimeout import DeadlineExceeded, budget, checkpoint, detach, remaining, timeout, wait_for, with_timeout
from tracedtimeout.integrations.asgi import DeadlineMiddleware
from tracedtimeout.prometheus import metrics_app

EXPECTED = {
    "with": "expired",
    "nested": "inherited, expired",
    "wait_for": "DeadlineExceeded",
    "decorated": "DeadlineExceeded",
    "at_least": "DeadlineExceeded",
    "budget": "DeadlineExceeded",
    "checkpoint": "DeadlineExceeded",
    "thread": "True",
    "detached": "inf",
    "moved": "expired",
    "child": "expired",
    "left twice": "AssertionError",
    "door": "504",
    "spans": "True",
    "scrape": 'tracedtimeout_expirations_total{outcome="expired",timeout="with"} 1.0',
}


async def _with() -> str:
    with contextlib.suppress(TimeoutError):
        async with timeout(0.01, name="with") as it:
            await asyncio.sleep(60)
    return str(it.outcome)


async def _nested() -> str:
    with contextlib.suppress(TimeoutError):
        async with timeout(0.01, name="outer") as outer:
            async with timeout(5, name="inner") as inner:
                await asyncio.sleep(60)
    return f"{inner.outcome}, {outer.outcome}"


async def _moved() -> str:
    with contextlib.suppress(TimeoutError):
        async with timeout(60, name="moved") as it:
            it.reschedule(asyncio.get_running_loop().time() + 0.01)
            await asyncio.sleep(60)
    return str(it.outcome)


async def _child() -> str:
    with contextlib.suppress(TimeoutError):
        async with timeout(0.01, name="parent") as it, asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(60))
    return str(it.outcome)


async def _left_twice() -> str:
    it = timeout(1, name="twice")
    async with it:
        pass
    return await _raised(it.__aexit__(None, None, None))


@with_timeout(0.01, name="decorated")
async def _decorated() -> None:
    await asyncio.sleep(60)


async def _rejected() -> None:
    async with timeout(0.5, name="around"), timeout(None, at_least=1.0, name="at-least"):
        pass


async def _within_budget() -> None:
    with budget(0.01):
        async with timeout(5, name="within"):
            await asyncio.sleep(60)


async def _checked() -> None:
    async with timeout(0, name="checked"):
        checkpoint()


async def _raised(work: Any) -> str:
    try:
        await work
    except (DeadlineExceeded, AssertionError) as exc:
        str(exc)
        return type(exc).__name__
    return "nothing"


async def _door() -> str:
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(60)

    async def receive() -> Any:
        await asyncio.sleep(60)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b"", "root_path": ""}
    await DeadlineMiddleware(app, default=0.01)(scope, receive, send)
    return str(sent[0]["status"])


async def everything(spans: InMemorySpanExporter) -> dict[str, str]:
    found = {"with": await _with(), "nested": await _nested()}
    found["wait_for"] = await _raised(wait_for(asyncio.sleep(60), 0.01, name="wait"))
    found |= {"decorated": await _raised(_decorated()), "at_least": await _raised(_rejected())}
    found |= {"budget": await _raised(_within_budget()), "checkpoint": await _raised(_checked())}
    async with timeout(30, name="thread"):
        found["thread"] = str(await asyncio.to_thread(lambda: 0 < remaining() <= 30))
        with detach():
            found["detached"] = str(remaining())
    found |= {
        "moved": await _moved(),
        "child": await _child(),
        "left twice": await _left_twice(),
        "door": await _door(),
    }
    found["spans"] = str(len(spans.get_finished_spans()) >= 12)
    return found


def main(*words: str) -> int:
    """Print what is not as it should be; the status is 1 if anything is. ``debug``: on a debug loop."""
    logging.disable()
    spans, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    set_tracer_provider(provider)
    undo = tracedtimeout.install()
    if "planted" in words:
        tracedtimeout.Timeout.reschedule = lambda *_: None  # type: ignore[method-assign]
    with asyncio.Runner(debug="debug" in words or None) as runner:
        try:
            found = runner.run(asyncio.wait_for(everything(spans), 3 if "planted" in words else 60))
        except TimeoutError:
            found = {}
    lines = generate_latest(metrics_app()._source).decode().splitlines()
    found["scrape"] = "".join(line for line in lines if line == EXPECTED["scrape"])
    undo()
    wrong = {what: found.get(what) for what, right in EXPECTED.items() if found.get(what) != right}
    print(f"{len(EXPECTED)} kinds of use, {len(wrong)} faults", *wrong.items(), sep="\n")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

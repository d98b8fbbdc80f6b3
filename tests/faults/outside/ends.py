"""Ends of processes: daemon threads at work, timeouts open at the end, children of every way to start one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from multiprocessing import get_context
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

HEAD = """
import asyncio, atexit, contextlib, sys, threading, time
import LIBRARY as library
async def expire():
    with contextlib.suppress(TimeoutError):
        async with library.timeout(0.001):
            await asyncio.sleep(60)
async def wait():
    async with library.timeout(60):
        await asyncio.sleep(60)
def work():
    async def main():
        while True:
            await expire()
    asyncio.run(main())
"""

ENDS = {
    "a daemon thread at work": "threading.Thread(target=work, daemon=True).start(); time.sleep(0.3)",
    "eight of them": "for _ in range(8): threading.Thread(target=work, daemon=True).start()\ntime.sleep(0.3)",
    "timeouts open in a loop that nobody closed": """
loop = asyncio.new_event_loop()
tasks = [loop.create_task(wait()) for _ in range(3)]
loop.run_until_complete(asyncio.sleep(0.01))
""",
    "a generator broken off in a timeout": """
async def generate():
    async with library.timeout(60):
        yield 1
async def main():
    global generator
    generator = generate()
    await anext(generator)
loop = asyncio.new_event_loop()
loop.run_until_complete(main())
""",
    "sys.exit in a timeout": """
async def main():
    async with library.timeout(60):
        sys.exit(7)
asyncio.run(main())
""",
    "timeouts of an exit handler's": "atexit.register(lambda: asyncio.run(expire()))",
    "a signal that ends it": "import os\nasyncio.run(expire())\nos.kill(os.getpid(), 15); time.sleep(9)",
}
"""Programs that end so, of either library."""


def end(program: str, library: str, install: str = "") -> tuple[int, list[str]]:
    """The status that a program ends with, and what it wrote to stderr, with no names of places."""
    source = HEAD.replace("LIBRARY", library) + install + program
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | ({"PROMETHEUS_MULTIPROC_DIR": folder} if install else {})
        command = [sys.executable, "-c", source]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    heads = re.findall(r"(?m)^(?:\w*Error|Exception ignored|Traceback|Task was|\w*Warning|Fatal).{0,40}", done.stderr)
    return done.returncode, [re.sub(r"0x\w+", "", head) for head in heads]


def ways_to_end(install: str) -> list[str]:
    """Ends that are not as asyncio's."""
    wrong = []
    for name, program in ENDS.items():
        for _ in range(3):  # a thread may be anywhere as the interpreter ends, and be told of, ours or not
            ours, theirs = end(program, "tracedtimeout", install), end(program, "asyncio")
            if ours == theirs:
                break
        else:
            wrong.append(f"{name}: ends with {ours}, asyncio with {theirs}")
    return wrong


def child(times: int) -> None:
    """What a child process does: install, and have timeouts expire."""
    import asyncio  # noqa: PLC0415  # in the child
    import contextlib  # noqa: PLC0415

    import tracedtimeout  # noqa: PLC0415

    tracedtimeout.install(spans="off")

    async def expire() -> None:
        for _ in range(times):
            with contextlib.suppress(TimeoutError):
                async with tracedtimeout.timeout(0.001, name="child"):
                    await asyncio.sleep(60)

    asyncio.run(expire())


def children() -> list[str]:
    """Three children started in each way leave their figures, and end well."""
    wrong, folder = [], os.environ["PROMETHEUS_MULTIPROC_DIR"]
    for number, way in enumerate(WAYS, 1):
        context: Any = get_context(way)
        started = [context.Process(target=child, args=(times,)) for times in (1, 2, 3)]
        for each in started:
            each.start()
        for each in started:
            each.join(60)
        registry = CollectorRegistry()
        MultiProcessCollector(registry, folder)  # type: ignore[no-untyped-call]  # prometheus_client's
        text = generate_latest(registry).decode()
        found = re.findall(r'tracedtimeout_expirations_total{.*timeout="child"} (.*)', text)
        codes = [each.exitcode for each in started]
        if (codes, found) != ([0] * 3, [f"{6.0 * number}"]):
            wrong.append(f"{way}: children end with {codes}, and {found} are counted since the first of all")
    return wrong


WAYS = ("spawn", "forkserver", "fork")
INSTALL = 'library.install(spans="off")\n'


def main(what: str, *words: str) -> int:
    """Print what is wrong; the status is 1 if anything is.

    Args:
        what: ``ends`` of processes with and without telemetry; ``children`` by spawn, forkserver and fork.
    """
    if what == "ends":
        exits = "import os; atexit.register(os._exit, 3)\n" if "planted" in words else ""
        wrong = [*ways_to_end(exits), *ways_to_end(INSTALL + exits)]
        print(f"{2 * len(ENDS)} ends of processes, ours and asyncio's, {len(wrong)} faults", *wrong, sep="\n")
    else:
        wrong = children()
        print(f"children by {', '.join(WAYS)}: {len(wrong)} faults", *wrong, sep="\n")
    sys.stdout.flush()
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

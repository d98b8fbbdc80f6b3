"""The virtual clock that users test their own code with."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time

import tracedtimeout
from tracedtimeout.testing import VirtualClockLoop, run


def test_time_starts_at_zero_and_jumps_to_the_next_timer() -> None:
    """Time starts at zero, and a sleep of days ends exactly when it should, at once."""

    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        times = [loop.time()]
        for seconds in (0.1, 0.2, 3 * 86400.0):
            await asyncio.sleep(seconds)
            times.append(loop.time())
        return times

    assert run(main()) == [0.0, 0.1, 0.1 + 0.2, 0.1 + 0.2 + 3 * 86400.0]


def test_the_clock_stands_still_while_a_thread_works() -> None:
    """A thread that finishes in time finishes before a timer, however near in virtual time."""

    async def main() -> float:
        async with tracedtimeout.timeout(0.001):
            await asyncio.to_thread(time.sleep, 0.01)
        return asyncio.get_running_loop().time()

    assert run(main()) == 0.0


def test_a_thread_that_waits_for_the_clock_does_not_hang_it() -> None:
    """Past the patience, the clock jumps although a thread still works."""

    async def main() -> float:
        loop = asyncio.get_running_loop()
        sleep = lambda: asyncio.run_coroutine_threadsafe(asyncio.sleep(5), loop).result()  # noqa: E731
        await asyncio.to_thread(sleep)
        return loop.time()

    with asyncio.Runner(loop_factory=lambda: VirtualClockLoop(patience=0.01)) as runner:
        assert runner.run(main()) == 5.0


def test_sockets_are_waited_for() -> None:
    """What comes over a socket comes before a timer that is far off."""

    async def main() -> tuple[bytes, float]:
        async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"hello")
            writer.close()

        server = await asyncio.start_server(greet, "127.0.0.1", 0)
        async with server, tracedtimeout.timeout(10):
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            greeting = await reader.read()
            writer.close()
        return greeting, asyncio.get_running_loop().time()

    assert run(main()) == (b"hello", 0.0)


def test_a_thread_can_wake_the_loop() -> None:
    """With no timer left, the loop waits for the threads that live."""

    async def main() -> str:
        loop = asyncio.get_running_loop()
        woken: asyncio.Future[str] = loop.create_future()
        thread = threading.Timer(0.01, loop.call_soon_threadsafe, (woken.set_result, "woken"))
        thread.start()
        try:
            return await woken
        finally:
            thread.join()

    assert run(main()) == "woken"


def test_a_deadlock_is_an_error_not_a_hang() -> None:
    """When nothing can happen any more, the loop says so. (In a process with no threads of other tests.)"""
    program = "import asyncio; from tracedtimeout.testing import run; run(asyncio.Event().wait())"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == (
        "RuntimeError: every task waits for something that cannot happen: no timer, thread or file is left"
    )


def test_debug_mode_is_passed_on() -> None:
    """`run` takes asyncio.run's debug."""

    async def main() -> bool:
        return asyncio.get_running_loop().get_debug()

    assert [run(main(), debug=True), run(main())] == [True, False]

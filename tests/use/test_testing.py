"""The virtual clock that users test their own code with."""

from __future__ import annotations

import asyncio
import concurrent.futures
import multiprocessing
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

import aiosqlite
import anyio.to_thread
import pytest

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


async def in_a_thread_of_its_own() -> None:
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def work() -> None:
        time.sleep(0.01)
        loop.call_soon_threadsafe(done.set)

    thread = threading.Thread(target=work)
    thread.start()
    await done.wait()
    await asyncio.to_thread(thread.join)


async def in_a_thread_of_anyio() -> None:
    await anyio.to_thread.run_sync(time.sleep, 0.01)


async def in_sqlite() -> None:
    async with aiosqlite.connect(":memory:") as db, db.execute("select 1") as rows:
        assert await rows.fetchone() == (1,)


async def in_another_process() -> None:
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        await asyncio.get_running_loop().run_in_executor(pool, time.sleep, 0.01)


async def in_a_loop_of_a_thread() -> None:
    await asyncio.to_thread(asyncio.run, asyncio.sleep(0.01))


@pytest.mark.parametrize(
    "work",
    [in_a_thread_of_its_own, in_a_thread_of_anyio, in_sqlite, in_another_process, in_a_loop_of_a_thread],
    ids=lambda work: str(work.__name__),
)
def test_work_in_any_thread_takes_no_time(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Whoever started the thread, the clock stands still while it works: at first, and once it is idle between jobs."""

    async def main() -> float:
        for _ in range(2):
            async with tracedtimeout.timeout(0.001):
                await work()
        return asyncio.get_running_loop().time()

    with asyncio.Runner(loop_factory=lambda: VirtualClockLoop(thread_patience=60.0)) as runner:  # processes are slow
        assert runner.run(main()) == 0.0


def test_what_a_thread_says_as_it_is_looked_for_comes_before_a_timer() -> None:
    """It worked as the loop looked for news, and is gone as the loop looks for threads: its news is between the two."""
    goes = threading.Event()

    class Looking(VirtualClockLoop):
        def has_company(self) -> bool:
            goes.set()
            for thread in threads:
                thread.join()
            return super().has_company()

    threads: list[threading.Thread] = []

    async def main() -> float:
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def work() -> None:
            goes.wait()
            loop.call_soon_threadsafe(done.set)

        threads.append(threading.Thread(target=work))
        threads[0].start()
        async with tracedtimeout.timeout(0.001):
            await done.wait()
        return loop.time()

    with asyncio.Runner(loop_factory=Looking) as runner:
        assert runner.run(main()) == 0.0


def test_a_thread_that_waits_for_the_clock_does_not_hang_it() -> None:
    """A thread that waits in a lock, for the loop itself, does not hold time up."""

    async def main() -> float:
        loop = asyncio.get_running_loop()
        sleep = lambda: asyncio.run_coroutine_threadsafe(asyncio.sleep(5), loop).result()  # noqa: E731
        await asyncio.to_thread(sleep)
        return loop.time()

    assert run(main()) == 5.0


def waits_in_a_queue(end: threading.Event) -> None:
    jobs: queue.SimpleQueue[bool] = queue.SimpleQueue()
    threading.Thread(target=lambda: jobs.put(end.wait())).start()
    jobs.get()


def waits_in_a_lock(end: threading.Event) -> None:
    lock, taken = threading.Lock(), threading.Event()

    def hold() -> None:
        with lock:
            taken.set()
            end.wait()

    threading.Thread(target=hold).start()
    taken.wait()
    with lock:
        pass


def waits_in_an_event(end: threading.Event) -> None:
    end.wait()


@pytest.mark.parametrize("wait", [waits_in_a_queue, waits_in_a_lock, waits_in_an_event], ids=lambda f: str(f.__name__))
def test_a_thread_that_waits_is_not_waited_for(wait: Callable[[threading.Event], None]) -> None:
    """The clock jumps past threads that stand in a queue or a lock: they may wait for the test itself."""
    end = threading.Event()
    threads = [threading.Thread(target=wait, args=[end]) for _ in range(2)]

    async def main() -> float:
        for thread in threads:
            thread.start()
        await asyncio.sleep(60)
        return asyncio.get_running_loop().time()

    try:
        assert run(main()) == 60.0
    finally:
        end.set()
        for thread in threads:
            thread.join()


def busy(end: threading.Event) -> None:
    while not end.is_set():
        pass


def test_a_thread_that_works_for_too_long_is_named() -> None:
    """After so many real seconds the clock gives up: the thread's name and frame say whom it waited for."""
    end = threading.Event()

    async def main() -> None:
        threading.Thread(target=busy, args=[end], name="bee").start()
        await asyncio.sleep(1)

    message = r"virtual time stood still for 0.05 s for thread 'bee', which works at \S*test_testing.py:\d+ in busy"
    try:
        with asyncio.Runner(loop_factory=lambda: VirtualClockLoop(thread_patience=0.05)) as runner:
            with pytest.raises(RuntimeError, match=message):
                runner.run(main())
    finally:
        end.set()


def test_no_thread_is_waited_for_where_none_should_be() -> None:
    """With `threads=False` the clock jumps past a thread that works."""
    end = threading.Event()

    async def main() -> float:
        threading.Thread(target=busy, args=[end]).start()
        await asyncio.sleep(60)
        return asyncio.get_running_loop().time()

    try:
        assert run(main(), threads=False) == 60.0
    finally:
        end.set()


def test_threads_of_others_do_not_hold_time_up() -> None:
    """A thread that was busy before the loop was made, as those of debuggers and pytest-xdist are, is left alone."""
    end, (reading, writing) = threading.Event(), os.pipe()

    def beat() -> None:
        while not end.is_set():
            time.sleep(0.001)

    threads = [threading.Thread(target=beat), threading.Thread(target=os.read, args=[reading, 1])]
    for thread in threads:
        thread.start()

    async def main() -> float:
        for _ in range(50):
            await asyncio.sleep(1)
        return asyncio.get_running_loop().time()

    try:
        assert run(main()) == 50.0
    finally:
        end.set()
        os.write(writing, b"x")
        for thread in threads:
            thread.join()
        os.close(reading)
        os.close(writing)


def test_a_worker_from_before_is_waited_for() -> None:
    """A thread that was there before the loop, and waited for a job, is waited for once it has one."""
    jobs: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()

    def serve() -> None:
        while (job := jobs.get()) is not None:
            job()

    worker = threading.Thread(target=serve)
    worker.start()

    async def main() -> float:
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        for job in (lambda: time.sleep(0.01), lambda: loop.call_soon_threadsafe(done.set)):
            jobs.put(job)
        async with tracedtimeout.timeout(0.001):
            await done.wait()
        return loop.time()

    try:
        while sys._current_frames()[worker.ident or 0].f_code is not serve.__code__:
            time.sleep(0.001)
        assert run(main()) == 0.0
    finally:
        jobs.put(None)
        worker.join()


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

"""Forks, each with a lock of the process held by another thread: the child enters, expires, is scraped and installed.

Locks of other packages are held in turn too; there a child has to enter and expire, as it would without exporters.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import sys
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import generate_latest

import tracedtimeout
from tracedtimeout._core import _loop
from tracedtimeout._core.figures import _process
from tracedtimeout.prometheus import metrics_app

from . import locks

PATIENCE, LITTLE = 20.0, 0.5
"""Seconds in which a child is done with a step: no child that waits for nobody comes near the former."""
ENTER = "enter and expire"
HELD = 2.0
"""Seconds for which a lock is held at most: a fork may wait for whoever holds one."""


async def expire(name: str) -> str:
    """The outcome of a timeout that is entered and expires."""
    try:
        async with tracedtimeout.timeout(0.001, name=name) as timeout:
            await asyncio.sleep(60)
    except TimeoutError:
        pass
    return str(timeout.outcome)


def scraped() -> str:
    return generate_latest(metrics_app()._source).decode()


class Forks:
    """A process with all exporters at work, which is forked."""

    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        metrics.set_meter_provider(MeterProvider([self.reader]))
        tracer = TracerProvider()
        tracer.add_span_processor(BatchSpanProcessor(InMemorySpanExporter()))
        trace.set_tracer_provider(tracer)
        self.undo = tracedtimeout.install()
        asyncio.run(expire("before"))
        scraped()
        self.reader.collect()

    def steps(self) -> dict[str, Callable[[], object]]:
        """What a child does, in turn."""
        return {
            ENTER: lambda: asyncio.run(expire("child")) == "expired" or "no expiry",
            "be scraped": lambda: 'timeout="child"' in scraped() or "no figures",
            "be installed anew": self._installed,
            "be collected": self._collected,
        }

    def _collected(self) -> object:
        self.reader.collect()
        return True

    def _installed(self) -> object:
        self.undo()
        tracedtimeout.install(spans="off")
        return True

    def stopped_at(self, first: float = PATIENCE, later: float = PATIENCE) -> str:
        """The step at which a child forked now stops, "" if at none; with the seconds that it has for each."""
        listening, telling = os.pipe()
        child = os.fork()
        if child == 0:
            _be_child(self.steps(), telling)
        os.close(telling)
        done = b""
        while select.select([listening], [], [], later if done else first)[0]:
            said = os.read(listening, 1000)
            if not said:
                break
            done += said
        os.close(listening)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        steps, passed = list(self.steps()), done.count(b".")
        wrong = done.decode(errors="replace").strip(".")
        return f"{steps[passed]}{wrong and f': {wrong}'}" if passed < len(steps) else ""


def _be_child(steps: dict[str, Callable[[], object]], telling: int) -> None:
    for step in steps.values():
        try:
            outcome = step()
        except BaseException as exc:
            outcome = repr(exc)
        if outcome is not True:
            os.write(telling, str(outcome).replace(".", ",").encode())
            break
        os.write(telling, b".")
    os._exit(0)


@contextlib.contextmanager
def held(lock: Any) -> Iterator[None]:
    """A lock that another thread holds."""
    taken, released = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            taken.set()
            released.wait(HELD)

    thread = threading.Thread(target=hold, daemon=True)
    thread.start()
    taken.wait(PATIENCE)
    try:
        yield
    finally:
        released.set()
        thread.join()


def held_in_turn(forks: Forks, packages: Sequence[str], *patience: float) -> Iterator[tuple[str, str]]:
    """Each lock of the packages, and the step at which a child stops that is forked while it is held."""
    for place, lock in locks.living([place for package in packages for place in locks.made(package)]):
        with held(lock):
            yield str(place), forks.stopped_at(*patience)


@contextlib.contextmanager
def busy() -> Iterator[None]:
    """Threads that enter, scrape and install, over and over."""
    ended = threading.Event()

    def repeat(work: Callable[[], object]) -> None:
        while not ended.wait(0.001):
            work()

    def enter() -> None:
        with asyncio.Runner() as runner:
            repeat(lambda: runner.run(expire("beside")))

    works: list[Callable[[], None]] = [
        enter,
        partial(repeat, scraped),
        partial(repeat, partial(tracedtimeout.install, spans="off")),
    ]
    threads = [threading.Thread(target=work, daemon=True) for work in works]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def plant() -> None:
    """Have a child wait for the lock of the readers of figures, if its parent held it."""
    lock, forget = _process._folding, _loop.forget_after_fork

    def planted() -> None:
        forget()
        _process._folding = lock

    _loop.forget_after_fork = planted


def main(what: str, *switches: str) -> int:
    """Print what children of this process do; the status is 1 if one of ours waits.

    Args:
        what: ``ours``, ``theirs``, or a number of forks in the midst of threads that work.
    """
    warnings.simplefilter("ignore", DeprecationWarning)  # that there are threads is the point
    forks = Forks()
    patience = [PATIENCE]
    if "planted" in switches:
        plant()
        patience = [4.0]
    if what.isdigit():
        with busy():
            stopped = Counter(forks.stopped_at() for _ in range(int(what)))
        found = [f"{times} children do not {step}" for step, times in stopped.items() if step]
        print(f"{what} forks in the midst of work: {'; '.join(found) or 'all children work'}")
    else:
        packages, patience = ([locks.OURS], patience) if what == "ours" else (locks.THEIRS, [PATIENCE, LITTLE])
        places = list(held_in_turn(forks, packages, *patience))
        found = [
            f"{place}: a child does not {step}" for place, step in places if (step if what == "ours" else ENTER in step)
        ]
        told = Counter(place for place, step in places if step)
        print(f"{len(places)} locks of {what} held in turn, {len(found)} faults")
        sys.stdout.writelines(f"{line}\n" for line in found)
        if what == "theirs":
            print(f"children that wait for them, as without us: {', '.join(told) or 'none'}")
    return bool(found)


if __name__ == "__main__":
    status = main(*sys.argv[1:])
    sys.stdout.flush()
    os._exit(status)  # no thread of theirs is waited for

"""What can be run, each with its command."""

from __future__ import annotations

from dataclasses import dataclass

from tests.mutation.targets import MODULES


@dataclass(frozen=True)
class Row:
    """One thing to run."""

    part: str
    what: str
    command: str
    """A command line, from the root of the checkout; variables of the environment in front."""
    lines: int = 1
    """How many of the last lines that it prints tell its result."""
    size: str = ""
    """How much of it CI runs, if that is not all."""


SCHEDULES, SOAK, FAULTS, AGAINST = "Schedules", "Soak", "Faults at every line", "Against asyncio, and hostile input"
OUTSIDE = "Faults from outside"
MEMORY = "Memory"
MUTATION, PLANTED = "Mutation", "Planted faults"
KNOWN = "What is known to be lost"
COVERAGE = "Coverage"

ROWS = {
    "known": Row(
        KNOWN,
        "tests that are expected to fail, and what each would show",
        "python -m tests.reliability known",
        lines=20,
        size="each of them is run",
    ),
    "schedules": Row(
        SCHEDULES,
        "random programs on one loop, whose ready callbacks run in any order",
        "python -m tests.schedules --loops 1 --seeds 10000",
        size="all",
    ),
    "threads": Row(
        SCHEDULES,
        "the same on two loops in threads, beside a reader, with threads changing at lines of the core",
        "python -m tests.schedules --loops 2 --seeds 2000",
        size="200 seeds",
    ),
    "schedules-many": Row(
        SCHEDULES,
        "a million of them",
        "python -m tests.schedules --loops 1 --seeds 1000000",
        size="none",
    ),
    "free-threaded": Row(
        SCHEDULES,
        "eight loops in threads that run at once, on a Python 3.13 without the global interpreter lock, by a ledger",
        ".ci/free-threaded build/free-threaded --seconds 60",
        lines=2,
        size="2 s, with the lock",
    ),
    "soak": Row(
        SOAK,
        "half an hour of mixed traffic: expiries, moves, disconnects, scrapes, workers replaced",
        "python -m tests.soak --seconds 1800 --clients 4",
        lines=7,
        size="20 s",
    ),
    "soak-steady": Row(
        SOAK,
        "a quarter of an hour of it by the same workers from beginning to end: what they grow by is theirs",
        "python -m tests.soak --seconds 900 --clients 4 --restarts 0",
        lines=7,
        size="none",
    ),
    "crowd": Row(
        SOAK,
        "a million timeouts open at once, in a million tasks",
        "python -m tests.soak crowd --open 1000000",
        size="100,000",
    ),
    "storm": Row(
        SOAK,
        "ten thousand that expire in one tick, beside a bystander who wants his turn",
        "python -m tests.soak storm",
        size="all",
    ),
    "lines": Row(
        FAULTS,
        "an exception as of a signal's handler, at each line of the core in each scene, once",
        "python -m tests.faults --few interrupt",
        lines=12,
        size="all",
    ),
    "recursion": Row(
        FAULTS,
        "a stack that ends in or around a timeout, at 32 offsets",
        "python -m tests.faults recursion",
        lines=5,
        size="all",
    ),
    "collector": Row(
        FAULTS,
        "the garbage collector closes dropped work at any allocation, in the loop's thread and in another",
        "python -m pytest -q tests/faults/test_collector.py",
        size="all",
    ),
    "growth": Row(
        FAULTS,
        "instructions of a step beside ten times as many others",
        "python -m pytest -q tests/faults/test_growth.py",
        size="all",
    ),
    "observed": Row(
        FAULTS,
        "random programs, as asyncio runs them, under observers and span processors that raise, call back, come and go",
        "python -m tests.faults observed 50",
        lines=1,
        size="4 under each",
    ),
    "outer": Row(
        FAULTS,
        "an exception at each line of observers, spans, late spans, `install()` and its undoing, and of the doors",
        "python -m pytest -q tests/faults/outer",
        size="all",
    ),
    "outside-forks": Row(
        OUTSIDE,
        "forks with each lock of the process held in turn, and in the midst of work: the child works and is scraped",
        "python -m tests.faults.outside forks",
        lines=8,
        size="all",
    ),
    "outside-disks": Row(
        OUTSIDE,
        "files that cannot grow or be opened, a full disk, a damaged file: the program goes on, and loses nothing",
        "python -m tests.faults.outside disks",
        lines=4,
        size="all",
    ),
    "outside-signals": Row(
        OUTSIDE,
        "signals by the system's timer: handlers that raise, ours and bare asyncio beside; handlers that install",
        "python -m tests.faults.outside signals --size 10000",
        lines=4,
        size="200",
    ),
    "outside-memory": Row(
        OUTSIDE,
        "work in a memory that is full, by a limit of the system's, with more and more of it free; bare asyncio beside",
        "python -m tests.faults.outside memory --size 500",
        lines=2,
        size="none",
    ),
    "outside-clocks": Row(
        OUTSIDE,
        "a machine that was suspended, a system's clock that is put forward and back",
        "python -m pytest -q tests/faults/outside/test_clocks.py",
        size="all",
    ),
    "outside-smoke": Row(
        OUTSIDE,
        "every kind of use with `-O`, with `-OO`, with `-X dev` and warnings as errors, on a debug loop",
        "python -m tests.faults.outside smoke",
        lines=4,
        size="all",
    ),
    "outside-ends": Row(
        OUTSIDE,
        "daemon threads at work and timeouts open as a process ends, as asyncio's; children by spawn, forkserver, fork",
        "python -m tests.faults.outside ends",
        lines=2,
        size="all",
    ),
    "outside-versions": Row(
        OUTSIDE,
        "two versions of the package, with other buckets and descriptions, in one multiprocess directory",
        "python -m tests.faults.outside versions",
        size="all",
    ),
    "outside-endpoints": Row(
        OUTSIDE,
        "an OTLP endpoint that is down, silent, resetting, refusing, then well; readers of Prometheus' page that stall",
        "python -m tests.faults.outside endpoints --size 60",
        lines=5,
        size="2 s each",
    ),
    "memory-kept": Row(
        MEMORY,
        "what timeouts of each of 29 kinds keep when they are over: blocks of memory, after so many of each",
        "python -m tests.memory blocks 100000",
        lines=1,
        size="300 of each",
    ),
    "memory-collected": Row(
        MEMORY,
        "the same with a collection at every allocation",
        "python -m tests.memory collected 2000",
        lines=1,
        size="10 of each",
    ),
    "memory-failures": Row(
        MEMORY,
        "each allocation of a kind fails in turn, on a Python that can be told to",
        "python -m tests.memory failures 3",
        lines=1,
        size="none",
    ),
    "memory-loops": Row(
        MEMORY,
        "loops that are made, run all kinds, and are dropped",
        "python -m tests.memory loops 10000",
        lines=2,
        size="15",
    ),
    "memory-interpreters": Row(
        MEMORY,
        "other interpreters of one process",
        "python -m tests.memory interpreters",
        lines=7,
        size="1 of each sort",
    ),
    "differential": Row(
        AGAINST,
        "random programs show what asyncio shows, to the letter",
        "python -m tests.core.drawn",
        size="400, and 2,000 by Hypothesis",
    ),
    "conformance": Row(
        AGAINST,
        "CPython's own tests of timeouts and of asyncio, run against this package",
        "python -m pytest -q tests/core/test_conformance.py",
        size="all, on five Pythons",
    ),
    "headers": Row(
        AGAINST,
        "hostile headers, and requests that carry them",
        "TRACEDTIMEOUT_FUZZ=1000000 python -m pytest -q -k test_fuzz tests/wire tests/doors",
        size="all",
    ),
    **{
        f"mutants_{module.lstrip('_').replace('._', '_')}": Row(
            MUTATION, f"mutants of `{module}`", f"python -m tests.mutation {module}", size="none"
        )
        for module in MODULES
    },
    "coverage": Row(
        COVERAGE,
        "branches of the core, and of the rest, that the tests of three Pythons together come to",
        ".ci/coverage",
        lines=2,
        size="none",
    ),
    "planted": Row(
        PLANTED,
        "six faults planted in the core, and the first seed whose schedule shows each",
        "python -m tests.schedules.planted",
        lines=6,
        size="all",
    ),
    "planted-parts": Row(
        PLANTED,
        "faults planted for strikes at lines, stacks, the collector, growth, observers, memory, differences, headers",
        "python -m tests.faults.planted",
        lines=9,
        size="all",
    ),
    "planted-outside": Row(
        PLANTED,
        "faults planted for the parts that bring faults from outside, and how soon each finds its own",
        "python -m tests.faults.outside planted",
        lines=20,
        size="all",
    ),
    "planted-soak": Row(
        PLANTED,
        "workers that end without a word of what they counted last, under the traffic of the soak",
        "python -m tests.soak planted",
        size="all",
    ),
}
"""All rows by their keys, in the order of the report."""

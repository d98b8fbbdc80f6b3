"""The parts of the kit, each the runs of one module in processes of their own, and how to plant what each must find."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]
PATIENCE = 600.0

FILLS = sys.version_info >= (3, 13)
"""Before, what is full stays full as far as Python can tell: either the interpreter ends, or nothing is begun."""


@dataclass(frozen=True)
class Run:
    """One process: ``python -m tests.faults.outside.MODULE ARGUMENTS``."""

    module: str
    arguments: tuple[str, ...] = ()
    files: bool = False
    """With a folder for the figures of several processes, as prometheus_client keeps them."""
    switches: tuple[str, ...] = ()
    """Python's own."""
    long: bool = False

    @property
    def name(self) -> str:
        words = [self.module, *self.switches, *self.arguments, *(["in files"] if self.files else [])]
        return " ".join(words)

    def __call__(self, *more: str) -> tuple[int, str]:
        """The status and the words of the process; the status is 0 if it has found nothing."""
        command = [sys.executable, *self.switches, "-m", f"tests.faults.outside.{self.module}", *self.arguments, *more]
        with tempfile.TemporaryDirectory() as folder:
            environment = {key: value for key, value in os.environ.items() if key != "PROMETHEUS_MULTIPROC_DIR"}
            if self.files:
                environment["PROMETHEUS_MULTIPROC_DIR"] = folder
            try:
                done = subprocess.run(
                    command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE
                )
            except subprocess.TimeoutExpired as exc:
                return 1, f"it does not end\n{exc.stdout!r}\n{exc.stderr!r}"
        return done.returncode, done.stdout + (done.stderr if done.returncode else "")


RUNS = [
    Run("forks", ("ours",), files=True, long=True),
    Run("forks", ("ours",), long=True),
    Run("forks", ("theirs",), files=True, long=True),
    Run("forks", ("theirs",), long=True),
    Run("forks", ("50",), long=True),
    Run("forks", ("50",), files=True, long=True),
    Run("disks", ("no-growth",), files=True),
    *(Run("disks", (trouble,), files=True, long=True) for trouble in ("no-descriptors", "read-only", "full")),
    Run("signals", ("raising", "200"), long=True),
    Run("signals", ("calling", "200"), long=True),
    Run("signals", ("calling", "200"), files=True, long=True),
    Run("smoke", switches=("-O",)),
    Run("smoke", ("debug",), switches=("-X", "dev", "-W", "error")),
    Run("smoke", switches=("-OO",), long=True),
    Run("smoke", switches=("-X", "dev", "-W", "error"), long=True),
    Run("ends", ("ends",), long=True),
    Run("ends", ("children",), files=True, long=True),
    *([Run("memory", ("100",), long=True)] if FILLS else []),
    Run("versions", files=True, long=True),
    *(Run("endpoints", (fault,), long=True) for fault in ("down", "silent", "resetting", "refusing", "readers")),
]
PARTS = list(dict.fromkeys(run.module for run in RUNS))

PLANTED = {
    "forks: a child that waits for a lock of its parent's readers": Run("forks", ("ours",)),
    "disks: a file that is mapped before it has room": Run("disks", ("no-growth",), files=True),
    "signals: a lock that its own thread waits for": Run("signals", ("calling", "200")),
    "smoke: a reschedule that moves nothing": Run("smoke", switches=("-O",)),
    "ends: an exit handler that ends the process with a status of its own": Run("ends", ("ends",)),
    "versions: a family that the other version calls by another name": Run("versions", files=True),
    "endpoints: an export in the loop's own thread": Run("endpoints", ("silent",)),
}
if FILLS:
    PLANTED["memory: a timeout that finds none makes later ones late"] = Run("memory", ("100",))
"""Faults that a part plants in itself, given the word ``planted``, and must find."""


def find(fault: str) -> str:
    """The first words of the part that finds a planted fault, and the seconds that took; "" if it does not."""
    begun = time.perf_counter()
    status, said = PLANTED[fault]("planted")
    lines = [line for line in said.splitlines() if line.strip()]
    return f"{time.perf_counter() - begun:.1f} s: {lines[min(1, len(lines) - 1)]}" if status == 1 and lines else ""

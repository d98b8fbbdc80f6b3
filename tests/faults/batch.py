"""All trials of some scenes, in a process of their own: a crash or a hang there ends that process alone.

Run as a program, ``python -m tests.faults.batch ours interrupt virtual few completing ...``, it prints a line of JSON
for each scene.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import subprocess
import sys
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Literal, NoReturn, cast

from .libraries import LIBRARIES
from .loops import RealLoop, VirtualLoop
from .scenes import SCENES
from .strikes import Line
from .trial import How, Trial, census

Who = Literal["ours", "asyncio"]
Clock = Literal["virtual", "real"]
Often = Literal["few", "twice", "always"]
"""Which of the times that a line is come to it is struck at: the first or last of each of a `FEW` scenes, the first and
last of every scene, all."""

ROOT = Path(__file__).parent.parent.parent
FEW = 1
PATIENCE = 240.0
"""Seconds that a batch may take: several times what it does."""

LOOPS: dict[str, type[VirtualLoop | RealLoop]] = {"virtual": VirtualLoop, "real": RealLoop}


@dataclass
class Report:
    """What the trials of one scene left behind, by kind: at a call, and within one. With an example of each."""

    scene: str
    lines: int = 0
    events: int = 0
    at_calls: Counter[str] = field(default_factory=Counter)
    within: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    trials_left: int = 0
    """Trials that left anything."""

    def add(self, trial: Trial) -> None:
        struck = trial.strikes.struck
        self.events += 1
        self.trials_left += bool(trial.left)
        for what in trial.left:
            (self.at_calls if struck is not None and struck.called else self.within)[what] += 1
            self.examples.setdefault(what, str(struck))


@cache
def run(who: Who, how: How, scenes: tuple[str, ...], clock: Clock = "virtual", often: Often = "few") -> list[Report]:
    """The reports on `scenes`, from processes of their own."""
    reports: list[Report] = []
    while len(reports) < len(scenes):
        left = scenes[len(reports) :]
        reports += _run(who, how, left, clock, often) or [_died(left[0])]
    return reports


def _run(who: Who, how: How, scenes: tuple[str, ...], clock: Clock, often: Often) -> list[Report]:
    """The reports on `scenes` up to the first with a deadlock: its process is of no more use."""
    command = [sys.executable, "-m", "tests.faults.batch", who, how, clock, often, *scenes]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            output, _ = process.communicate(timeout=PATIENCE * (1 if often == "few" and clock == "virtual" else 20))
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
    return [_read(line) for line in output.splitlines()]


def _died(scene: str) -> Report:
    return Report(scene, within=Counter({"the process dies": 1}), trials_left=1)


def report_on(scene: str, who: Who, how: How, clock: Clock, often: Often, *, struck: Counter[Line]) -> Report:
    """Strike the lines of a scene; `struck` counts how often each has been, in all scenes."""
    library, loop = LIBRARIES[who], LOOPS[clock]
    lines = census(SCENES[scene], library, loop)
    report = Report(scene, lines=len(set(lines)))

    def stuck(trial: Trial) -> NoReturn:
        report.add(trial)
        _print(report)
        os._exit(1)

    for at in _chosen(lines, often, struck):
        trial = Trial(SCENES[scene], library, how, loop, at, stuck)
        trial.run()
        if trial.strikes.struck is not None:  # else the line was not come to: nothing was done, nothing is shown
            report.add(trial)
    return report


def _print(report: Report) -> None:
    print(json.dumps(vars(report)), flush=True)


def _chosen(lines: Sequence[Line], often: Often, struck: Counter[Line]) -> list[int]:
    """The numbers of the lines to strike."""
    if often == "always":
        return list(range(len(lines)))
    first = {line: number for number, line in reversed(list(enumerate(lines)))}
    last = {line: number for number, line in enumerate(lines)}
    if often == "twice":
        return sorted({*first.values(), *last.values()})
    rare = [line for line in first if struck[line] < FEW]
    struck.update(rare)
    return sorted(last[line] if struck[line] == FEW else first[line] for line in rare)


def _read(line: str) -> Report:
    report = Report(**json.loads(line))
    report.at_calls, report.within = Counter(report.at_calls), Counter(report.within)
    return report


def main(who: str, how: str, clock: str, often: str, *scenes: str) -> None:
    logging.disable()
    warnings.simplefilter("ignore")
    gc.collect()
    gc.freeze()
    struck: Counter[Line] = Counter()
    for scene in scenes:
        chosen = cast(Who, who), cast(How, how), cast(Clock, clock), cast(Often, often)
        _print(report_on(scene, *chosen, struck=struck))


if __name__ == "__main__":
    main(*sys.argv[1:])

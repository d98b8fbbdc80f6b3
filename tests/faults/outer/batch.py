"""All trials of some rooms, in a process of their own: telemetry is global there, and a hang ends that process alone.

Run as a program, ``python -m tests.faults.outer.batch few error observers core.expiring ...``, it prints a line of
JSON for each scene.
"""

from __future__ import annotations

import faulthandler
import gc
import json
import logging
import os
import subprocess
import sys
import warnings
from collections import Counter
from collections.abc import Iterable
from typing import cast

from tests.faults.batch import ROOT, Report, _read
from tests.faults.strikes import Line

from .rooms import ROOMS
from .stage import set_global_provider
from .trial import How, Room, Scene, Trial, census

PATIENCE = 240.0
"""Seconds that a batch may take: many times what it does."""


def run(how: How, rooms: Iterable[str], *, often: str = "few") -> list[Report]:
    """The reports on the scenes of some rooms, by a process of its own."""
    command = [sys.executable, "-m", "tests.faults.outer.batch", often, how, *rooms]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, timeout=2 * PATIENCE, check=False
    )
    reports = [_read(line) for line in done.stdout.splitlines()]
    if done.returncode:
        reports.append(Report("after these", within=Counter({f"status {done.returncode}": 1}), trials_left=1))
    return reports


def report_on(room: Room, scene: Scene, how: How, often: str, *, struck: set[Line]) -> Report:
    """Strike lines of a scene: all that it comes to, or those that no scene before was struck at."""
    lines, expected = census(room, scene)
    first = {line: number for number, line in reversed(list(enumerate(lines)))}
    last = {line: number for number, line in enumerate(lines)}
    report = Report(scene.__name__, lines=len(first))
    often = room.often if often == "few" else often
    if often == "always":
        chosen = list(range(len(lines)))
    elif often == "twice":
        chosen = sorted({*first.values(), *last.values()})
    else:
        chosen = sorted(number for line, number in first.items() if line not in struck)
    struck.update(first)
    for at in chosen:
        trial = Trial(room, scene, how, at, expected)
        trial.run()
        if trial.strikes.struck is not None:  # else the line was not come to: nothing was done, nothing is shown
            report.events += 1
            report.trials_left += bool(trial.left)
            for what in trial.left:
                (report.at_calls if trial.excused else report.within)[what] += 1
                report.examples.setdefault(what, str(trial.strikes.struck))
    return report


def main(often: str, how: str, *rooms: str) -> None:
    faulthandler.dump_traceback_later(PATIENCE, exit=True)
    logging.lastResort = None
    warnings.simplefilter("ignore")
    set_global_provider()
    gc.collect()
    gc.freeze()
    for chosen in rooms:
        name, _, only = chosen.partition(".")
        struck: set[Line] = set()
        for scene in ROOMS[name].scenes:
            if only not in ("", scene.__name__):
                continue
            report = report_on(ROOMS[name], scene, cast(How, how), often, struck=struck)
            report.scene = f"{name}.{report.scene}"
            sys.stdout.write(json.dumps(vars(report)) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])

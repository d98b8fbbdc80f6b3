"""Two versions of the package in one multiprocess directory, as while workers are replaced by new ones."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import tracedtimeout

PACKAGE = Path(tracedtimeout.__file__).parent

CHANGES = {
    "_version.py": (r'VERSION = ".*"', 'VERSION = "9.9.9"'),
    "_core/figures/_metrics.py": (r"Seconds from entering a timeout to leaving it\.", "Seconds, told in another way."),
}
"""Those of the other version: a number, and a description, which is part of each key in the files. It has other
buckets too, by `install`."""

WORKER = """
import asyncio, contextlib, sys, tracedtimeout
from tracedtimeout.prometheus import metrics_app
from prometheus_client import generate_latest
undo = tracedtimeout.install(spans="off", buckets=BUCKETS)
async def main():
    for _ in range(3):
        with contextlib.suppress(TimeoutError):
            async with tracedtimeout.timeout(0.001, name="both"):
                await asyncio.sleep(60)
    async with tracedtimeout.timeout(60, name="open"):
        print(generate_latest(metrics_app()._source).decode(), flush=True)
        sys.stdin.read()
asyncio.run(main())
"""
BUCKETS = {"old": "None", "new": "[0.5, 7.0]"}


def other_version(folder: Path) -> Path:
    """The root of a copy of the package with the changes."""
    shutil.copytree(PACKAGE, folder / "tracedtimeout", ignore=shutil.ignore_patterns("__pycache__"))
    for name, (pattern, replacement) in CHANGES.items():
        path = folder / "tracedtimeout" / name
        text, times = re.subn(pattern, replacement, path.read_text(), count=1)
        assert times == 1, name
        path.write_text(text)
    return folder


def pages(roots: dict[str, Path]) -> dict[str, str]:
    """The page that each version shows, the first one begun before the other, and both at work at the end."""
    started, shown = [], {}
    for name, root in [*roots.items(), ("again", next(iter(roots.values())))]:
        buckets = BUCKETS.get(name, "None")
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", WORKER.replace("BUCKETS", buckets)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=root,
                env=os.environ | {"PYTHONPATH": str(root)},
            )
        )
        shown[name] = _page(started[-1])
    for each in started:
        each.communicate()
    return shown


def _page(worker: subprocess.Popen[str]) -> str:
    lines = []
    assert worker.stdout is not None
    for line in worker.stdout:
        if not line.strip():
            break
        lines.append(line)
    return "".join(lines)


EXPECTED = {
    "new": {
        'tracedtimeout_expirations_total{outcome="expired",timeout="both"}': 6,
        'tracedtimeout_duration_seconds_count{outcome="expired",timeout="both"}': 6,
        'tracedtimeout_duration_seconds_bucket{le="0.5",outcome="expired",timeout="both"}': 6,
        'tracedtimeout_active{timeout="open"}': 2,
    },
    "again": {
        'tracedtimeout_expirations_total{outcome="expired",timeout="both"}': 9,
        'tracedtimeout_duration_seconds_count{outcome="expired",timeout="both"}': 9,
        'tracedtimeout_duration_seconds_bucket{le="+Inf",outcome="expired",timeout="both"}': 9,
        'tracedtimeout_active{timeout="open"}': 3,
    },
}


def main(*words: str) -> int:
    """Print what is wrong on the pages; the status is 1 if anything is."""
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        other = other_version(Path(folder))
        if "planted" in words:
            path = other / "tracedtimeout" / "_core" / "figures" / "_metrics.py"
            path.write_text(
                path.read_text().replace('"tracedtimeout_expirations_total"', '"tracedtimeout_expiries_total"')
            )
        shown = pages({"old": PACKAGE.parent, "new": other})
    for name, expected in EXPECTED.items():
        figures = dict(re.findall(r"(?m)^(\w+{.*}) (\S+)$", shown[name]))
        wrong += [
            f"{name}: {key} {figures.get(key)}" for key, count in expected.items() if figures.get(key) != f"{count}.0"
        ]
        versions = set(re.findall(r'tracedtimeout_build_info{.*version="(.*?)"', shown[name]))
        if len(versions) != 2:
            wrong.append(f"{name}: shows versions {versions}")
        families = re.findall(r"# TYPE (\S+)", shown[name])
        if len(families) != len(set(families)):
            wrong.append(f"{name}: a family is there twice")
    print(f"two versions in one folder, {len(wrong)} faults", *wrong, sep="\n")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

"""Disks in trouble, below the folder of the figures of several processes: the program goes on, and is told once.

Each kind of trouble comes to a process that counts and transfers meanwhile; then it is over, and all is there. Where a
file could not be opened it comes first: what is open needs no more.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import shlex
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from prometheus_client import generate_latest

import tracedtimeout
from tracedtimeout.prometheus import _multiprocess
from tracedtimeout.prometheus._processes import Processes

NOBODY = 65534
NAMES = 120
"""So many that their series do not fit into files of the first size."""


async def expire(names: range) -> None:
    for number in names:
        with contextlib.suppress(TimeoutError):
            async with tracedtimeout.timeout(0, name=f"name-{number}"):
                await asyncio.sleep(60)


class Told(logging.Handler):
    """The errors and warnings that the program is told of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []
        logging.getLogger("tracedtimeout").addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


@contextlib.contextmanager
def limited(what: int, soft: int) -> Iterator[None]:
    before = resource.getrlimit(what)
    resource.setrlimit(what, (soft, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(what, before)


def no_growth(folder: Path) -> AbstractContextManager[None]:
    """No file may be larger than those that are there."""
    return limited(resource.RLIMIT_FSIZE, 1 << 16)


@contextlib.contextmanager
def no_descriptors(folder: Path) -> Iterator[None]:
    """No file can be opened."""
    with contextlib.ExitStack() as taken, limited(resource.RLIMIT_NOFILE, 64):
        with contextlib.suppress(OSError):
            while True:
                taken.enter_context(Path(os.devnull).open())
        yield


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """The folder lets nobody write, nor the files; root, whom nothing keeps, is nobody meanwhile."""
    for file in (*folder.iterdir(), folder):
        file.chmod(stat.S_IRUSR | stat.S_IXUSR | stat.S_IRGRP | stat.S_IXGRP | stat.S_IROTH | stat.S_IXOTH)
    was_root = os.geteuid() == 0
    if was_root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if was_root:
            os.seteuid(0)
        folder.chmod(stat.S_IRWXU)
        for file in folder.iterdir():
            file.chmod(stat.S_IRUSR | stat.S_IWUSR)


@contextlib.contextmanager
def full(folder: Path) -> Iterator[None]:
    """The disk has less room than a file that grows would take; the guard of `SPARE` is off."""
    spare, _multiprocess.SPARE = _multiprocess.SPARE, 0
    filler = folder / "filler"
    with filler.open("wb") as file:
        free = shutil.disk_usage(folder).free
        os.posix_fallocate(file.fileno(), 0, max(1, free - (1 << 14)))
    try:
        yield
    finally:
        _multiprocess.SPARE = spare
        filler.unlink()


TROUBLES: dict[str, Callable[[Path], AbstractContextManager[None]]] = {
    "no-growth": no_growth,
    "no-descriptors": no_descriptors,
    "read-only": read_only,
    "full": full,
}


def on_small_disk(folder: Path, *arguments: str) -> None:
    """Become this program anew, where a file system of 4 MiB is mounted at the folder for it alone.

    Returns only where none can be mounted: that takes root, and a container that lets root do it.
    """
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if shutil.which("unshare") and not subprocess.run(["unshare", "-m", *mount], check=False).returncode:
        program = [sys.executable, "-m", __spec__.name, *arguments, "mounted"]
        shell = f"{shlex.join(mount)} && exec {shlex.join(program)}"
        os.execvp("unshare", ["unshare", "-m", "sh", "-c", shell])  # noqa: S606  # arguments of ours


def main(trouble: str, *switches: str) -> int:
    """Print what is wrong in this process while it is in `trouble`, and after that; the status is 1 if anything is."""
    folder = Path(os.environ[_multiprocess.VARIABLE])
    wrong: list[str] = []
    if trouble == "full" and "mounted" not in switches:
        on_small_disk(folder, trouble, *switches)
        print(f"{trouble}: not tried, since no file system can be mounted here")
        return 0
    _in_trouble(folder, trouble, wrong, planted="planted" in switches)
    print(f"{trouble}: {len(wrong)} faults", *wrong, sep="\n")
    return bool(wrong)


def _in_trouble(folder: Path, trouble: str, wrong: list[str], *, planted: bool) -> None:
    told = Told()
    if planted:
        _multiprocess._make_room = lambda *_: None
    _multiprocess.EVERY = 3600.0  # transfers are made here
    undo = tracedtimeout.install(spans="off")
    begun = 2 if trouble in {"no-growth", "full"} else 0
    known, new = range(begun), range(begun, NAMES)
    runner = asyncio.Runner()  # the loop has its descriptors before they are gone
    runner.run(expire(known))
    _multiprocess.transfer()
    (folder / "counter_1.db").write_bytes(b"damaged")
    with TROUBLES[trouble](folder):
        for _ in range(3):
            runner.run(expire(known))
            runner.run(expire(new))
            _multiprocess.transfer_or_complain()
        if trouble == "no-descriptors":
            with contextlib.suppress(OSError):
                wrong.append(f"a page is shown of {len(_counts(folder))} names")
        elif (found := _counts(folder)).keys() < set(map(str, known)) or any(found[str(name)] != 4 for name in known):
            wrong.append(f"names that have their series are not written on: {found}")
    _multiprocess.transfer_or_complain()
    expected = {str(name): 3.0 + (name in known) for name in range(NAMES)}
    if (found := _counts(folder)) != expected:
        wrong.append(f"{sum(found.get(name) != count for name, count in expected.items())} names are wrong afterwards")
    undo()
    runner.close()
    complaints = [each for each in told.messages if "cannot be written" in each]
    if len(complaints) != 1:
        wrong.append(f"it is told {len(complaints)} times that figures cannot be written")
    if (rest := [each for each in told.messages if each not in complaints and "counter_1.db" not in each]) != []:
        wrong.append(f"it is told of {rest[0]}, and of {len(rest) - 1} more")


def _counts(folder: Path) -> dict[str, float]:
    """Expiries by the number in the name, as a scrape shows them."""
    text = generate_latest(Processes(folder)).decode()
    counts = {}
    for line in text.splitlines():
        if line.startswith("tracedtimeout_duration_seconds_count") and "expired" in line:
            name, _, count = line.partition('timeout="name-')[2].partition('"} ')
            counts[name] = float(count)
    return counts


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

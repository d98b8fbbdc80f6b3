"""Several worker processes: the figures of each in the files that prometheus_client sums.

Under ``PROMETHEUS_MULTIPROC_DIR`` prometheus_client reads no collectors, only values that every process keeps in files.
A timeout pays nothing for them: what the core counted is carried over once a second, the differences only, and when
the process is scraped, exits, or undoes `install`. So a worker killed by a signal takes the figures of its last second
with it, no more. (docs/workers.md has a line for each server that keeps those too.) Recording each timeout into
prometheus_client's own metrics would lose nothing, and cost as much as several timeouts.
"""

from __future__ import annotations

import atexit
import errno
import logging
import os
import shutil
import struct
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prometheus_client import values
from prometheus_client.mmap_dict import MmapedDict, mmap_key

from tracedtimeout._core import _observers
from tracedtimeout._core.figures import _process
from tracedtimeout._core.figures._metrics import Metric
from tracedtimeout._shared import build
from tracedtimeout._shared.once import Once

from ._families import les

if TYPE_CHECKING:
    from tracedtimeout._core._view import View

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"

EVERY = 1.0
"""Seconds between two transfers."""

SPARE = 1 << 20
"""Bytes that must be free for a series to be begun: its file grows by doubling, and other processes write as well."""

_log = logging.getLogger("tracedtimeout")


class Transfer:
    """Carries the figures of this process over, from its first timeout on, until it is stopped."""

    def __init__(self) -> None:
        self._ended = threading.Event()
        self._complain = Once()

    def start(self) -> None:
        """Wait for the first timeout: threads do not survive a fork, and a server forks before it has any.

        Raises:
            RuntimeError: prometheus_client keeps its values elsewhere.
        """
        global _running
        if not values.ValueClass._multiprocess:
            raise RuntimeError(f"{VARIABLE} must be set before prometheus_client is imported")
        _running = self
        self._ended = threading.Event()
        _observers.add(self)
        atexit.register(transfer_or_complain)

    def stop(self) -> None:
        """Carry over what is left, for the last time."""
        global _running
        _observers.remove(self)
        self._ended.set()
        transfer_or_complain()
        atexit.unregister(transfer_or_complain)
        _running = None

    def __call__(self, timeout: View, /) -> None:
        _observers.remove(self)
        if (processes := sys.modules.get("multiprocessing.util")) is not None:
            processes.Finalize(None, transfer_or_complain, exitpriority=0)  # before 3.13 its children end by those
        threading.Thread(target=self._run, args=(self._ended,), name="tracedtimeout-transfer", daemon=True).start()

    def start_again(self) -> None:
        """In the child of a fork, where no thread runs."""
        self._ended = threading.Event()
        _observers.remove(self)
        _observers.add(self)

    def _run(self, ended: threading.Event) -> None:
        while not ended.wait(EVERY):
            transfer_or_complain()

    def complain(self, exc: Exception) -> None:
        self._complain(f"figures cannot be written to {VARIABLE}", exc)


_running: Transfer | None = None
_lock = threading.RLock()  # reentrant: a signal's handler may fork, or undo, in the midst of a transfer
_under_way = False

Key = tuple[Metric, _process.Labels]

_given: dict[Key, list[float]] = {}
"""The numbers of each series that were carried over, or counted by the process that this one was forked from."""

_cells: dict[Key, list[Any]] = {}


def transfer() -> None:
    """Add to the files of this process what it counted since the last time; nothing unless installed.

    Called by a signal's handler in the midst of itself it does nothing: what it interrupts goes on.

    Raises:
        OSError: they cannot be written; or the disk is nearly full: a series that is new waits then, the others do not.
    """
    global _under_way
    with _lock:
        if _running is None or _under_way:
            return
        _under_way = True
        try:
            _transfer()
        finally:
            _under_way = False


def _transfer() -> None:
    """Each series by itself: one that cannot be written keeps no other from its file; the first error is raised."""
    wrong: Exception | None = None
    for metric, figures in build.snapshot().items():
        for labels, value in figures.items():
            try:
                _add((metric, labels), _numbers(value))
            except Exception as exc:
                wrong = wrong or exc
    if wrong is not None:
        try:
            raise wrong
        finally:
            del wrong  # else it would hold itself, by its traceback


def transfer_or_complain() -> None:
    """`transfer`; an error is logged, the first of an installation."""
    running = _running
    try:
        transfer()
    except Exception as exc:
        if running is not None:
            running.complain(exc)


def _make_room(metric: Metric, labels: _process.Labels) -> None:
    """Have the file that a new series goes to be as large as it needs, on the disk: a mapped file that grows where no
    room is left kills the process (SIGBUS), and prometheus_client takes one that could not grow for larger than it is.

    Raises:
        OSError: the disk is full, or nearly so; or the file would be too large.
    """
    folder = os.environ[VARIABLE]
    if shutil.disk_usage(folder).free < SPARE:
        raise OSError(errno.ENOSPC, f"less than {SPARE} bytes are free; new series are not written", folder)
    name, kind = metric.prometheus_name, "gauge_livesum" if metric.kind == "updowncounter" else metric.kind
    longest = mmap_key(name, f"{name}_bucket", [*metric.labels, "le"], [*labels, "x" * 24], metric.description)
    needed = (len(metric.bounds) + 2) * (len(longest) + 36)  # a length, padding and two numbers for each
    try:
        file = (Path(folder) / f"{kind}_{os.getpid()}.db").open("a+b")
    except OSError:
        return  # prometheus_client may have it open, or fails as well, and says why
    with file:
        file.seek(0)
        used, there = int.from_bytes(file.read(4), sys.byteorder), os.fstat(file.fileno()).st_size
        if used > there or 0 < there < 8:
            return  # damaged: seen to as it is opened
        size = max(there, 1 << 16)  # as prometheus_client begins
        while used + needed > size:
            size *= 2
        try:
            os.posix_fallocate(file.fileno(), used, size - used)
        except OSError as exc:
            if exc.errno not in (errno.EOPNOTSUPP, errno.EINVAL):  # of a file system that cannot
                raise


def _add(series: Key, numbers: list[float]) -> None:
    given = _given.get(series)
    if given == numbers:
        return
    cells = _cells.get(series)
    if cells is None:
        _make_room(*series)
        cells = _cells[series] = _opened(*series)
    for cell, number, before in zip(cells, numbers, given or [0.0] * len(numbers), strict=True):
        if number != before:
            cell.inc(number - before)
    _given[series] = numbers


def _opened(metric: Metric, labels: _process.Labels) -> list[Any]:
    """The values of a series; files of this process's id that a former one left damaged are put aside for them."""
    try:
        return _made(metric, labels)
    except (struct.error, UnicodeDecodeError, RuntimeError, ValueError):
        if not put_aside(Path(os.environ[VARIABLE]), os.getpid()):
            raise
        return _made(metric, labels)


def put_aside(folder: Path, pid: int) -> list[Path]:
    """Rename the files of a process that cannot be read, so that it can begin anew; returns their new names."""
    renamed = []
    for file in folder.glob(f"*_{pid}.db"):
        try:
            MmapedDict(os.fspath(file)).close()  # type: ignore[no-untyped-call]  # prometheus_client's
        except (struct.error, UnicodeDecodeError, RuntimeError, ValueError) as exc:
            aside = file.with_suffix(".damaged")
            _log.warning("%s cannot be read (%r) and is put aside as %s", file, exc, aside.name)
            renamed.append(file.replace(aside))
    return renamed


def _numbers(value: _process.Value) -> list[float]:
    return [*value.counts, value.total] if isinstance(value, _process.Histogram) else [value]


def _made(metric: Metric, labels: _process.Labels) -> list[Any]:
    """The values of a series, one for each of its numbers, as prometheus_client's own metrics make them."""
    name, help_text, keys = metric.prometheus_name, metric.description, metric.labels
    if metric.kind == "counter":
        family = name.removesuffix("_total")
        return [values.ValueClass("counter", family, name, keys, labels, help_text)]
    if metric.kind == "updowncounter":
        gauge = values.ValueClass("gauge", name, name, keys, labels, help_text, multiprocess_mode="livesum")
        gauge.set(0.0)  # a process of the same id may have left one, if nobody marked it dead
        return [gauge]
    buckets = [
        values.ValueClass("histogram", name, f"{name}_bucket", (*keys, "le"), (*labels, le), help_text)
        for le in les(metric.bounds)
    ]
    return [*buckets, values.ValueClass("histogram", name, f"{name}_sum", keys, labels, help_text)]


def _before_fork() -> None:
    """Let no thread be half way through."""
    _lock.acquire()


def _in_parent() -> None:
    _lock.release()


def _in_child() -> None:
    """Take the figures as the child begins for the parent's; the child writes files of its own."""
    _lock.release()
    _given.clear()
    _cells.clear()
    if VARIABLE in os.environ:
        _given.update(
            ((metric, labels), _numbers(value))
            for metric, figures in _process.snapshot().items()
            for labels, value in figures.items()
        )
    if _running is not None:
        _running.start_again()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(before=_before_fork, after_in_parent=_in_parent, after_in_child=_in_child)

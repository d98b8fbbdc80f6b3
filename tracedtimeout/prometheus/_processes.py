"""The counts of all worker processes, read from the files that prometheus_client keeps for each of them."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector

from . import _multiprocess
from ._families import announced

_log = logging.getLogger("tracedtimeout")

OURS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""Errors of the reader, and of no file: a page without those files would be taken for counters that began anew."""


@dataclass(frozen=True, slots=True)
class Processes:
    """The sum over all processes, and the families that none has anything for yet. To be scraped like a registry.

    A file that cannot be read (cut short, overwritten, of another program) costs its own figures only, and is told of
    once. Where the process has no descriptor or memory left to read them with, the collection fails.
    """

    folder: Path
    _told: set[Path] = field(default_factory=set)

    def collect(self) -> Iterator[Metric]:
        _multiprocess.transfer_or_complain()
        missing = {metric.name: metric for metric in announced()}
        for family in self._merged():
            missing.pop(family.name, None)
            yield family
        yield from missing.values()

    def restricted_registry(self, names: Iterable[str]) -> _Part:
        return _Part(self, frozenset(names))

    def _merged(self) -> Iterable[Metric]:
        files = self._files()
        try:
            return _read(files)
        except Exception:  # whatever a damaged file makes of its reader
            return _read([file for file in files if self._is_readable(file)])

    def _files(self) -> list[Path]:
        """The files that hold anything: a process that starts makes its file and then fills it."""
        found = []
        try:
            there = sorted(self.folder.iterdir())  # a glob would show no files where no descriptor is left
        except FileNotFoundError:
            return []
        for file in (each for each in there if each.suffix == ".db"):
            try:
                if file.stat().st_size:
                    found.append(file)
            except FileNotFoundError:
                continue  # of a worker marked as dead just now
        return found

    def _is_readable(self, file: Path) -> bool:
        try:
            _read([file])
        except FileNotFoundError:
            return False  # as above
        except Exception as exc:
            if isinstance(exc, OSError) and exc.errno in OURS:
                raise
            if file not in self._told:
                self._told.add(file)
                _log.warning("%s cannot be read (%r) and is left out; not logged again", os.fspath(file), exc)
            return False
        return True


def _read(files: list[Path]) -> list[Metric]:
    merged = MultiProcessCollector.merge([os.fspath(file) for file in files], accumulate=True)  # type: ignore[no-untyped-call]  # prometheus_client's
    return list(merged)


@dataclass(frozen=True, slots=True)
class _Part:
    """The samples of certain names, of `whole`."""

    whole: Processes
    names: frozenset[str]

    def collect(self) -> Iterator[Metric]:
        for family in self.whole.collect():
            samples = [sample for sample in family.samples if sample.name in self.names]
            if samples:
                family.samples = samples
                yield family

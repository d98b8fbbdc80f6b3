"""The demo's child processes: started, watched, ended."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path

PATIENCE = 8.0
"""Seconds in which a child that was asked to end does so, before it is killed."""


class Child:
    """A Python module that runs as a process of its own, in a process group of its own: Ctrl-C does not reach it."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.name = name
        self.log = log
        self._process = process
        self._output = asyncio.create_task(_read(process))
        self.ended = asyncio.create_task(process.wait())

    @classmethod
    async def start(cls, name: str, directory: Path, *command: str, sockets: Sequence[int] = ()) -> Child:
        """Start ``python -m tracedtimeout.demo.<command>``; what it writes to stderr goes to a file in `directory`."""
        log = directory / f"{name}.log"
        with log.open("wb") as errors:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                f"{__package__}.{command[0]}",
                *command[1:],
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                pass_fds=sockets,
                process_group=0,
            )
        return cls(name, process, log)

    async def end(self) -> str:
        """Ask it to end and wait until it has; returns what it wrote to stdout."""
        try:
            async with asyncio.timeout(PATIENCE):
                self._hang_up()
                await asyncio.shield(self.ended)
        finally:
            self.kill()
            await self.ended
        return await self._output

    def kill(self) -> None:
        """End it now, if it has not."""
        with contextlib.suppress(ProcessLookupError):
            if self._process.returncode is None:
                self._process.kill()

    def how(self) -> str:
        """How it ended, for a message."""
        return f"the process {self.name!r} ended by itself, with exit status {self._process.returncode}"

    def last_words(self, lines: int = 15) -> str:
        """The end of what it wrote to stderr."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def _hang_up(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()


async def _read(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    return (await process.stdout.read()).decode()

"""The demo's child processes: started, watched, ended."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from pathlib import Path

from tracedtimeout import timeout

GRACE = 8.0
"""Seconds in which a service that was asked to end does so, before it is killed."""


class ChildEndedError(Exception):
    """A child process ended that nobody had asked to."""


class Child:
    """A Python module that runs as a process of its own, in a process group of its own: Ctrl-C does not reach it."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.name: str = name
        self._process, self._log = process, log
        self._asked = False

    @classmethod
    async def start(cls, name: str, log: Path, *command: str, hand_on: socket.socket | None = None) -> Child:
        """Start ``python -m tracedtimeout.demo.run.<command>``; what it writes to stderr goes to `log`."""
        with log.open("wb") as errors:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", f"{__package__}.{command[0]}", *command[1:]),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                pass_fds=() if hand_on is None else (hand_on.fileno(),),
                process_group=0,
            )
        return cls(name, process, log)

    async def watch(self) -> None:
        """Return when the process has ended.

        Raises:
            ChildEndedError: the process ended by itself.
        """
        status = await self._process.wait()
        if not self._asked:
            ended = f"the process {self.name!r} ended by itself, with exit status {status}"
            raise ChildEndedError(f"{ended}\n{self.last_words()}".strip())

    async def end(self) -> str:
        """Ask the process to end and wait for the end; returns what it wrote to stdout."""
        self._asked = True
        told, _ = await self._process.communicate(b"")
        return told.decode()

    async def kill(self) -> None:
        """Kill the process, if it still runs."""
        self._asked = True
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()

    def last_words(self) -> str:
        """The last 15 lines that the process wrote to stderr."""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-15:])


class Family:
    """The child processes in a group of tasks, which fails when one of them ends by itself."""

    def __init__(self, folder: Path, watching: asyncio.TaskGroup) -> None:
        self.folder = folder
        self.children: list[Child] = []
        self._watching = watching

    async def start(self, name: str, *command: str, hand_on: socket.socket | None = None) -> Child:
        child = await Child.start(name, self.folder / f"{name}.log", *command, hand_on=hand_on)
        self.children.append(child)
        self._watching.create_task(child.watch())
        return child

    async def serve(self, name: str, listening: socket.socket, *arguments: str) -> None:
        await self.start(name, "serve", name, str(listening.fileno()), *arguments, hand_on=listening)

    async def end(self) -> None:
        """Ask all to end, and kill those that have not in time."""
        try:
            with contextlib.suppress(TimeoutError):
                async with timeout(GRACE, name="clean-up"):
                    await asyncio.gather(*(child.end() for child in self.children))
        finally:
            await self.kill()

    async def kill(self) -> None:
        await asyncio.gather(*(child.kill() for child in self.children))

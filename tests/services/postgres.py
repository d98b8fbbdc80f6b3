"""A PostgreSQL of the test's own, on a socket in a directory of its own."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import missing

USER = "postgres"
"""Who runs it where the tests are run by root, whom PostgreSQL refuses."""
PORT = "5432"  # names the socket: it listens on no address

QUICK = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "listen_addresses=", f"port={PORT}")


@dataclass(frozen=True, slots=True)
class Postgres:
    """Where it listens."""

    socket: str

    def url(self, driver: str) -> str:
        """As SQLAlchemy writes it."""
        return f"postgresql+{driver}://{USER}@/postgres?host={self.socket}&port={PORT}"

    @property
    def dsn(self) -> str:
        """As the drivers do."""
        return f"postgresql://{USER}@/postgres?host={self.socket}&port={PORT}"


@contextmanager
def postgres() -> Iterator[Postgres]:
    """It runs, empty, until the end of the block."""
    programs = _programs()
    where = Path(tempfile.mkdtemp(prefix="postgres-"))
    try:
        if os.getuid() == 0:
            shutil.chown(where, USER)
        _run(programs / "initdb", "-D", str(where / "data"), "-U", USER, "--auth=trust", "--no-sync", "-E", "UTF8")
        options = " ".join(f"-c {each}" for each in (*QUICK, f"unix_socket_directories={where}"))
        control = (programs / "pg_ctl", "-D", str(where / "data"), "-w", "-l", str(where / "log"))
        _run(*control, "-o", options, "start")
        try:
            yield Postgres(str(where))
        finally:
            _run(*control, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(where)


def _programs() -> Path:
    """The directory of its programs; Debian puts those of the server beside no others."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    program = shutil.which("initdb") or (found[-1] if found else missing("PostgreSQL", "apt-get install postgresql"))
    return Path(program).resolve().parent


def _run(program: Path, *arguments: str) -> None:
    account = pwd.getpwnam(USER) if os.getuid() == 0 else None
    ids: dict[str, Any] = (
        {} if account is None else {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    )
    # The output to a file: the server inherits it, and a pipe would be waited for until the server ends.
    with tempfile.TemporaryFile("w+") as output:
        ended = subprocess.run(
            [program, *arguments], stdout=output, stderr=output, stdin=subprocess.DEVNULL, cwd="/", check=False, **ids
        )
        output.seek(0)
        assert ended.returncode == 0, output.read()

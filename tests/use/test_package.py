"""The package as an index gets it: what the source distribution holds, and what it says of itself."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path, PurePosixPath

import pytest

from tests.support.pages import ROOT
from tracedtimeout import __version__


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> dict[PurePosixPath, bytes]:
    """The files of a source distribution that is built here, by their paths in it."""
    folder = tmp_path_factory.mktemp("sdist")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (archive,) = Path(folder).iterdir()
    with tarfile.open(archive) as files:
        found = {PurePosixPath(each.name): files.extractfile(each) for each in files}
        return {PurePosixPath(*path.parts[1:]): file.read() for path, file in found.items() if file is not None}


def test_it_has_no_pictures(sdist: dict[PurePosixPath, bytes]) -> None:
    """They are of pages that a repository shows."""
    assert [path for path in sdist if path.suffix in {".png", ".svg"}] == []


def test_it_has_what_a_packager_builds_and_tests(sdist: dict[PurePosixPath, bytes]) -> None:
    """The package, its tests and what they read, and the words about it all."""
    needed = [
        "tracedtimeout/py.typed",
        "tests/conftest.py",
        "docs/reference.md",
        "LICENSE",
        "CHANGELOG.md",
        "SECURITY.md",
    ]
    assert [path for path in needed if PurePosixPath(path) not in sdist] == []


def test_it_says_what_it_is(sdist: dict[PurePosixPath, bytes]) -> None:
    """Name, version, summary and the README stand in its metadata."""
    said: Message = HeaderParser().parsestr(sdist[PurePosixPath("PKG-INFO")].decode())
    assert (said["Name"], said["Version"]) == ("tracedtimeout", __version__)
    assert said["Summary"] == "asyncio timeouts that say who ran out of time"
    assert str(said.get_payload()).strip() == (ROOT / "README.md").read_text().strip()

"""What each server does with a request's deadline is what docs/servers.md says: real ones, on the real clock.

`granian` and `daphne` are tried where the extra `servers` is installed, which `.ci/servers` does.
"""

from __future__ import annotations

import asyncio
import traceback
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.services.servers import SERVERS, Running, installed, running

from . import behaviours, rpc_behaviours
from .behaviours import Behaviour
from .server_table import ITSELF, NEXT, cell, page

pytestmark = pytest.mark.slow
DOCS = Path(__file__).parents[2] / "docs" / "servers.md"


def dialogues(server: str) -> dict[str, Behaviour]:
    """Those that are tried with it."""
    known = rpc_behaviours.DIALOGUES if SERVERS[server].framework == "grpc" else behaviours.DIALOGUES
    return {name: dialogue for name, dialogue in known.items() if cell(server, name).seen}


@pytest.mark.long
@pytest.mark.parametrize("server", [name for name in SERVERS if installed(name)])
def test_a_server(server: str, tmp_path: Path) -> None:
    """It does what its row says, in dialogues that are held side by side: most of their time is waited for."""
    arguments = dialogues(server) if SERVERS[server].framework == "aiohttp" else ()
    with running(server, tmp_path / "log", *arguments) as ready:
        seen = asyncio.run(_all(ready))
    assert {name: found for name, found in seen.items() if found not in cell(server, name).seen} == {}


async def _all(server: Running) -> dict[str, str]:
    async def one(name: str, dialogue: Behaviour) -> tuple[str, str]:
        try:
            return name, await dialogue(server)
        except Exception:  # one that fails hides no other
            return name, traceback.format_exc()

    return dict(await asyncio.gather(*(one(*each) for each in dialogues(server.name).items())))


def test_every_cell_is_tried_or_has_a_reason() -> None:
    """No dialogue is left out in silence, and none that is tried is missing."""
    for server in SERVERS:
        assert all(cell(server, name).seen or cell(server, name).reason for name in {**NEXT, **ITSELF})
        assert set(dialogues(server)) == {name for name in {**NEXT, **ITSELF} if cell(server, name).seen}


def test_the_page_says_what_is_seen() -> None:
    """docs/servers.md has the tables that these tests hold the servers against."""
    text = DOCS.read_text()
    assert [part for part in page() if part not in text] == []


def test_the_servers_of_the_extra_are_there_together() -> None:
    """Half of the extra is a mistake of its installation."""
    assert len({find_spec(name) is None for name in ("daphne", "granian")}) == 1

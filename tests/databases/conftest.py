"""A PostgreSQL for all the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.services.postgres import Postgres, postgres


@pytest.fixture(scope="session")
def server() -> Iterator[Postgres]:
    """It is started by the first test that asks for it."""
    with postgres() as running:
        yield running

"""A PostgreSQL for all the tests of this folder.

In CI those that need the extra `databases` are not collected without it: `.ci/databases` installs it, and runs them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from tests.services.postgres import Postgres, postgres

_lacking = os.environ.get("CI") and not all(map(find_spec, ("asyncpg", "psycopg", "stamina")))
collect_ignore = ["test_cuts.py", "test_postgres.py", "test_stamina.py"] if _lacking else []


@pytest.fixture(scope="session")
def server() -> Iterator[Postgres]:
    """It is started by the first test that asks for it."""
    with postgres() as running:
        yield running

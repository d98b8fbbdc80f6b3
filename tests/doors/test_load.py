"""A server under mixed load answers every request as it should, and has nothing left of them: real time, loopback."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from tests.services.load import KINDS, NOTHING, load

TIMES = 6
"""Of each kind, in each round."""


@pytest.mark.slow
async def test_a_load_of_every_kind_leaves_nothing(tmp_path: Path) -> None:
    """Expiries, streams, uploads, threads, clean-ups and clients that go are answered, counted and gone, and one of the
    later rounds holds on to less than one block of memory for each of its requests. (A server is a process.)"""
    requests = TIMES * len(KINDS)
    rounds = await load(requests, 3, tmp_path / "log")
    for each in rounds:
        assert each.faults == {}
        assert Counter(kind for kind, _ in each.answered.elements()) == dict.fromkeys(KINDS, TIMES)
        assert each.left.items() >= NOTHING.items()
        assert each.left["ended"] == requests
    blocks = [each.left["blocks"] for each in rounds]
    assert min(later - earlier for earlier, later in pairwise(blocks)) < requests  # a pool's new thread takes some once

"""docs/comparison.md says what the cases answer, of every library that is here in the release that it compares."""

from __future__ import annotations

import pytest

from tracedtimeout.testing import run

from . import tables
from .libraries import LIBRARIES, Library, installed
from .requests import MIDDLEWARES, Middleware
from .watchers import WATCHED, by_ours

HERE = [each for each in LIBRARIES if installed(each.distribution)]
"""Never empty: ours and the standard library's. All of them are here in .ci/comparison."""


def column(table: str, head: str) -> tuple[str, ...]:
    """The cells beneath a head of a table of the page."""
    lines = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in tables.written()[table].splitlines()]
    place = lines[0].index(head) if head in lines[0] else [cell.strip() for cell in lines[0]].index(head)
    return tuple(line[place] for line in lines[2:])


@pytest.mark.parametrize("library", HERE, ids=lambda library: library.name)
def test_a_library_answers_as_the_page_says(library: Library) -> None:
    """Its column stands there, case by case."""
    assert tables.blocks_of(library) == column("blocks", library.name)


@pytest.mark.parametrize(
    "middleware", [each for each in MIDDLEWARES if installed(each.distribution)], ids=lambda each: each.name
)
def test_a_middleware_answers_as_the_page_says(middleware: Middleware) -> None:
    """Its column stands there, case by case."""
    assert tables.requests_of(middleware) == column("requests", middleware.name)


def test_our_instrumentor_answers_as_the_page_says() -> None:
    """Its outcomes stand there."""
    outcomes = tuple(by_ours(case, run) for case in WATCHED.values())
    assert outcomes == column("watched", "`TracedTimeoutInstrumentor`")

"""The generated tables of docs/comparison.md: rows are cases, columns are what is compared."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib import import_module

from tests.support.pages import ROOT
from tracedtimeout import remaining, timeout
from tracedtimeout.testing import run

from .blocks import CASES
from .libraries import LIBRARIES, Library, installed, pinned
from .requests import MIDDLEWARES, REQUESTS, Middleware, counted_by_instrumentator
from .watchers import WATCHED, by_opentelemetry, by_ours

PAGE = ROOT / "docs" / "comparison.md"

Row = tuple[str, ...]


def blocks_of(library: Library) -> Row:
    """One library's column: an answer to each case of a block."""
    return tuple(run(_answer(library, happens)) for happens in CASES)


async def _answer(library: Library, happens: str) -> str:
    return await CASES[happens](library, library.load())


def requests_of(middleware: Middleware) -> Row:
    """One middleware's column."""
    return tuple(run(_asked(middleware, happens)) for happens in REQUESTS)


async def _asked(middleware: Middleware, happens: str) -> str:
    return await REQUESTS[happens](middleware)


def given_by_budgets() -> Row:
    """The seconds that the next call is given with 10 ms left: by deadline-budget, and by ours."""
    theirs = import_module("deadline_budget").DeadlineBudget(total_seconds=0.01).timeout_for(cap=5.0)
    return f"{run(_given_by_ours()):.2f} s", f"{theirs:.2f} s"


async def _given_by_ours() -> float:
    async with timeout(0.01, name="case"):
        return min(5.0, remaining())


def rendered() -> dict[str, str]:
    """Each table as Markdown, by its name; needs every package of the extra."""
    watched = [(happens, by_ours(case, run), by_opentelemetry(case, run)) for happens, case in WATCHED.items()]
    return {
        "blocks": _across(CASES, [(each.name, blocks_of(each)) for each in LIBRARIES]),
        "requests": _across(REQUESTS, [(each.name, requests_of(each)) for each in MIDDLEWARES]),
        "counted": _table(
            ("what happens", "prometheus-fastapi-instrumentator"),
            [("a timeout around it cancels the request", run(counted_by_instrumentator()))],
        ),
        "watched": _table(("what happens", "`TracedTimeoutInstrumentor`", "OTel's `AsyncioInstrumentor`"), watched),
        "budgets": _table(
            ("what happens", "tracedtimeout", "deadline-budget"),
            [("10 ms are left: the next call, of 5 s at most, is given", *given_by_budgets())],
        ),
        "releases": _table(("package", "release"), sorted(pinned().items())),
    }


def _across(cases: Iterable[str], columns: list[tuple[str, Row]]) -> str:
    rows = zip(cases, *(answers for _, answers in columns), strict=True)
    return _table(("what happens", *(name for name, _ in columns)), rows)


def _table(heads: Row, rows: Iterable[Row]) -> str:
    lines = [heads, ("---",) * len(heads), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines).replace("| --- ", "|---").replace("|--- |", "|---|")


def written() -> dict[str, str]:
    """The tables that the page has now, by name."""
    found = re.findall(r"<!-- generated: (\w+) -->\n(.*?)<!-- end -->", PAGE.read_text(), re.DOTALL)
    return {name: table.strip("\n") + "\n" for name, table in found}


def put(tables: dict[str, str]) -> None:
    """Write tables into the page, each into its place."""
    text = PAGE.read_text()
    for name, table in tables.items():
        before, mark, rest = text.partition(f"<!-- generated: {name} -->\n")
        _, end, after = rest.partition("<!-- end -->")
        text = f"{before}{mark}\n{table}\n{end}{after}"
    PAGE.write_text(text)


def missing() -> list[str]:
    """The packages that are not here in the release that is compared."""
    return [f"{name}=={release}" for name, release in pinned().items() if not installed(name)]

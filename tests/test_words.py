"""Docstrings name the thing that they describe: a reader knows its subject by the first word."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.imports import PACKAGE

ROOT = PACKAGE.parent

OPENINGS = {"What", "Whether", "How", "Whose", "Who", "That", "Where", "When", "Why"}
"""A clause that opens so has no subject: not "What a source shows", but "The families of a source"."""

PRONOUNS = re.compile(
    r"(?:Those|These|This|They|It|Its|Ours|Them|The same|The one|Everything)\b|[A-Z][a-z]+ (?:it|its|them|those)\b"
)
"""An opening that leaves a reader to guess: not "It was entered", but "Note that the timeout was entered"."""

MODULES = [
    module
    for folder in ("tracedtimeout", "dashboards", "benchmarks")
    for module in sorted((ROOT / folder).rglob("*.py"))
]


def docstrings(module: Path) -> Iterator[str]:
    """The docstrings of a module, its classes, functions and fields."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.value.value.strip()


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_docstring_opens_with_its_subject(module: Path) -> None:
    """None opens with a word that asks, or with a pronoun; and who sends a request is a client, and no peer."""
    assert [text for text in docstrings(module) if text.partition(" ")[0] in OPENINGS or PRONOUNS.match(text)] == []
    assert re.findall(r"(?i).*(?<!legacy-)\bpeers?\b.*", module.read_text()) == []

"""Code blocks of the README and of the pages in docs, as they stand there, with what a comment above says of each.

A comment of HTML right above a block, which no reader sees, is about that block alone:

    <!-- code: skip, why it cannot run here and what tests it instead -->
    <!-- code: setup
    lines of Python that run before it: what the page takes for granted
    -->
    <!-- code: program, why it runs by itself, on the real clock -->
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tests.support.imports import PACKAGE

__all__ = ["ROOT", "Block", "blocks", "pages"]

ROOT = PACKAGE.parent

FENCE = re.compile(
    r"(?P<note><!-- code: (?:(?!-->).)*-->\n)?"
    r"^(?P<indent> *)```(?P<language>\w*)(?P<options>[^\n`]*)\n(?P<code>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Block:
    """One block of code of a page."""

    page: str
    """Its path from the root of the repository."""
    line: int
    """The first line of the code on its page, counted from 1."""
    language: str
    code: str
    title: str = ""
    """The name of the file that the code is, where the page gives one."""
    skip: str = ""
    """The reason why it does not run."""
    program: bool = False
    """It is a program of its own, and no part of the page's session."""
    setup: str = ""
    """Python that runs before it."""
    follows: bool = False
    """Nothing but blank lines stand between it and the block before: it is what that one shows."""


def pages() -> list[str]:
    """The paths of all pages from the root of the repository: the README, docs and what they link to."""
    top = [path for path in ROOT.glob("*.md") if path.name != "CHANGELOG.md"]
    found = [*top, *(ROOT / "docs").rglob("*.md"), ROOT / "dashboards" / "README.md"]
    return sorted(str(path.relative_to(ROOT)) for path in found)


def blocks(page: str) -> Iterator[Block]:
    """The blocks of a page, in order."""
    text = (ROOT / page).read_text()
    end = None
    for found in FENCE.finditer(text):
        kind, said = _note(found["note"] or "")
        if kind not in ("", "skip", "setup", "program"):
            raise ValueError(f"{page}: no block can be marked {kind!r}")
        indent = found["indent"]
        title = re.search(r'title="([^"]+)"', found["options"])
        yield Block(
            page=page,
            line=text.count("\n", 0, found.start("code")) + 1,
            language=found["language"],
            code=re.sub(rf"^{indent}", "", found["code"], flags=re.MULTILINE),
            title=title[1] if title else "",
            skip=said if kind == "skip" else "",
            program=kind == "program",
            setup=said if kind == "setup" else "",
            follows=end is not None and not text[end : found.start()].strip(),
        )
        end = found.end()


def _note(comment: str) -> tuple[str, str]:
    """A comment's first word, and what it says behind that."""
    found = re.fullmatch(r"<!-- code: (\w+)[,\s]\s*(.*?)\s*-->\n", comment, re.DOTALL)
    return (found[1], found[2]) if found else ("", "")

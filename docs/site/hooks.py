"""Hooks of MkDocs: pages and pictures that live outside of docs are part of the site, at the same paths."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mkdocs.structure.files import File

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]

OUTSIDE = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "dashboards/README.md", "dashboards/screenshots/*.png")


def outside() -> Iterator[str]:
    """The paths, from the root of the repository, of what the site takes from there."""
    for pattern in OUTSIDE:
        yield from sorted(str(path.relative_to(ROOT)) for path in ROOT.glob(pattern))


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """A page that is not written yet has no place in the navigation, and nothing to warn of."""
    there = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")} | set(outside())
    config.nav = _kept(config.nav, there)
    return config


def _kept(entries: Any, there: set[str]) -> Any:
    """The entries of a navigation whose pages are there, and the sections that still have one."""
    if isinstance(entries, str):
        return entries if entries in there else None
    if isinstance(entries, dict):
        found = {title: kept for title, below in entries.items() if (kept := _kept(below, there))}
    else:
        found = [kept for entry in entries if (kept := _kept(entry, there))]
    return found or None


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """What lives outside of docs joins the pages."""
    for path in outside():
        files.append(File.generated(config, path, abs_src_path=str(ROOT / path)))
    return files


def modules() -> dict[str, list[str]]:
    """The names of each public module, as the reference lists them; a test holds that list against the package."""
    reference = (ROOT / "docs" / "reference.md").read_text()
    sections = re.findall(r"^## `(tracedtimeout[\w.]*)`\n(.*?)(?=^## |\Z)", reference, re.MULTILINE | re.DOTALL)
    return {module: re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) for module, table in sections}


def _docstrings(module: str, names: list[str]) -> str:
    """What mkdocstrings puts the docstrings of a module in the place of."""
    if module == "tracedtimeout":  # it binds its names anew where it is switched off: read off the source, those count
        return "\n## tracedtimeout\n\n" + "".join(f"::: {origin}\n\n" for origin in _origins(names))
    options = f"{{show_root_heading: false, show_root_toc_entry: false, members: [{', '.join(names)}]}}"
    return f"\n## {module}\n\n::: {module}\n    options: {options}\n"


def _origins(names: list[str]) -> Iterator[str]:
    """Where the package's own names come from, but for the number of its version."""
    body = ast.parse((ROOT / "tracedtimeout" / "__init__.py").read_text()).body
    taken = {each.name: node.module for node in body if isinstance(node, ast.ImportFrom) for each in node.names}
    for name in names:
        if name in taken:
            yield f"tracedtimeout.{taken[name]}.{name}"


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links of the repository become links of the site, where `docs` is the root."""
    if page.file.src_uri == "api.md":
        markdown += "".join(_docstrings(module, names) for module, names in modules().items())
    if page.file.src_uri in outside():
        return re.sub(r"(\]\((?:\.\./)?)docs/", r"\1", markdown)
    up = "../" * page.file.src_uri.count("/")
    return re.sub(rf"(\]\(|(?:src|srcset|href)=\"){re.escape(up)}\.\./", rf"\1{up}", markdown)

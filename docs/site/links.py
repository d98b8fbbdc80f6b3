"""Checks the links of a built site, `python docs/site/links.py FOLDER`; counts those to other hosts, follows none."""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Found(HTMLParser):
    """The links and the anchors of a page."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.anchors: set[str] = set()
        self.feed(page.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if value and name in {"href", "src", "srcset"}:
                self.links.add(value)
            elif value and name in {"id", "name"}:
                self.anchors.add(value)


def dead(pages: dict[Path, Found]) -> list[str]:
    """What leads nowhere, each as the page and its link."""
    return [
        f"{page}: {link}"
        for page, found in pages.items()
        for link in sorted(found.links)
        if not _leads(page, link, pages)
    ]


def _leads(page: Path, link: str, pages: dict[Path, Found]) -> bool:
    """Whether there is something at the other end, anchor included."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return True
    target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    if target.is_dir():
        target /= "index.html"
    if not target.is_file():
        return False
    return not parts.fragment or target not in pages or unquote(parts.fragment) in pages[target].anchors


def main(folder: Path) -> int:
    pages = {page: Found(page) for page in sorted(folder.resolve().rglob("*.html")) if page.name != "404.html"}
    elsewhere = {link for found in pages.values() for link in found.links if urlsplit(link).netloc}
    found = dead(pages)
    sys.stdout.write("".join(f"{line}\n" for line in found))
    sys.stdout.write(f"{len(pages)} pages, {len(found)} dead links; {len(elsewhere)} to other hosts not followed\n")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

"""The README: its example says what stands beneath it; its links, and those of all pages, lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from tests.support.pages import ROOT, pages
from tracedtimeout.prometheus import metrics_app

README = (ROOT / "README.md").read_text()

RUN = """
import atexit, runpy, sys
from prometheus_client import generate_latest
atexit.register(lambda: print(generate_latest().decode()))
runpy.run_path(sys.argv[1], run_name="__main__")
"""


def blocks(language: str) -> list[str]:
    """The README's code blocks in a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def unmeasured(message: str) -> str:
    """A message without its numbers of seconds."""
    return re.sub(r"\d+\.\d{3} s", "s", message)


@pytest.mark.slow
def test_the_example_says_what_is_shown(tmp_path: Path) -> None:
    """Run as a program, it ends with the message beneath it, line number included, and counts the lines after that."""
    program = tmp_path / "shop.py"
    program.write_text(blocks("python")[0])
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(program)], capture_output=True, text=True, check=False, timeout=60
    )
    message, metrics = blocks("text")[:2]
    assert unmeasured(done.stderr.splitlines()[-1]) == unmeasured(message.rstrip("\n"))
    assert set(metrics.splitlines()) <= set(done.stdout.splitlines())


async def test_the_metrics_are_where_the_page_has_them() -> None:
    """Added as a route they answer at its very path; a mount sends a scraper on to the path with a slash."""
    telemetry = (ROOT / "docs" / "telemetry.md").read_text()
    assert '`app.routes.append(Route("/metrics", metrics_app()))`' in telemetry
    assert [await _status(path) for path in ("/metrics", "/mounted", "/mounted/")] == [200, 307, 200]


async def _status(path: str) -> int:
    app = Starlette()
    app.routes.append(Route("/metrics", metrics_app()))
    app.mount("/mounted", metrics_app())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop") as client:
        return (await client.get(path)).status_code


@pytest.mark.parametrize("page", [*pages(), "CHANGELOG.md"])
def test_links_lead_to_files_of_the_repository(page: str) -> None:
    """Each relative link and picture of a page is there, and so is the heading that it names."""
    targets = re.findall(r"\]\(([^)]+)|(?:src|srcset)=\"([^\"]+)", (ROOT / page).read_text())
    relative = [target for pair in targets for target in pair if target and "://" not in target]
    assert [target for target in relative if not _leads(ROOT / page, target)] == []


def _leads(page: Path, target: str) -> bool:
    """Whether a link of a page has a file at its other end, with its anchor."""
    path, _, anchor = target.partition("#")
    found = page.parent / path if path else page
    if not anchor:
        return found.exists()
    headings = re.findall(r"^#+ (.*)$", found.read_text(), re.MULTILINE)
    return anchor in {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}

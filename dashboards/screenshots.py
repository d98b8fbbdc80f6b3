"""Takes the pictures of the live page that the README shows, from the running demo: python -m dashboards.screenshots.

It needs the extra `test` and a Chromium: apt-get install chromium, or its path in CHROMIUM.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, sync_playwright

FOLDER = Path(__file__).parent / "screenshots"
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

SETTLE = 25_000
"""Milliseconds until the sparklines have something to show."""

SIZES = {"live": (1280, 1000), "live-narrow": (420, 1000)}


def main() -> None:
    """Write ``live-light.png``, ``live-dark.png`` and ``live-narrow-light.png``."""
    FOLDER.mkdir(exist_ok=True)
    with _demo() as shop, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        _take(browser, shop, "live", "light")
        _take(browser, shop, "live", "dark")
        _take(browser, shop, "live-narrow", "light")
        browser.close()


@contextmanager
def _demo() -> Iterator[str]:
    """The demo under load on a free port; its shop's URL, as it prints it."""
    command = [sys.executable, "-u", "-m", "tracedtimeout.demo", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        urls = (found[0] for line in process.stdout if (found := re.search(r"http://[\d.]+:\d+", line)))
        try:
            yield next(urls)
        finally:
            process.terminate()
            process.stdout.read()


def _take(browser: Browser, shop: str, name: str, scheme: Literal["light", "dark"]) -> None:
    width, height = SIZES[name]
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
    page.goto(f"{shop}/timeouts")
    page.wait_for_timeout(SETTLE)
    page.wait_for_selector("#flight tbody tr:nth-child(5)")
    page.screenshot(full_page=width > 1000, path=FOLDER / f"{name}-{scheme}.png")
    page.close()


if __name__ == "__main__":
    main()

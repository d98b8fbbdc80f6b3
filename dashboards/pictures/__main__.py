"""Draws the pictures of the dashboards and of a trace that the READMEs show: python -m dashboards.pictures.

The panels are drawn by Grafana's own components (@grafana/ui) from the dashboards' JSON, over a Prometheus that watches
the demo, in a Chromium without a window. It needs the extra `test`, Prometheus, Chromium, node and
``npm install --ignore-scripts --legacy-peer-deps`` in this folder.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Route, sync_playwright

from dashboards.screenshots import ARGUMENTS, CHROMIUM, FOLDER

from . import waterfall
from .collect import collect

HERE = Path(__file__).parent
MODULES = HERE / "node_modules"
PUBLIC = MODULES / "@grafana/ui/dist"
LABEL = (
    "Panels drawn by @grafana/ui 11.6.0 (heatmaps by this page) from the dashboard's JSON, "
    "over a Prometheus that watched the demo for 150 s. Not Grafana itself."
)
WIDTH, TOP = 1608, 1180
"""Pixels of a picture, and of the part of the overview that the project's README shows."""

SETTLE = 3_000
"""Milliseconds until every panel is drawn."""

BUNDLE = (
    "--bundle",
    "--format=esm",
    "--jsx=automatic",
    # As CommonJS: esbuild takes the default export of what their ESM imports for something else.
    "--alias:@grafana/ui=./node_modules/@grafana/ui/dist/cjs/index.cjs",
    "--alias:@grafana/data=./node_modules/@grafana/data/dist/cjs/index.cjs",
    '--define:process.env.NODE_ENV="production"',
    "--define:global=window",
    *(f"--loader:.{kind}=dataurl" for kind in ("svg", "woff", "woff2", "ttf")),
)

PAGE = """<!doctype html>
<html><head><meta charset="utf-8"><style>body {{margin: 0}}</style><link rel="stylesheet" href="page.css"></head>
<body><div id="root"></div>
<script>window.SHOWN = {shown}; window.MODE = {mode!r}; window.LABEL = {label!r};</script>
<script type="module" src="page.js"></script></body></html>
"""


def main() -> None:
    """Write a picture for each dashboard, dark and light, and one of a trace."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        asyncio.run(collect(folder))
        subprocess.run(
            [MODULES / ".bin/esbuild", "page.jsx", *BUNDLE, f"--outfile={folder}/page.js"], cwd=HERE, check=True
        )
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
            for shown in sorted(folder.glob("*.json")):
                _take(browser, shown, "dark")
            _take(browser, folder / "overview.json", "light")
            browser.close()
        asyncio.run(waterfall.draw(FOLDER / "trace.png", folder))


def _take(browser: Browser, shown: Path, mode: str) -> None:
    """A picture of the whole dashboard, and of the overview's top by itself."""
    page = browser.new_page(viewport={"width": WIDTH, "height": 1000})
    page.on("pageerror", lambda error: sys.exit(f"{shown.stem}: {error}"))
    html = PAGE.format(shown=shown.read_text(), mode=mode, label=LABEL)

    def serve(route: Route) -> None:
        path = route.request.url.removeprefix("http://pictures.test/")
        found = PUBLIC / path if path.startswith("public/") else shown.parent / path
        if path == "":
            route.fulfill(body=html, content_type="text/html")
        elif found.is_file():
            route.fulfill(path=found)
        else:
            route.fulfill(status=404)

    page.route("**/*", serve)
    page.goto("http://pictures.test/")
    page.wait_for_timeout(SETTLE)
    if mode == "dark":
        page.screenshot(full_page=True, path=FOLDER / f"{shown.stem}.png")
    if shown.stem == "overview":
        page.screenshot(
            full_page=True, clip={"x": 0, "y": 0, "width": WIDTH, "height": TOP}, path=FOLDER / f"overview-{mode}.png"
        )
    page.close()


if __name__ == "__main__":
    main()

"""The live page in a real browser: headless Chromium, against real servers, with a clock that cannot be virtual."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, async_playwright

from dashboards.screenshots import ARGUMENTS, CHROMIUM
from tests.services.asgi_servers import serving
from tests.support import missing
from tests.support.processes import shop
from tracedtimeout import timeout, wait_for
from tracedtimeout.live import live_app

EVIL = "<script>alert(1)</script>"

pytestmark = [pytest.mark.server, pytest.mark.slow]  # a browser has no virtual clock


@asynccontextmanager
async def _chromium() -> AsyncIterator[Browser]:
    if not shutil.which(CHROMIUM):
        missing("chromium", "apt-get install chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        yield browser
        await browser.close()


@asynccontextmanager
async def _opened(url: str, browser: Browser, **options: Any) -> AsyncIterator[Page]:
    """The page; what the console says, and every dialog, is an error when it is left."""
    context = await browser.new_context(**options)
    page = await context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    await page.goto(url)
    yield page
    await context.close()
    assert said == []


@asynccontextmanager
async def _served(**options: Any) -> AsyncIterator[Page]:
    """The live page of this process, in a browser."""
    app = live_app(every=0.1)
    async with serving(app) as url, _chromium() as browser, _opened(f"{url}/timeouts", browser, **options) as page:
        yield page
    app.close()


async def _expire(name: str, seconds: float) -> None:
    with suppress(TimeoutError):
        async with timeout(seconds, name=name):
            await wait_for(asyncio.sleep(60.0), 60.0, name="nested")


async def test_timeouts_appear_progress_and_expire() -> None:
    """A row comes when a timeout is entered, its bar grows, and it goes down as expired when it is."""
    async with _served() as page:
        assert await page.locator("#flight tbody").inner_text() == "Nothing is in flight."
        expiring = asyncio.create_task(_expire(EVIL, 3.0))
        row = page.locator("#flight tbody tr", has=page.locator("th", has_text=EVIL))
        bar = row.locator("progress")
        await row.wait_for()
        first = await bar.evaluate("bar => bar.value")
        await asyncio.sleep(0.5)
        assert await bar.evaluate("bar => bar.value") > first
        assert await page.locator("#flight .d1").inner_text() == "nested"
        await expiring
        ended = page.locator("#ended tbody tr", has=page.locator(".badge", has_text="expired"))
        await ended.wait_for()
        assert await ended.locator("th").inner_text() == EVIL
        assert (await ended.locator("td").nth(2).inner_text()).startswith(f"'{EVIL}' exceeded its 3.000 s deadline")
        assert "nested (unfinished)" in await ended.locator(".part").inner_text()
        await page.locator("#flight tbody tr", has_text="Nothing is in flight.").wait_for()
        assert await page.locator("#said").inner_text() != ""
        assert (
            await page.locator("#names tbody tr", has=page.locator("th", has_text=EVIL)).locator("td").last.inner_text()
            == "1 of 1"
        )


async def test_any_name_is_as_good_as_another() -> None:
    """A timeout may be called what the page calls a table with nothing in it."""
    async with _served() as page:
        async with timeout(60.0, name="none"):
            row = page.locator("#names tbody tr", has=page.locator("th", has_text="none"))
            await row.wait_for()
            assert await page.locator("#flight tbody th").all_inner_texts() == ["none"]
        await page.locator("#flight tbody tr", has_text="Nothing is in flight.").wait_for()
        assert await row.locator("td").last.inner_text() == "0 of 1"


async def test_without_javascript_it_is_a_plain_table() -> None:
    """What is open when it is asked for stands in the table, and it says how to ask again."""
    async with timeout(60.0, name=EVIL), _served(java_script_enabled=False) as page:
        assert await page.locator("#flight tbody th").all_inner_texts() == [EVIL]
        assert await page.locator("#flight progress").count() == 1
        assert await page.get_by_text("reload it").is_visible()
        assert not await page.locator("#pause").is_visible()


async def test_the_keyboard_pauses_it() -> None:
    """The first Tab stop is the pause: nothing changes until it is pressed again."""
    async with _served() as page:
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        assert await page.get_by_role("button", name="Pause", pressed=True).count() == 1
        async with timeout(60.0, name="unseen"):
            await asyncio.sleep(0.5)
            assert await page.get_by_text("unseen").count() == 0
            await page.keyboard.press("Enter")
            await page.locator("#flight tbody tr", has_text="unseen").wait_for()


async def test_screen_readers_find_tables_rows_and_news() -> None:
    """Tables have names, cells have headers, and what ran out of time is announced, narrow or not."""
    for width in (1280, 360):
        async with timeout(60.0, name="outer"), _served(viewport={"width": width, "height": 800}) as page:
            await page.locator("#flight tbody tr", has_text="outer").wait_for()
            names = [await page.get_by_role("table", name=name).count() for name in ("In flight", "By name")]
            assert names == [1, 1]
            assert await page.get_by_role("rowheader", name="outer").count() == 2
            assert await page.get_by_role("status").get_attribute("aria-live") == "polite"


async def test_light_dark_and_narrow() -> None:
    """The reader's scheme decides the colours, which can be told apart, and nothing overflows a telephone."""
    for scheme in ("light", "dark"):
        async with timeout(60.0, name="n" * 150), _served(color_scheme=scheme) as page:
            await page.set_viewport_size({"width": 360, "height": 800})
            await page.locator("#flight tbody tr", has_text="nnn").wait_for()
            back, front = await page.evaluate(
                "[getComputedStyle(document.body)].map(s => [s.backgroundColor, s.color])[0]"
            )
            assert (back, front) == _COLOURS[scheme]
            assert await page.evaluate("document.scrollingElement.scrollWidth") <= 360


_COLOURS = {
    "light": ("rgb(255, 255, 255)", "rgb(27, 31, 36)"),
    "dark": ("rgb(20, 24, 29)", "rgb(230, 234, 238)"),
}


READERS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "narrow": {"viewport": {"width": 360, "height": 800}},
    "no script": {"java_script_enabled": False},
}


@pytest.mark.long
async def test_the_demo_shows_its_own_to_everybody(tmp_path: Path) -> None:
    """Under load the demo's page has bars that grow, messages of what expired, and sparklines, for all readers."""
    async with shop(tmp_path, load=True) as services, _chromium() as browser:
        for reader, options in READERS.items():
            async with _opened(f"http://{services.shop}/timeouts", browser, **options) as page:
                await _bar_grows(page, reload=reader == "no script")
                await page.locator("#ended tbody td", has_text="exceeded its").first.wait_for()
                await page.locator('#names polyline[points*=" "]').first.wait_for(state="attached")
                if reader == "narrow":
                    assert await page.evaluate("document.scrollingElement.scrollWidth") <= 360


async def _bar_grows(page: Page, *, reload: bool) -> None:
    """Wait until a nested timeout that was in flight at one look has used more of its budget at the next."""
    before: dict[str, float] = {}
    for _ in range(200):
        bars = page.locator("#flight tbody tr:has(.d1) progress")
        now = dict(await bars.evaluate_all("bars => bars.map(bar => [bar.closest('tr').dataset.key, bar.value])"))
        if any(value > before.get(key, 1.0) for key, value in now.items()):
            return
        before = now
        await asyncio.sleep(0.1)
        if reload:
            await page.reload()
    pytest.fail("no bar grew")

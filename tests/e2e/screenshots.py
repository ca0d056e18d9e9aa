"""Pictures of every page, light, dark and narrow, of a console fed by a real engine: `make screenshots`."""

import argparse
import asyncio
import tempfile
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page

from aiops.engine.engine import Engine
from aiops.engine.messages import Remediate
from aiops.store import silences
from tests.browser import chromium, missing_browser, served, session_cookie
from tests.world import HOUR, NOW, config_in, refusing, running, settled

PAGES = {
    "now": "/",
    "problem-active": "/problems/3",
    "problem-predicted": "/problems/5",
    "problem-resolved": "/problems/1",
    "problem-alike": "/problems/4",
    "problem-menu": "/problems/3#menu",
    "problems": "/problems",
    "alerts": "/alerts",
    "series": "/series",
    "series-found": "/series?q=host_filesystem_free_ratio",
    "runs": "/runs",
    "run": "/runs/1",
    "deliveries": "/deliveries",
    "delivery": "/deliveries/2",
    "silences": "/silences",
    "sources": "/sources",
    "patterns": "/patterns",
    "series-one": "/series?q=checkout_error_ratio#first",
    "uplift": "/uplift",
    "run-dry": "/runs/2",
    "times": "/alerts#times",
    "topology": "/topology",
    "ledger": "/ledger",
    "audit": "/audit",
    "settings": "/settings",
    "access": "/access",
    "problem-log": "/alerts?q=log_error_lines#first",
    "sign-in": "/sign-in",
}
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light", "viewport": {"width": 1280, "height": 860}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1280, "height": 860}},
    "narrow": {"color_scheme": "light", "viewport": {"width": 360, "height": 760}},
    "chinese": {"color_scheme": "light", "viewport": {"width": 1280, "height": 860}, "locale": "zh-CN"},
}


async def shoot(page: Page, url: str, target: Path) -> None:
    """One page, once its charts are drawn, in its whole length."""
    await page.goto(url, wait_until="networkidle")
    await page.wait_for_timeout(250)
    if url.endswith("#menu"):
        await page.locator("#menu-more > summary").click()
        await page.locator("#fold-mark > summary").click()
    if url.endswith("#first"):
        await page.locator("tbody a").first.click()
        await page.locator(".plot canvas").wait_for()
    if url.endswith("#times"):
        await page.locator("#times summary").click()
    wide = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    if wide > 0:
        print(f"{target.name}: {wide} px wider than the screen")
    await page.screenshot(path=target, full_page=True)


async def looks(browser: Browser, engine: Engine, url: str, folder: Path, only: str) -> None:
    cookie = await session_cookie(engine, url)
    for look, options in LOOKS.items():
        context = await browser.new_context(**options, device_scale_factor=1)
        page = await context.new_page()
        page.on("console", lambda said: print(f"console: {said.text}"))
        page.on("pageerror", lambda why: print(f"error: {why}"))
        await context.add_cookies([cookie])
        for name, path in PAGES.items():
            if only in name:
                await shoot(page, url + path, folder / f"{name}-{look}.png")
        await context.close()


async def main(folder: Path, only: str) -> None:
    async with chromium() as browser:
        with tempfile.TemporaryDirectory() as scratch:
            config = config_in(Path(scratch))
            refusing(config, "pager", "401: the key is not known")
            async with running(config, again=True) as engine, served(engine) as url:
                await engine.db.run(
                    lambda conn: silences.create(
                        conn,
                        match='{service="search"}',
                        starts=NOW - 600,
                        ends=NOW + 2 * HOUR,
                        reason="reindexing",
                        by="ana",
                        at=NOW - 600,
                    )
                )
                # a person asks for what was only planned: it then waits for approval
                await engine.tell(Remediate(5, "ana", "trim-cache"))
                await settled(engine)
                await looks(browser, engine, url, folder, only)
        if only in "now-calm":
            await calm(browser, folder)


async def calm(browser: Browser, folder: Path) -> None:
    """Now, when nothing is wrong."""
    with tempfile.TemporaryDirectory() as scratch:
        async with running(config_in(Path(scratch), limits=[]), live=120) as engine, served(engine) as url:
            for look, options in LOOKS.items():
                context = await browser.new_context(**options, device_scale_factor=1)
                await shoot(await context.new_page(), url, folder / f"now-calm-{look}.png")
                await context.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("screenshots"))
    parser.add_argument("--only", default="", help="part of a page's name")
    asked = parser.parse_args()
    if why := missing_browser():
        raise SystemExit(why)
    asked.folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(main(asked.folder, asked.only))

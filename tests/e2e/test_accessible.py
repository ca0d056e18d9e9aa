"""Every page of the console before axe-core: both themes, both languages, a desk and a phone."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from aiops.engine.engine import Engine
from tests import axe
from tests.browser import chromium, missing_browser, served, session_cookie
from tests.world import config_in, refusing, running

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(bool(missing_browser()), reason=missing_browser()),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("browser"),
]
PAGES = [
    "/",
    "/problems",
    "/problems/2",
    "/problems/3",
    "/problems/4",
    "/alerts",
    "/alerts/1",
    "/series",
    "/runs",
    "/runs/1",
    "/deliveries",
    "/deliveries/1",
    "/silences",
    "/sources",
    "/patterns",
    "/topology",
    "/ledger",
    "/audit",
    "/settings",
    "/access",
    "/sign-in",
    "/nowhere",
]
LOOKS = {
    "light, English, desk": ("light", "en", 1280),
    "dark, Chinese, phone": ("dark", "zh", 360),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Engine]:
    config = config_in(tmp_path_factory.mktemp("axe"))
    refusing(config, "pager", "401: the key is not known")
    async with running(config) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as made:
        yield made


@pytest.fixture(scope="module")
def script() -> str:
    try:
        return axe.source()
    except RuntimeError as why:
        pytest.skip(f"axe-core is not to be had: {why}")


@pytest.mark.parametrize("look", list(LOOKS))
async def test_axe_finds_nothing(engine: Engine, browser: Browser, script: str, look: str) -> None:
    scheme, language, width = LOOKS[look]
    found = {}
    async with served(engine) as url:
        context = await browser.new_context(
            color_scheme=scheme,  # type: ignore[arg-type]
            locale=language,
            viewport={"width": width, "height": 800},
            reduced_motion="reduce",
        )
        await context.add_cookies([await session_cookie(engine, url)])  # type: ignore[list-item]
        page = await context.new_page()
        for path in PAGES:
            await page.goto(url + path, wait_until="load")
            assert await page.locator("html").get_attribute("lang") == ("zh-CN" if language == "zh" else "en")
            if faults := await axe.faults(page, script):
                found[path] = faults
            over = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            assert await page.evaluate(over) <= 0, path
        await context.close()
    assert not found, "\n".join(f"{path}: {one}" for path, faults in found.items() for one in faults)

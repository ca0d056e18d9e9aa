"""Every page of the console before axe-core: both themes, both languages, a desk and a phone."""

import pytest
from playwright.async_api import Browser

from aiops.engine.engine import Engine
from tests import axe
from tests.browser import missing_browser, served, session_cookie
from tests.pages import PAGES

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(bool(missing_browser()), reason=missing_browser()),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("browser"),
]
LOOKS = {
    "light, English, desk": ("light", "en", 1280),
    "dark, Chinese, phone": ("dark", "zh", 360),
}


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
        for path in [*PAGES, "/nowhere"]:
            await page.goto(url + path, wait_until="load")
            assert await page.locator("html").get_attribute("lang") == ("zh-CN" if language == "zh" else "en")
            if faults := await axe.faults(page, script):
                found[path] = faults
            over = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            assert await page.evaluate(over) <= 0, path
        await context.close()
    assert not found, "\n".join(f"{path}: {one}" for path, faults in found.items() for one in faults)

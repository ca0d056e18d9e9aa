"""The console in a real Chromium, fed by a real engine: charts, live parts, what is refused or away."""

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, expect

from aiops.engine.engine import Engine
from aiops.engine.messages import Comment
from tests.browser import missing_browser, session_cookie
from tests.world import settled, token_of

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(bool(missing_browser()), reason=missing_browser()),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("browser"),
]


@pytest_asyncio.fixture(loop_scope="module")
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    made = await browser.new_context(viewport={"width": 1280, "height": 800})
    yield made
    await made.close()


@pytest_asyncio.fixture(loop_scope="module")
async def page(context: BrowserContext) -> AsyncIterator[Page]:
    """A page whose console stays silent: no script error, nothing that the policy refused."""
    made = await context.new_page()
    said: list[str] = []
    made.on("pageerror", lambda why: said.append(str(why)))
    made.on("console", lambda line: said.append(line.text) if line.type in ("error", "warning") else None)
    yield made
    assert said == []


async def signed_in(page: Page, engine: Engine, url: str) -> None:
    await page.context.add_cookies([await session_cookie(engine, url)])  # type: ignore[list-item]


async def polled(page: Page) -> None:
    """Wait for the next refresh of the live part."""
    async with page.expect_response(lambda answer: answer.request.headers.get("hx-request") == "true"):
        pass
    await page.wait_for_timeout(100)


async def drawn(page: Page) -> int:
    """Wait until every chart is; how many there are."""
    charts = await page.locator(".plot").count()
    assert charts > 2
    await expect(page.locator(".plot canvas")).to_have_count(charts)
    await page.wait_for_timeout(200)
    return charts


async def test_charts_are_drawn_aligned_and_read_together(page: Page, url: str) -> None:
    await page.goto(f"{url}/problems/3")
    charts = await drawn(page)
    over = page.locator(".plot .u-over").first
    await over.scroll_into_view_if_needed()
    box = await over.bounding_box()
    assert box
    await page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + 20)
    readings = page.locator(".plot .reading:visible")
    await expect(readings).to_have_count(charts)
    times = {text[:8] for text in await readings.all_inner_texts()}
    assert len(times) == 1
    assert "expected" in await readings.first.inner_text()


async def test_zooming_one_chart_zooms_all_and_survives_a_refresh(page: Page, url: str) -> None:
    await page.goto(f"{url}/problems/3")
    over = page.locator(".plot .u-over").first
    await drawn(page)
    ticks = "() => [...document.querySelectorAll('.plot')].map(p => p.querySelector('canvas').toDataURL())"
    before = await page.evaluate(ticks)
    await over.scroll_into_view_if_needed()
    box = await over.bounding_box()
    assert box
    await page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 30)
    await page.mouse.down()
    await page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + 40, steps=4)
    await page.mouse.up()
    await page.wait_for_timeout(200)
    zoomed = await page.evaluate(ticks)
    assert all(a != b for a, b in zip(before, zoomed, strict=True))
    await page.wait_for_timeout(5500)
    assert await page.evaluate(ticks) == zoomed
    await page.mouse.dblclick(box["x"] + 100, box["y"] + 40)
    await page.wait_for_timeout(300)
    assert await page.evaluate(ticks) != zoomed


async def test_a_refresh_keeps_what_a_person_is_at(page: Page, engine: Engine, url: str) -> None:
    await signed_in(page, engine, url)
    await page.goto(f"{url}/problems/3")
    await drawn(page)
    await page.evaluate("document.querySelector('.plot canvas').dataset.mine = 'yes'")
    await page.locator("#comment textarea").fill("half a thou")
    await page.locator("#menu-resolve summary").click()
    await page.locator("#menu-resolve textarea").fill("half a note")
    await page.evaluate("window.scrollTo(0, 300)")
    await polled(page)
    await polled(page)
    assert await page.evaluate("window.scrollY") == 300
    assert await page.locator("#comment textarea").input_value() == "half a thou"
    await expect(page.locator("#menu-resolve textarea")).to_be_visible()
    await expect(page.locator("#menu-resolve textarea")).to_be_focused()
    assert await page.locator("#menu-resolve textarea").input_value() == "half a note"
    assert await page.locator("[data-mine=yes]").count() == 1


async def test_charts_move_in_step_by_keys_and_the_address_shows_the_same(page: Page, url: str) -> None:
    await page.goto(f"{url}/problems/3")
    count = await drawn(page)
    labels = (
        "() => [...document.querySelectorAll('.plot')].map((one) => one.getAttribute('aria-label')).length"
    )
    assert await page.evaluate(labels) == count
    await page.locator(".plot").first.focus()
    await page.keyboard.press("+")
    await expect(page).to_have_url(re.compile(r"#t=\d+-\d+$"))
    near = page.url
    await page.keyboard.press("ArrowLeft")
    await expect(page).not_to_have_url(near)
    moved = page.url
    await page.reload()
    await drawn(page)
    await page.wait_for_timeout(300)
    assert page.url == moved
    await page.locator(".plot").first.focus()
    await page.keyboard.press("0")
    await expect(page).to_have_url(f"{url}/problems/3")


async def test_what_happens_is_shown_at_once(page: Page, engine: Engine, url: str) -> None:
    await page.goto(f"{url}/problems/2")
    await page.wait_for_timeout(500)
    note = f"seen at {id(page)}"
    await engine.tell(Comment(2, "bo", note))
    await expect(page.locator(".timeline")).to_contain_text(note, timeout=4500)


async def test_sign_in_acknowledge_comment_and_approve(page: Page, engine: Engine, url: str) -> None:
    await page.goto(f"{url}/problems/3")
    await page.get_by_role("link", name="Sign in to act").first.click()
    await page.get_by_label("Token").fill(await token_of(engine, "dora"))
    await page.get_by_role("button", name="Sign in").click()
    await expect(page).to_have_url(f"{url}/problems/3")

    await page.get_by_role("button", name="Acknowledge").click()
    await expect(page.locator("#notice")).to_have_text("Acknowledged")
    await expect(page.get_by_role("button", name="Acknowledge")).to_have_count(0)
    await expect(page.locator(".facts")).to_contain_text("dora")

    await page.locator("#comment textarea").fill("<img src=x onerror=alert(1)> it is the pool")
    await page.get_by_role("button", name="Comment").click()
    await expect(page.locator(".timeline")).to_contain_text("<img src=x onerror=alert(1)> it is the pool")
    assert await page.locator("#comment textarea").input_value() == ""

    await page.get_by_role("button", name="Approve").click()
    await expect(page.locator("#notice")).to_have_text("Approved")
    await expect(page.get_by_role("button", name="Approve")).to_have_count(0)
    await expect(page.locator("section.run")).to_contain_text("approved by dora")


async def test_a_problem_is_resolved_with_a_note(page: Page, engine: Engine, url: str) -> None:
    await signed_in(page, engine, url)
    await page.goto(f"{url}/problems/2")
    await page.locator("#menu-resolve summary").click()
    await page.locator("#menu-resolve textarea").fill("old logs removed")
    await page.locator("#menu-resolve").get_by_role("button", name="Resolve").click()
    await expect(page.locator("#notice")).to_have_text("Resolved")
    await expect(page.locator(".head .pill").first).to_have_text("resolved")
    await expect(page.locator(".timeline")).to_contain_text("old logs removed")
    await settled(engine)


async def test_what_is_refused_is_said(context: BrowserContext, engine: Engine, url: str) -> None:
    page = await context.new_page()
    await signed_in(page, engine, url)
    await page.goto(f"{url}/problems/4")
    await page.evaluate("document.querySelectorAll('[name=csrf]').forEach((f) => { f.value = 'wrong' })")
    async with page.expect_response(lambda answer: answer.status == 403):
        await page.get_by_role("button", name="Acknowledge").click()
    await expect(page.locator("#notice")).to_contain_text("out of date")


async def test_series_are_searched_while_typing(page: Page, engine: Engine, url: str) -> None:
    await page.goto(f"{url}/series")
    await expect(page.locator("tbody tr")).to_have_count(len(engine.index))
    await page.locator("#series-q").press_sequentially("free /var", delay=20)
    await expect(page.locator("tbody tr")).to_have_count(1)
    await expect(page.locator("#series-q")).to_be_focused()
    assert await page.locator("#series-q").input_value() == "free /var"
    await expect(page).to_have_url(re.compile(r"q=free"))
    await page.locator("tbody a").click()
    await expect(page.locator(".plot canvas")).to_have_count(1)


async def test_menus_open_within_a_phone(page: Page, engine: Engine, url: str) -> None:
    await signed_in(page, engine, url)
    await page.set_viewport_size({"width": 360, "height": 740})
    await page.goto(f"{url}/problems/3", wait_until="networkidle")
    for menu in ("assign", "resolve", "more"):
        await page.locator(f"#menu-{menu} > summary").click()
        box = await page.locator(f"#menu-{menu} > :not(summary)").bounding_box()
        assert box
        assert box["x"] >= 0, menu
        assert box["x"] + box["width"] <= 360, menu
        await page.keyboard.press("Escape")


async def test_an_engine_that_is_away_is_said_and_comes_back(context: BrowserContext, url: str) -> None:
    page = await context.new_page()
    await page.goto(url)
    await context.set_offline(True)
    await expect(page.locator("#notice")).to_contain_text("does not answer", timeout=8000)
    await context.set_offline(False)
    await expect(page.locator("#notice")).to_have_text("The engine is back", timeout=8000)

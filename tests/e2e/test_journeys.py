"""What people come to the console for, from sign-in to audit: in both languages and both themes.

One engine, one browser, one page for each look; the journeys go on from one another, as a shift does.
"""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, expect

from aiops.engine.engine import Engine
from aiops.web.language import catalogue
from tests.browser import missing_browser
from tests.world import token_of

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(bool(missing_browser()), reason=missing_browser()),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("browser"),
]
LOOKS = {"light, English": ("light", "en", 1280), "dark, Chinese, phone": ("dark", "zh", 360)}


@dataclass
class Shift:
    """A person at work: signed in, with one page, in one language."""

    page: Page
    url: str
    language: str
    engine: Engine

    def _(self, text: str) -> str:
        return catalogue(self.language).gettext(text)

    async def to(self, path: str) -> None:
        await self.page.goto(f"{self.url}{path}", wait_until="load")

    def button(self, name: str, within: str = "#main") -> Locator:
        return self.page.locator(within).get_by_role("button", name=self._(name), exact=True)

    async def said(self, text: str) -> None:
        await expect(self.page.locator("#notice")).to_have_text(self._(text))

    async def problem(self, **narrow: str) -> int:
        """The newest problem that fits, by the API."""
        answer = await self.page.request.get(f"{self.url}/api/v1/problems", params=narrow)  # type: ignore[arg-type]
        return int((await answer.json())["items"][0]["id"])


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=list(LOOKS))
async def shift(
    request: pytest.FixtureRequest, engine: Engine, url: str, browser: Browser
) -> AsyncIterator[Shift]:
    """Signs in through the form. Not one script error, and nothing that the policy refused, in all of it."""
    scheme, language, width = LOOKS[request.param]
    context = await browser.new_context(
        color_scheme=scheme,  # type: ignore[arg-type]
        locale="zh-CN" if language == "zh" else "en-GB",
        timezone_id="Asia/Shanghai" if language == "zh" else "Europe/Berlin",
        viewport={"width": width, "height": 800},
        reduced_motion="reduce",
        permissions=["clipboard-read", "clipboard-write"],
    )
    page = await context.new_page()
    page.set_default_timeout(15_000)
    wrong: list[str] = []
    page.on("pageerror", lambda why: wrong.append(str(why)))
    page.on("console", lambda line: wrong.append(line.text) if line.type == "error" else None)
    made = Shift(page, url, language, engine)
    await made.to("/sign-in?next=/")
    await page.get_by_label(made._("Token"), exact=True).fill(await token_of(engine, f"dora-{language}"))
    await page.get_by_role("button", name=made._("Sign in"), exact=True).last.click()
    await expect(page).to_have_url(f"{url}/")
    yield made
    await context.close()
    assert wrong == []


async def test_the_most_urgent_comes_first_and_says_why(shift: Shift) -> None:
    page = shift.page
    await shift.to("/")
    await page.keyboard.press("j")
    first = page.locator(".problem .row").first
    await expect(first).to_be_focused()
    await expect(first).to_contain_text(f"{shift._('Likely cause')}: checkout")
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile(r"/problems/\d+$"))
    headline = {"en": "Users notice: checkout errors is", "zh": "用户已受影响：checkout errors 为"}
    await expect(page.locator("h1")).to_contain_text(headline[shift.language])
    await expect(page.locator(".causes li").first).to_contain_text("checkout")
    await expect(page.locator(".map a").first).to_be_visible()
    charts = await page.locator(".plot").count()
    assert charts >= 3
    await expect(page.locator(".plot canvas")).to_have_count(charts)


async def test_it_is_taken_talked_about_and_let_sleep(shift: Shift) -> None:
    page = shift.page
    await shift.to(f"/problems/{await shift.problem(label='host=db-2')}")
    if shift.language == "en":
        await shift.button("Acknowledge").click()
        await shift.said("Acknowledged")
        await expect(page.locator(".facts")).to_contain_text("dora-en")
    said = f"<b>the import</b> of {shift.language}"
    await page.locator("#comment textarea").fill(said)
    await shift.button("Comment").click()
    await expect(page.locator(".timeline")).to_contain_text(said)
    await page.locator("#menu-snooze summary").click()
    await page.locator("#form-snooze input[type=radio]").nth(1).check()
    await page.locator("#form-snooze button").click()
    await shift.said("Snoozed")
    await shift.button("Wake").click()
    await shift.said("Awake")


async def test_it_is_judged_in_words(shift: Shift) -> None:
    page = shift.page
    await shift.to(f"/problems/{await shift.problem(label='service=checkout')}")
    await page.locator("#menu-more > summary").click()
    await page.locator("#fold-mark summary").click()
    await page.locator("#fold-mark input[value=true]").check()
    await page.locator("#form-mark textarea").fill(f"seen in {shift.language}")
    await page.locator("#form-mark button").click()
    await shift.said("Marked")
    await expect(page.locator("aside .others").last).to_contain_text(f"seen in {shift.language}")


async def test_a_playbook_is_planned_asked_for_and_decided_in_the_inbox(shift: Shift) -> None:
    page = shift.page
    ident = await shift.problem(label="service=search")
    await shift.to(f"/problems/{ident}")
    if shift.language == "en":
        await page.locator("#menu-remediate > summary").click()
        await expect(page.locator(".plans code").first).to_contain_text("trim-cache --keep 7d")
        await page.locator("#form-remediate > button").click()
        await shift.said("Asked for")
        await shift.to("/runs")
        card = page.locator("section.run", has_text="trim-cache")
        await card.locator("input[name=note]").fill("not before the backup")
        await card.locator(".refuse button").click()
        await expect(page).to_have_url(f"{shift.url}/problems/{ident}")
        await expect(page.locator(".timeline")).to_contain_text("not before the backup")
        return
    await shift.to("/runs")
    card = page.locator("section.run", has_text="restart-checkout")
    await expect(card).to_contain_text("执行 /bin/true --graceful checkout")
    await card.locator("button.primary").click()
    await expect(page).to_have_url(re.compile(r"/problems/\d+$"))
    await expect(page.locator(".timeline")).to_contain_text("由 dora-zh 批准")


async def test_charts_are_read_by_keys_and_a_link_shows_the_same(shift: Shift) -> None:
    page = shift.page
    await shift.to(f"/problems/{await shift.problem(label='service=checkout')}")
    await expect(page.locator(".plot canvas").first).to_be_visible()
    await page.locator(".plot").first.focus()
    await page.keyboard.press("+")
    await expect(page).to_have_url(re.compile(r"#t=\d+-\d+$"))
    near = page.url
    await page.goto("about:blank")
    await page.goto(near)
    await expect(page.locator(".plot canvas").first).to_be_visible()
    await page.locator(".plot").first.focus()
    assert page.url == near
    await page.keyboard.press("0")
    await expect(page).not_to_have_url(re.compile("#"))


async def test_a_series_is_found_understood_and_silenced(shift: Shift) -> None:
    page = shift.page
    await shift.to("/series")
    await page.locator("#series-q").press_sequentially("free /var", delay=10)
    await expect(page.locator("tbody tr")).to_have_count(1)
    await page.locator("tbody a").first.click()
    await expect(page.locator(".plot canvas")).to_have_count(1)
    await expect(page.locator("[id^=flagged-]").first).to_be_visible()
    await page.locator(".actions a").click()
    await expect(page.locator("input[name=match]")).to_have_value(re.compile("/var"))
    await page.locator("input[name=reason]").fill(f"moved, says {shift.language}")
    await shift.button("Silence").click()
    row = page.locator("tr", has_text=f"moved, says {shift.language}")
    await expect(row).to_contain_text(shift._("active"))
    await row.get_by_role("button").click()
    await expect(row).to_contain_text(shift._("expired"))


async def test_a_dead_letter_is_sent_again(shift: Shift) -> None:
    page = shift.page
    await shift.to("/deliveries?state=dead")
    await page.locator("tbody .subject a").first.click()
    await expect(page.locator("tbody tr").first).to_contain_text("401: the key is not known")
    async with page.expect_response(lambda answer: answer.request.method == "POST"):
        await shift.button("Send again").click()
    # the sink may have refused it again by now: what was asked for stands in the audit
    name = f"dora-{shift.language}"
    await shift.to(f"/audit?entity=delivery&actor={name}")
    said = {"en": f"replayed by {name}", "zh": f"由 {name} 重新发送"}
    await expect(page.locator("tbody tr").first).to_contain_text(said[shift.language])


async def test_a_change_of_settings_is_checked_before_it_is_taken_up(shift: Shift) -> None:
    page = shift.page
    await shift.to("/settings")
    field = page.locator("textarea.yaml")
    await field.fill("sources:\n  - {kind: host, evry: 2s}\n")
    await shift.button("Check").click()
    await expect(page.locator(".complaints")).to_contain_text("evry")
    await field.fill("sources:\n  - {kind: host, every: 2s}\n")
    await shift.button("Check").click()
    await expect(page.get_by_text(shift._("It would be taken up."))).to_be_visible()
    await expect(page.locator(".diff .plus", has_text="kind: host").last).to_be_visible()


async def test_a_token_is_made_and_revoked_and_the_audit_knows(shift: Shift) -> None:
    page = shift.page
    await shift.to("/access")
    name = f"deploy job {shift.language}"
    form = page.locator("form[action='/access/tokens']")
    await form.locator("input[name=name]").fill(name)
    await form.locator("input[name=duration]").fill("30d")
    await form.get_by_role("button").click()
    await expect(page.locator(".secret")).to_have_text(re.compile(r"fw_\w{43}"))
    row = page.locator("tr", has_text=name)
    await row.get_by_role("button").click()
    await expect(page.locator("tr", has_text=name)).to_have_count(0)
    await shift.to(f"/audit?entity=token&actor=dora-{shift.language}")
    await expect(page.locator("tbody tr").first).to_contain_text(shift._("revoked"))


async def test_times_and_language_are_the_readers_own(shift: Shift) -> None:
    page = shift.page
    # the world's clock stands at 16:00 UTC
    hours = {"en": "Europe/Berlin", "zh": "Asia/Shanghai"}
    await shift.to("/alerts")
    await expect(page.locator("#times summary")).to_have_attribute(
        "aria-label", re.compile(hours[shift.language])
    )
    await page.locator("#times summary").click()
    await page.locator("#times input[value=absolute]").check()
    await page.locator("#times input[name=zone]").fill("America/New_York")
    await page.locator("#times button").click()
    await expect(page).to_have_url(f"{shift.url}/alerts")
    await expect(page.locator("tbody time").first).to_have_text(re.compile(r"^2026-01-09 1[01]:\d\d:\d\d$"))
    other, title = {"en": ("简体中文", "告警"), "zh": ("English", "Alerts")}[shift.language]
    await page.get_by_role("link", name=other).click()
    await expect(page.locator("h1")).to_have_text(title)
    await shift.to(f"/language/{shift.language}?next=/alerts")
    await shift.to("/times?style=relative")
    await expect(page).to_have_url(f"{shift.url}/")


async def test_it_is_printed_and_copied_for_those_who_were_not_there(shift: Shift) -> None:
    page = shift.page
    await shift.to(f"/problems/{await shift.problem(label='service=checkout')}")
    await page.get_by_role("link", name=shift._("Copy as Markdown")).click()
    await shift.said("Copied as Markdown")
    text: Any = await page.evaluate("navigator.clipboard.readText()")
    assert text.startswith("# ")
    assert f"## {shift._('Timeline')}" in text
    await page.emulate_media(media="print")
    for gone in (".nav", ".actions", "#comment"):
        await expect(page.locator(gone)).to_be_hidden()
    await expect(page.locator(".timeline")).to_be_visible()
    await page.emulate_media(media="screen")


async def test_nothing_is_out_of_reach_of_the_keyboard(shift: Shift) -> None:
    """Every link, button and field that can be seen is come by with Tab, and shows that it has the focus."""
    page = shift.page
    await shift.to(f"/problems/{await shift.problem(label='service=checkout')}")
    await page.evaluate(WITHOUT_TAB)
    wanted = await page.evaluate("document.querySelectorAll('[data-wanted]').length")
    assert wanted > 30
    for _ in range(wanted + 40):
        await page.keyboard.press("Tab")
        if not await page.evaluate(REACHED):
            break
    left: Any = await page.evaluate(
        "[...document.querySelectorAll('[data-wanted]')].map((one) => one.outerHTML.slice(0, 120))"
    )
    assert left == []
    assert await page.evaluate("window.unseen") == []


# Radio buttons of one name are one stop: arrows go between them
WITHOUT_TAB = """() => {
  window.unseen = [];
  const seen = (one) => one.checkVisibility({ visibilityProperty: true }) && !one.disabled;
  const fields = "select, textarea, input:not([type=hidden], [type=radio])";
  const stops = `a[href], button, summary, [tabindex='0'], ${fields}`;
  for (const one of document.querySelectorAll(stops)) if (seen(one)) one.dataset.wanted = "1";
  document.activeElement.blur();
}"""
REACHED = """() => {
  const one = document.activeElement;
  if (one === document.body) return false;
  delete one.dataset.wanted;
  const style = getComputedStyle(one);
  if (style.outlineStyle === "none" && one.id !== "main") window.unseen.push(one.outerHTML.slice(0, 120));
  return true;
}"""

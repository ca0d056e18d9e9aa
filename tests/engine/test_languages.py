"""The console in English and Chinese: nothing without a translation, nothing that cannot be translated."""

import re
from collections.abc import AsyncIterator
from functools import cache
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from starlette.datastructures import Headers

import aiops.web
from aiops.engine.engine import Engine
from aiops.web.app import create_app
from aiops.web.language import LANGUAGES, ROOM, catalogue, wished
from tests.pages import PAGES
from tests.world import token_of

pytestmark = pytest.mark.asyncio(loop_scope="module")
WEB = Path(aiops.web.__file__).parent
TEMPLATES = {path.name: path.read_text() for path in (WEB / "templates").glob("*.html")}
METHODS = [("**.py", "python"), ("templates/**.html", "jinja2.ext:babel_extract")]
WAYS = {"templates/**.html": {"extensions": "jinja2.ext.i18n", "trimmed": "true"}}
KEYWORDS = {"_": None, "gettext": None, "ngettext": (1, 2), "noted": None}
JINJA = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.S)
AS_IT_IS = {"Forewarn", "YAML", "SLI", "UTC"}
"""What is called so in every language."""
CODE = re.compile(r"<(code|pre)[^>]*>.*?</\1>|<!doctype html>", re.S)


@cache
def said() -> Catalog:
    """Everything that templates and code give to the catalogue."""
    found = Catalog()
    for place, _, message, _, context in extract_from_dir(WEB, METHODS, WAYS, KEYWORDS):
        assert place
        found.add(message, context=context)
    return found


def translated(code: str) -> Catalog:
    return read_po(BytesIO((ROOM / f"{code}.po").read_bytes()), locale=code)


async def test_every_text_has_its_translation_and_no_translation_is_left_over() -> None:
    wanted = {message.id for message in said() if message.id}
    assert len(wanted) > 400
    for code in set(LANGUAGES) - {"en"}:
        known = {message.id: message for message in translated(code) if message.id}
        assert wanted - set(known) == set()
        assert set(known) - wanted == set()
        for ident, message in known.items():
            given = message.string if isinstance(message.string, tuple) else (message.string,)
            assert all(given), ident
            assert not message.fuzzy, ident
            last = ident[-1] if isinstance(ident, tuple) else ident
            for one in given:
                assert sorted(set(re.findall(r"%\(\w+\)s", one))) == sorted(
                    set(re.findall(r"%\(\w+\)s", last))
                ), ident


@pytest.mark.parametrize("path", sorted(TEMPLATES))
async def test_templates_hold_no_text_of_their_own(path: str) -> None:
    text = CODE.sub("", JINJA.sub("\0", TEMPLATES[path]))
    shown = [one.strip() for one in re.findall(r">([^<>]*)<", text)]
    shown += re.findall(r'\b(?:title|aria-label|placeholder|alt|data-name)="([^"]*)"', text)
    words = {word for one in shown for word in re.findall(r"[A-Za-z]{2,}", one.replace("\0", " "))}
    spared = {"fw", "ndash", "service", "checkout", "host", "web", "instance", "mode", "idle"}
    assert words - AS_IT_IS - spared == set()


class Words(HTMLParser):
    """The texts of a page, and the attributes that are read aloud."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_data(self, data: str) -> None:
        self.found.add(data.strip())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        spoken = ("title", "aria-label", "placeholder", "data-name")
        self.found |= {(value or "").strip() for name, value in attrs if name in spoken}


@pytest_asyncio.fixture(loop_scope="module")
async def client(engine: Engine) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(engine))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8750") as made:
        await made.post("/sign-in", data={"token": await token_of(engine)})
        yield made


@pytest.mark.parametrize("path", PAGES)
async def test_a_chinese_page_says_nothing_in_english(client: httpx.AsyncClient, path: str) -> None:
    page = Words()
    answer = await client.get(path, headers={"Accept-Language": "zh-CN,zh;q=0.9,en;q=0.8"})
    assert answer.status_code == 200
    assert '<html lang="zh-CN">' in answer.text
    page.feed(answer.text)
    english = {message.id for message in said() if message.id and isinstance(message.id, str)}
    chinese = catalogue("zh")
    same = {one for one in english if chinese.gettext(one) == one}
    assert same == set()
    # names of labels and metrics may be the same words
    assert {one for one in page.found & english if " " in one or one[:1].isupper()} == set()


async def test_the_switch_is_remembered_and_leads_back(client: httpx.AsyncClient) -> None:
    english = {"Accept-Language": "en"}
    answer = await client.get("/language/zh", params={"next": "/problems?state=open"}, headers=english)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/problems?state=open"
    assert "<h1>问题</h1>" in (await client.get("/problems", headers=english)).text
    part = await client.get("/problems", headers=english | {"HX-Request": "true"})
    assert "<h1>问题</h1>" in part.text
    assert (await client.get("/language/tlh")).status_code == 404
    away = await client.get("/language/en", params={"next": "//evil.example"})
    assert away.headers["location"] == "/"


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ("", "en"),
        ("zh-CN", "zh"),
        ("de, zh;q=0.5, en;q=0.9", "en"),
        ("de, zh;q=0.9, en;q=0.5", "zh"),
        ("zh;q=0", "en"),
        ("zh;q=x, *", "en"),
    ],
)
async def test_the_browsers_wish_is_heard(asked: str, given: str) -> None:
    assert wished(Headers({"accept-language": asked})) == given
    assert wished(Headers({"accept-language": asked, "cookie": "forewarn_language=zh"})) == "zh"

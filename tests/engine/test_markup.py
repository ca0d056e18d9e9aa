"""Labels, log lines, names, tickets and errors that hold markup are text on every page, in each language."""

from collections.abc import AsyncIterator
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest
import pytest_asyncio
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from aiops.engine.engine import Engine
from aiops.model.series import labels_of
from aiops.store import tables
from aiops.web.app import create_app
from tests.pages import PAGES
from tests.world import NOW, token_of

pytestmark = pytest.mark.asyncio(loop_scope="module")
EVIL = "<x-evil onclick=alert(1)><script>alert(2)</script><img src=x onerror=alert(3)>\"'{{7*7}}"
KEPT = {"team", "teams", "password", "scopes", "body", "url", "escalation", "match", "digest"}
"""Columns of which nothing is shown, or which the page tests before it makes a link of them."""
ROWS: dict[str, dict[str, Any]] = {
    "log_template": {"name": "T1"},
    "change": {"time": NOW - 900},
    "silence": {"match": '{a="<x-evil>"}', "ends": NOW + 900},
    "hold": {},
    "mark": {"problem_id": 3, "verdict": "true"},
    "link": {"problem_id": 3, "other_id": 1, "kind": "related"},
    "likeness": {"problem_id": 3, "other_id": 1, "score": 0.9},
    "account": {"role": "viewer"},
}
"""Rows that the world does not have, and what in them matters."""
SHOWN = (
    "problem",
    "alert",
    "audit",
    "cause",
    "delivery",
    "attempt",
    "run",
    "step",
    "ticket",
    "token",
    "approval",
)
"""Tables whose rows it has."""


def filler(column: "sa.Column[Any]") -> Any:
    """Anything that the column takes."""
    fillers = {sa.JSON: {}, sa.Float: NOW, sa.Boolean: False, sa.Integer: 1}
    return next((value for kind, value in fillers.items() if isinstance(column.type, kind)), "x")


def spoilt(conn: Connection) -> None:
    """Markup in every text of every table that pages read."""
    for name, row in ROWS.items():
        table = tables.metadata.tables[name]
        needed = [c for c in table.c if not c.nullable and c.server_default is None and c.name != "id"]
        conn.execute(table.insert().values({c.name: filler(c) for c in needed} | row))
    for name in [*SHOWN, *ROWS]:
        table = tables.metadata.tables[name]
        texts = [c for c in table.c if isinstance(c.type, sa.Text) and c.name not in KEPT]
        # with the row's number behind it, as some columns are unique
        number = sa.cast(table.c.id, sa.Text) if "id" in table.c else ""
        evil = {c.name: sa.literal(EVIL) + number for c in texts}
        if evil:
            conn.execute(table.update().values(evil))
    labels = {"__name__": f"m{EVIL}", "service": EVIL}
    ranked = [
        {
            "component": EVIL,
            "score": 3.0,
            "share": 0.9,
            "reasons": [EVIL, EVIL],
            "counterfactual": f"would {EVIL}",
        }
    ]
    spoils: tuple[tuple[sa.Table, dict[str, Any]], ...] = (
        (tables.problem, {"labels": labels}),
        (tables.alert, {"labels": labels, "examples": [EVIL, EVIL]}),
        (tables.run, {"plan": [EVIL], "approvers": [EVIL]}),
        (tables.delivery, {"body": {EVIL: EVIL}}),
        (tables.ticket, {"url": f"javascript:alert('{EVIL}')"}),
        (tables.metadata.tables["cause"], {"ranked": ranked}),
        (tables.metadata.tables["change"], {"labels": labels}),
        (tables.log_template, {"level": EVIL[:16]}),
    )
    for table, values in spoils:
        conn.execute(table.update().values(values))
    # the other one's name is that of its page
    mine = tables.log_template.c.name == "T1"
    conn.execute(tables.log_template.update().where(mine).values(name=EVIL[:32]))


class Found(HTMLParser):
    """What the page is made of, and what it says."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.wrong: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        self.tags.add(tag)
        self.wrong += [f"{tag} {name}" for name in names if name.startswith("on") or name == "style"]
        if tag in ("script", "img") and not (names.get("src") or "").startswith("/static/"):
            self.wrong.append(tag)
        if tag == "a" and not (names.get("href") or "").startswith(("/", "#", "?")):
            self.wrong.append(f"a {names.get('href')}")

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(engine: Engine) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(engine))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8750") as made:
        await made.post("/sign-in", data={"token": await token_of(engine)})
        await engine.db.run(spoilt)
        engine.index.slot(labels_of({"__name__": "evil", "service": EVIL}))
        yield made


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("path", [*PAGES, "/series?q=evil", f"/problems?q={EVIL}", f"/topology?q={EVIL}"])
async def test_what_others_wrote_is_text(client: httpx.AsyncClient, path: str, language: str) -> None:
    answer = await client.get(path, headers={"Accept-Language": language})
    assert answer.status_code == 200
    page = Found()
    page.feed(answer.text)
    assert "x-evil" not in page.tags
    assert page.wrong == []
    assert "49" not in page.text.replace(EVIL, "") or "{{7*7}}" in page.text
    if path.split("?")[0] not in (
        "/sign-in",
        "/settings",
        "/sources",
        "/uplift",
        "/ledger",
        "/topology",
        "/",
    ):
        assert "<script>alert(2)</script>" in page.text, "it is there, as text"


async def test_a_whole_answer_is_searched(client: httpx.AsyncClient) -> None:
    page = Found()
    page.feed(f"<p>{EVIL}</p><a href='javascript:x'>")
    assert "x-evil" in page.tags
    assert {"x-evil onclick", "img onerror", "img", "a javascript:x"} <= set(page.wrong)

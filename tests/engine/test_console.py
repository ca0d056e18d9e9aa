"""The console's pages, without a browser: content, escaping, sessions, CSRF, headers."""

import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser

import httpx
import pytest
import pytest_asyncio
from fastapi.routing import APIRoute

from aiops.engine.engine import Engine
from aiops.model.problem import Step
from aiops.model.signal import Alert, AlertKind, AlertState
from aiops.store import alerts, problems, runs, sessions, silences, tokens
from aiops.store.tables import alert as alert_table
from aiops.store.tables import problem as problem_table
from aiops.web.app import create_app
from aiops.web.console import actions, back, handling, lists, pages, people, settings, signin, single, words
from aiops.web.console.render import STATIC
from aiops.web.console.signin import inside
from tests.pages import PAGES
from tests.world import NOW, config_in, running, token_of

pytestmark = pytest.mark.asyncio(loop_scope="module")
BASE = "http://127.0.0.1:8750"
HTML = {"Accept": "text/html"}


@pytest_asyncio.fixture(loop_scope="module")
async def visitor(engine: Engine) -> AsyncIterator[httpx.AsyncClient]:
    """A browser that has not signed in."""
    transport = httpx.ASGITransport(create_app(engine), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=BASE, headers=HTML) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def ana(engine: Engine, visitor: httpx.AsyncClient) -> httpx.AsyncClient:
    """A browser that has."""
    answer = await visitor.post("/sign-in", data={"token": await token_of(engine), "next": "/runs"})
    assert answer.status_code == 303
    assert answer.headers["location"] == "/runs"
    return visitor


class Dangers(HTMLParser):
    """Collects what a strict policy forbids, and every script that is there."""

    def __init__(self) -> None:
        super().__init__()
        self.inline: list[str] = []
        self.scripts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        self.inline += [f"{tag} {name}" for name in names if name.startswith("on") or name == "style"]
        if tag == "style" or (tag == "script" and not names.get("src")):
            self.inline.append(tag)
        if tag in ("script", "iframe", "object", "embed", "img"):
            self.scripts.append(names.get("src") or "")


async def csrf_of(client: httpx.AsyncClient) -> str:
    found = re.search(r'name="csrf" value="([0-9a-f]{64})"', (await client.get("/problems/1")).text)
    assert found
    return found[1]


@pytest.mark.parametrize("path", PAGES)
async def test_every_page_renders_whole_and_as_a_part(ana: httpx.AsyncClient, path: str) -> None:
    whole = await ana.get(path)
    assert whole.status_code == 200, whole.text[-500:]
    assert "<!doctype html>" in whole.text
    dangers = Dangers()
    dangers.feed(whole.text)
    assert dangers.inline == []
    assert all(source.startswith("/static/") for source in dangers.scripts)
    policy = whole.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert whole.headers["x-content-type-options"] == "nosniff"
    if path != "/sign-in":
        part = await ana.get(path, headers={"HX-Request": "true"})
        assert part.text.lstrip().startswith('<div id="live"')
        assert "<html" not in part.text
        assert 'id="nav"' in part.text


async def test_now_ranks_by_urgency_and_says_what_is_done(engine: Engine, visitor: httpx.AsyncClient) -> None:
    text = (await visitor.get("/")).text
    order = re.findall(r'<li id="problem-(\d+)" class="problem (\w+) (\w+) (\w+)"', text)
    stages = [(stage, state) for _, _, stage, state in order]
    assert stages[0] == ("active", "open")
    assert stages[-1][1] == "resolved"
    assert "awaits approval" in text
    assert "users affected" in text
    assert "to breach" in text
    assert f"Watching {len(engine.index)} series from 1 source; 1" in text


async def test_now_goes_on_with_what_is_less_urgent(
    visitor: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = re.compile(r'<li id="problem-(\d+)" class="problem \w+ \w+ (?:open|escalated|remediating)"')
    every = row.findall((await visitor.get("/")).text)
    monkeypatch.setattr(pages, "SHOWN", 1)
    first, second = (await visitor.get("/")).text, (await visitor.get("/?skip=1")).text
    assert (row.findall(first), row.findall(second)) == (every[:1], every[1:2])
    assert f'href="/?skip=1">{len(every) - 1} less urgent' in first
    assert 'href="/">More urgent' in second
    assert "Resolved in the last day" not in second
    assert "All quiet" not in (await visitor.get("/?skip=99")).text


async def test_alerts_are_narrowed_to_those_of_a_problem(visitor: httpx.AsyncClient) -> None:
    shown = (await visitor.get("/api/v1/alerts", params={"problem": 1})).json()["items"]
    text = (await visitor.get("/alerts", params={"problem": 1})).text
    assert set(map(int, re.findall(r'id="alert-(\d+)"', text))) == {one["id"] for one in shown}
    assert '<input type="hidden" name="problem" value="1">' in text
    whole = (await visitor.get("/api/v1/problems/1")).json()
    assert whole["alerts_in_all"] == len(whole["alerts"]) == len(shown)


async def test_the_problem_page_tells_the_whole_story(visitor: httpx.AsyncClient) -> None:
    shown = (await visitor.get("/api/v1/problems", params={"state": "open"})).json()
    felt = next(one for one in shown["items"] if one["stage"] == "active")
    text = (await visitor.get(f"/problems/{felt['id']}")).text
    for said in (
        "Users have been affected for 6 min",
        "foreseen",
        f">T-{felt['id']}<",
        "restart-checkout",
        "awaiting approval",
    ):
        assert said in text, said
    whole = (await visitor.get(f"/api/v1/problems/{felt['id']}")).json()
    assert text.count('class="plot') == len({str(one["labels"]) for one in whole["alerts"]})
    assert 'data-bound="0.01"' in text
    assert "playbook: restart-checkout" in text
    assert "Sign in to approve or refuse" in text


async def test_nothing_to_do_says_what_is_watched(tmp_path_factory: pytest.TempPathFactory) -> None:
    config = config_in(tmp_path_factory.mktemp("calm"), limits=[])
    async with running(config, live=0) as calm:
        transport = httpx.ASGITransport(create_app(calm))
        async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
            text = (await client.get("/")).text
    assert "Nothing is wrong, and nothing is foreseen" in text
    assert re.search(rf"Watching {len(calm.index)} series from 1 source; \d+ ready", text)


EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'><b>"


async def test_markup_from_outside_renders_as_text(engine: Engine, ana: httpx.AsyncClient) -> None:
    labels = (("__name__", f"m{EVIL}"), ("service", EVIL))
    alert = Alert(AlertKind.ANOMALY, labels, NOW - 60, rule=EVIL, state=AlertState.FIRING)
    alert.fired, alert.updated, alert.observed = NOW - 30, NOW, 3.0
    alert.reason, alert.examples, alert.silenced_by = EVIL, [EVIL, f"GET /{EVIL}"], EVIL

    def store(conn: object) -> tuple[int, int, int]:
        kept = problems.load(conn, 1)  # type: ignore[arg-type]
        assert kept
        kept.id, kept.key, kept.title, kept.labels, kept.reason = 0, "fw-evil", EVIL, labels, EVIL
        kept.assignee = EVIL
        problems.save_problems(conn, [kept])  # type: ignore[arg-type]
        alerts.save_alerts(conn, [(alert, kept.id)])  # type: ignore[arg-type]
        run = runs.get(conn, 1)  # type: ignore[arg-type]
        assert run
        run.problem_id, run.reason, run.target, run.playbook = kept.id, EVIL, EVIL, EVIL
        runs.insert(conn, run, EVIL)  # type: ignore[arg-type]
        runs.intend(conn, Step(run.id, 0, EVIL, "step", EVIL, NOW, NOW, False, EVIL))  # type: ignore[arg-type]
        silences.create(
            conn,  # type: ignore[arg-type]
            match='{a="<script>alert(1)</script>"}',
            starts=NOW,
            ends=None,
            reason=EVIL,
            by=EVIL,
            at=NOW,
        )
        return kept.id, alert.id, run.id

    problem_id, alert_id, run_id = await engine.db.run(store)
    try:
        for path in (
            "/",
            "/problems",
            f"/problems/{problem_id}",
            "/alerts",
            f"/alerts/{alert_id}",
            f"/runs/{run_id}",
            "/runs",
            "/silences",
            "/problems?q=<script>alert(1)</script>",
            "/series?q={<script>alert(1)</script>",
            "/sign-in?next=/<script>alert(1)</script>",
            "/silences?match=<script>alert(1)</script>",
            "/nowhere/<script>",
        ):
            answer = await ana.get(path)
            assert "<script>alert" not in answer.text, path
            assert "<img src=x" not in answer.text, path
            dangers = Dangers()
            dangers.feed(answer.text)
            assert dangers.inline == [], path
            assert all(source.startswith("/static/") for source in dangers.scripts), path
        assert "&lt;script&gt;alert(1)" in (await ana.get(f"/problems/{problem_id}")).text
        assert "GET /&lt;script&gt;" in (await ana.get(f"/alerts/{alert_id}")).text
    finally:
        await engine.db.run(lambda c: c.execute(alert_table.delete().where(alert_table.c.id == alert_id)))
        await engine.db.run(
            lambda c: c.execute(problem_table.delete().where(problem_table.c.id == problem_id))
        )


async def test_a_visitor_sees_no_form_that_changes_anything(visitor: httpx.AsyncClient) -> None:
    for path in PAGES[:-1]:
        text = (await visitor.get(path)).text
        assert 'method="post"' not in text, path
        assert 'name="csrf"' not in text, path


async def test_actions_need_a_session_and_its_csrf_token(engine: Engine, ana: httpx.AsyncClient) -> None:
    csrf = await csrf_of(ana)
    rooms = (pages, lists, back, handling, actions, settings, people, signin, single)
    posts = {
        re.sub(r"{\w+}", "1", route.path)
        for room in rooms
        for route in room.router.routes
        if isinstance(route, APIRoute) and "POST" in route.methods and route.path != "/sign-in"
    }
    assert len(posts) >= 18
    cookies = dict(ana.cookies)
    for path in sorted(posts):
        ana.cookies.clear()
        answer = await ana.post(path, data={"csrf": csrf})
        assert answer.status_code == 303, path
        assert answer.headers["location"].startswith("/sign-in"), path
        ana.cookies.update(cookies)
        for data in ({}, {"csrf": "0" * 64}):
            assert (await ana.post(path, data=data)).status_code == 403, path
        foreign = await ana.post(path, data={"csrf": csrf}, headers={"Origin": "http://evil.example"})
        assert foreign.status_code == 403, path
    hx = await ana.post("/problems/1/resolve", headers={"HX-Request": "true"}, data={})
    assert hx.headers["content-type"] == "application/problem+json"


async def test_acknowledging_answers_with_its_effect(ana: httpx.AsyncClient) -> None:
    csrf = await csrf_of(ana)
    answer = await ana.post("/problems/3/acknowledge", data={"csrf": csrf}, headers={"HX-Request": "true"})
    assert answer.status_code == 200
    assert "Acknowledged" in answer.headers["hx-trigger"]
    assert 'action="/problems/3/acknowledge"' not in answer.text
    assert 'hx-get="/problems/3"' in answer.text
    plain = await ana.post("/problems/3/comment", data={"csrf": csrf, "text": "seen <i>before</i>"})
    assert plain.status_code == 303
    assert "seen &lt;i&gt;before&lt;/i&gt;" in (await ana.get("/problems/3")).text


async def test_a_silence_is_made_and_a_wrong_one_is_explained(ana: httpx.AsyncClient) -> None:
    csrf = await csrf_of(ana)
    wrong = {"csrf": csrf, "match": "{host~1}", "duration": "2h", "reason": "typed with care"}
    answer = await ana.post("/silences", data=wrong)
    assert answer.status_code == 422
    assert "column" in answer.text
    assert 'value="typed with care"' in answer.text
    good = wrong | {"match": '{host="web-1"}', "duration": "1h30m"}
    assert (await ana.post("/silences", data=good)).status_code == 303
    listed = (await ana.get("/silences")).text
    assert "{host=&#34;web-1&#34;}" in listed
    assert "in 90 min" in listed or "in 2 h" in listed


async def test_the_cookie_is_opaque_signed_and_short(engine: Engine, visitor: httpx.AsyncClient) -> None:
    plain = await token_of(engine, "cleo")
    answer = await visitor.post("/sign-in", data={"token": f" {plain} "})
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert plain not in cookie
    value = visitor.cookies["forewarn_session"]
    with engine.db.read_only() as conn:
        assert value not in str([tuple(row) for row in conn.exec_driver_sql("select * from session")])
        signed = sessions.find(conn, value, NOW)
        assert signed
        assert sessions.find(conn, value, NOW + sessions.IDLE) is None
        for bad in ("", "x", value[1:], value + "x", "é.1"):
            assert sessions.find(conn, bad, NOW) is None
    assert "cleo" in (await visitor.get("/")).text
    await engine.db.run(tokens.revoke, signed.who.token_id, NOW)
    assert "cleo" not in (await visitor.get("/")).text
    key = engine.config.data / "session.key"
    assert key.stat().st_mode & 0o777 == 0o600


async def test_signing_in_refuses_what_is_wrong(visitor: httpx.AsyncClient) -> None:
    answer = await visitor.post("/sign-in", data={"token": "fw_nope"})
    assert answer.status_code == 401
    assert "not known" in answer.text
    assert "set-cookie" not in answer.headers
    foreign = await visitor.post("/sign-in", data={"token": "x"}, headers={"Origin": "http://evil.example"})
    assert foreign.status_code == 403


@pytest.mark.parametrize("target", ["//evil", "https://evil", "/\\evil", "evil", "", "/a\nb", "javascript:1"])
async def test_signing_in_leads_nowhere_else(target: str) -> None:
    assert inside(target) == "/"


async def test_signing_out_ends_it(ana: httpx.AsyncClient) -> None:
    assert (await ana.post("/sign-out", data={"csrf": await csrf_of(ana)})).status_code == 303
    assert "Sign in to act" in (await ana.get("/")).text


async def test_people_get_pages_for_errors(visitor: httpx.AsyncClient) -> None:
    answer = await visitor.get("/problems/999")
    assert answer.status_code == 404
    assert "there is no problem 999" in answer.text
    assert "text/html" in answer.headers["content-type"]


async def test_assets_are_pinned_by_their_content(visitor: httpx.AsyncClient) -> None:
    text = (await visitor.get("/")).text
    found = re.findall(r'(?:href|src)="(/static/[^"]+)"', text)
    assert len(found) >= 9
    assert not [url for url in found if "missing" in url], "run `python hatch_build.py`"
    for url in found:
        answer = await visitor.get(url)
        assert answer.status_code == 200, url
        assert "immutable" in answer.headers["cache-control"]
    assert (STATIC / "vendor" / "htmx.LICENSE").is_file()
    assert (await visitor.get("/static/../app.py")).status_code == 404


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({}, "Unusual for 5 min. Users are not affected so far."),
        (
            {"breach_expected": NOW + 720, "breach_earliest": NOW + 480, "breach_latest": NOW + 1200},
            "Predicted to breach in about 12 min (8 min to 20 min). Users are not affected so far.",
        ),
        (
            {"breach_expected": NOW + 720, "breach_chance": 0.724, "breach_within": 14400.0},
            "Predicted to breach in about 12 min, 72 % likely within 4 h. Users are not affected so far.",
        ),
        ({"breach_expected": NOW - 5}, "Predicted to breach any moment now. Users are not affected so far."),
        (
            {"stage": "active", "breached": NOW - 120},
            "Users have been affected for 2 min, foreseen 3 min ahead.",
        ),
        ({"stage": "active", "breached": NOW - 300}, "Users have been affected for 5 min, not foreseen."),
        ({"state": "resolved", "resolved": NOW - 60}, "Resolved after 4 min before users noticed."),
        (
            {"state": "resolved", "resolved": NOW - 60, "stage": "active"},
            "Resolved after 4 min; users noticed.",
        ),
    ],
)
async def test_headlines(row: dict[str, object], said: str) -> None:
    bare = {
        "state": "open",
        "stage": "predicted",
        "opened": NOW - 300,
        "breached": None,
        "resolved": None,
        "breach_expected": None,
        "breach_earliest": None,
        "breach_latest": None,
    }
    assert words.headline(bare | row, NOW) == said


async def test_a_figure_is_not_torn_from_its_unit() -> None:
    row = {
        "state": "open",
        "stage": "predicted",
        "opened": NOW - 300,
        "breach_chance": 0.995,
        "breach_expected": NOW + 5 * 3600,
        "breach_earliest": NOW + 3 * 3600,
        "breach_latest": NOW + 10 * 3600,
    }
    due = words.due(row, NOW)
    assert due.figure == "~5\u00a0h"
    assert due.range.split(" ") == [">\u00a099\u00a0%\u00a0likely,", "3\u00a0h\u00a0to\u00a010\u00a0h"]
    assert words.together("is 532 ms, 3 days, > 99 %") == "is 532\u00a0ms, 3 days, >\u00a099\u00a0%"
    assert words.together("还要 5 分钟") == "还要 5\u00a0分钟"

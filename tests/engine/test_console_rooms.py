"""The console's pages that look back and around, and what the problem page offers besides."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from aiops.engine.engine import Engine
from aiops.model.frame import Change
from aiops.model.series import labels_of
from aiops.store import accounts, causes, log_templates, outbox, tables, tokens
from aiops.web.app import create_app
from tests.world import NOW, token_of

pytestmark = pytest.mark.asyncio(loop_scope="module")
BASE = "http://127.0.0.1:8750"
EVIL = "<script>alert(1)</script>"
FILE = "sources:\n  - {kind: host, every: 2s}\n"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """With a file that it would take up."""
    engine.config_path = tmp_path_factory.mktemp("rooms") / "forewarn.yaml"
    engine.config_path.write_text(FILE)
    return engine


@pytest_asyncio.fixture(loop_scope="module")
async def visitor(engine: Engine) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(engine), raise_app_exceptions=False)
    headers = {"Accept": "text/html"}
    async with httpx.AsyncClient(transport=transport, base_url=BASE, headers=headers) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def ana(engine: Engine, visitor: httpx.AsyncClient) -> httpx.AsyncClient:
    await visitor.post("/sign-in", data={"token": await token_of(engine)})
    return visitor


async def csrf_of(client: httpx.AsyncClient) -> str:
    found = re.search(r'name="csrf" value="([0-9a-f]{64})"', (await client.get("/problems/1")).text)
    assert found
    return found[1]


async def active(client: httpx.AsyncClient) -> int:
    found = (await client.get("/api/v1/problems", params={"stage": "active"})).json()["items"]
    return int(found[0]["id"])


async def test_the_ledger_sums_up_what_was_told(visitor: httpx.AsyncClient, engine: Engine) -> None:
    text = (await visitor.get("/ledger")).text
    told = (await visitor.get("/api/v1/ledger")).json()
    assert told["outcomes"]["warned"] == 1
    assert "1 warned" in text
    assert "0 silent" in text
    assert re.search(r'100 %</dd><dd class="note">1 warned', text)
    assert re.search(r"False pages a week</dt><dd>\d+\.\d</dd><dd class=\"note\">\d+ asked for", text)
    assert "Warning before each breach" in text
    assert "No problem was opened" not in text
    engine.housekeeping._sum_up_at = 0.0
    await engine.housekeeping.often(engine.clock.now())
    metrics = (await visitor.get("/metrics")).text
    assert f'forewarn_ledger_lead_seconds{{quantile="0.5"}} {told["p50"]}' in metrics
    assert 'forewarn_ledger_problems{outcome="warned"} 1.0' in metrics
    assert 'forewarn_ledger_problems{outcome="silent"} 0.0' in metrics


async def test_the_map_shows_what_calls_what_and_where_it_hurts(visitor: httpx.AsyncClient) -> None:
    text = (await visitor.get("/topology")).text
    ident = await active(visitor)
    assert "orders-db" in text
    assert re.search(rf'<a href="/problems/{ident}"><g class="node \w+', text)
    part = (await visitor.get("/topology?q=search")).text
    assert "search-index" in part.split("Calls</h2>")[0]
    assert "orders-db" not in part.split("Calls</h2>")[0]
    around = (await visitor.get(f"/problems/{ident}")).text
    assert "Around it" in around
    assert "payments" in around
    assert {"caller": "edge", "callee": "checkout"} in (await visitor.get("/api/v1/topology")).json()["items"]


async def test_the_audit_is_searched(visitor: httpx.AsyncClient) -> None:
    text = (await visitor.get("/audit?entity=delivery")).text
    assert "delivery 1" in text
    assert not re.search(r"<b>alert \d", text)
    assert "Nothing fits" in (await visitor.get("/audit?q=100%25_nothing")).text
    rows = (await visitor.get("/api/v1/audit", params={"entity": "delivery", "limit": 1})).json()
    assert rows["next"]
    assert rows["items"][0]["entity"] == "delivery"


async def test_log_patterns_are_listed_by_their_lines(visitor: httpx.AsyncClient, engine: Engine) -> None:
    def row(name: str, text: str, lines: int) -> dict[str, object]:
        at = {"first_seen": NOW - lines, "last_seen": NOW}
        return {"name": name, "text": text, "level": "error", "lines": lines, **at}

    rows = [
        row("T1", "connection to <*> refused", 12_345),
        row("T2", f"GET /{EVIL}", 7),
        row("T3", "gone", 1),
    ]
    await engine.db.run(log_templates.save, rows)
    await engine.db.run(log_templates.merge, [("T3", "T1")])
    text = (await visitor.get("/patterns")).text
    assert text.index("connection to &lt;*&gt; refused") < text.index("GET /&lt;script&gt;")
    assert "12,345" in text
    assert EVIL not in text
    assert "gone" not in text.split("<tbody>")[1]
    assert ">T1<" not in (await visitor.get("/patterns?q=GET")).text.split("<tbody>")[1]
    found = (await visitor.get("/api/v1/patterns", params={"order": "newest", "limit": 1})).json()
    assert (found["items"][0]["name"], bool(found["next"])) == ("T2", True)
    assert (await visitor.get("/api/v1/patterns?order=worst")).status_code == 422


async def test_a_log_pattern_has_its_page(visitor: httpx.AsyncClient, engine: Engine) -> None:
    row = {"name": "T9", "text": "no connection left in <*>", "level": "error", "lines": 1_200}
    await engine.db.run(log_templates.save, [row | {"first_seen": NOW - 600, "last_seen": NOW}])
    await engine.db.run(log_templates.save, [row | {"name": "T8", "first_seen": NOW, "last_seen": NOW}])
    await engine.db.run(log_templates.merge, [("T8", "T9")])
    assert "Its rate is followed once" in (await visitor.get("/patterns/T9")).text
    labels = {"__name__": "log_pattern_lines_per_second", "service": "checkout", "template": "T9"}
    engine.index.slot(labels_of(labels))
    times = [NOW - 300 + 10 * k for k in range(30)]
    rates = [0.1] * 15 + [2.0] * 15
    columns = {"times": times, "observed": rates, "expected": rates, "lower": rates, "upper": rates}
    examples = [row["text"], f"no connection left in {EVIL}"]

    def told(conn: Connection) -> int:
        was = dict(conn.execute(sa.select(tables.alert).limit(1)).mappings().one())
        mine = {"labels": labels, "examples": examples, "started": NOW - 150, "state": "resolved"}
        ident = conn.execute(tables.alert.insert().values({**was, "id": None} | mine)).inserted_primary_key
        assert ident
        conn.execute(tables.evidence.insert().values(alert_id=ident[0], points=columns, team="default"))
        return int(ident[0])

    alert = await engine.db.run(told)
    page = (await visitor.get("/patterns/T9")).text
    assert "<code>no connection left in &lt;*&gt;</code>" in page
    assert "2 lines a second" in page, "1,200 in 600 s"
    assert re.search(r'data-points="/api/v1/series/\w+/points"', page)
    assert "no connection left in &lt;script&gt;" in page
    assert EVIL not in page
    assert f'href="/alerts/{alert}"' in page
    found = (await visitor.get("/api/v1/patterns/T8")).json()
    assert (found["name"], len(found["series"])) == ("T9", 1)
    (one,) = [each for each in found["alerts"] if each["id"] == alert]
    assert (one["before"], one["after"]) == (15, 300)
    assert f'<a href="/problems/{one["problem_id"]}">' in page or one["problem_id"] is None
    assert 'href="/patterns/T9"' in (await visitor.get(f"/alerts/{alert}")).text
    chinese = (await visitor.get("/patterns/T9", headers={"Accept-Language": "zh"})).text
    assert "日志模式 T9" in chinese
    assert (await visitor.get("/patterns/T404")).status_code == 404
    assert (await visitor.get("/api/v1/patterns/T404")).status_code == 404


async def test_a_refusal_is_told_in_the_language_of_the_page(ana: httpx.AsyncClient) -> None:
    ident, csrf = await active(ana), await csrf_of(ana)
    form, url = {"csrf": csrf, "other": str(ident)}, f"/problems/{ident}/link"
    chinese = {"Accept-Language": "zh"}
    page = await ana.post(url, data=form, headers=chinese)
    assert (page.status_code, "问题不能与自身关联" in page.text) == (422, True)
    live = await ana.post(url, data=form, headers=chinese | {"HX-Request": "true"})
    assert live.json()["detail"] == "问题不能与自身关联"
    english = await ana.post(url, data=form)
    assert "a problem cannot be linked with itself" in english.text
    api = await ana.get("/api/v1/problems/4242", headers=chinese)
    assert api.json()["detail"] == "there is no problem 4242"


async def test_settings_hold_the_file_against_what_runs(
    visitor: httpx.AsyncClient, engine: Engine, tmp_path: Path
) -> None:
    text = (await visitor.get("/settings")).text
    assert re.search(r'class="plus">\+.*kind: host', text)
    assert "Take up these changes" not in text, "a visitor changes nothing"
    assert engine.config_path
    engine.config_path.write_text("sources:\n  - {kind: host, evry: 2s}\n")
    broken = (await visitor.get("/settings")).text
    engine.config_path.write_text(FILE)
    assert "line 2" in broken
    assert "evry" in broken


async def test_a_text_is_tried_and_nothing_changes(ana: httpx.AsyncClient, engine: Engine) -> None:
    csrf = await csrf_of(ana)
    before = engine.config
    wrong = await ana.post("/settings/check", data={"csrf": csrf, "text": f"sources: [{{kind: {EVIL}}}]"})
    assert wrong.status_code == 200
    assert "line 1" in wrong.text
    assert EVIL not in wrong.text
    fine = await ana.post("/settings/check", data={"csrf": csrf, "text": FILE})
    assert "It would be taken up" in fine.text
    assert engine.config is before


async def test_a_token_is_made_shown_once_and_revoked(ana: httpx.AsyncClient, engine: Engine) -> None:
    csrf = await csrf_of(ana)
    made = await ana.post("/access/tokens", data={"csrf": csrf, "name": "deploy job", "role": "admin"})
    found = re.search(r"fw_\w{43}", made.text)
    assert found
    assert found[0] not in (await ana.get("/access")).text
    header = {"Authorization": f"Bearer {found[0]}"}
    (mine,) = [
        one
        for one in (await ana.get("/api/v1/tokens", headers=header)).json()["items"]
        if one["name"] == "deploy job"
    ]
    answer = await ana.post(f"/access/tokens/{mine['id']}/revoke", data={"csrf": csrf})
    assert answer.status_code == 303
    assert (await ana.get("/api/v1/tokens", headers=header)).status_code == 401
    assert (await ana.post("/access/tokens", data={"csrf": csrf, "name": " "})).status_code == 422
    trail = (await ana.get("/api/v1/audit", params={"entity": "token", "actor": "ana"})).json()["items"]
    assert [one["to_state"] for one in trail[:2]] == ["revoked", "created"]


async def test_teams_of_tokens_and_accounts_are_set_by_form(ana: httpx.AsyncClient, engine: Engine) -> None:
    csrf = await csrf_of(ana)
    wish = {"csrf": csrf, "name": "robot", "teams": "payments, web payments"}
    assert (await ana.post("/access/tokens", data=wish)).status_code == 200
    rows = await engine.db.read(tokens.listed)
    assert [one["teams"] for one in rows if one["name"] == "robot"] == [["payments", "web"]]
    person = {"csrf": csrf, "name": "zoe", "password": "correct horse battery", "teams": "web"}
    assert (await ana.post("/access/accounts", data=person)).status_code == 303
    zoe = next(one for one in await engine.db.read(accounts.listed) if one["name"] == "zoe")
    assert zoe["teams"] == ["web"]
    page = (await ana.get("/access")).text
    assert "payments, web" in page
    assert 'aria-label="Teams of zoe"' in page

    url = f"/access/accounts/{zoe['id']}/teams"
    assert (await ana.post(url, data={"csrf": csrf, "teams": ""})).status_code == 303
    people = await engine.db.read(accounts.listed)
    assert next(one for one in people if one["name"] == "zoe")["teams"] == []
    assert (await ana.post(url, data={"csrf": csrf, "teams": "web*"})).status_code == 422
    assert (await ana.post("/access/accounts/4242/teams", data={"csrf": csrf})).status_code == 404


async def test_all_dead_letters_of_a_sink_are_sent_again(ana: httpx.AsyncClient, engine: Engine) -> None:
    before = await engine.db.read(outbox.dead_by_sink)
    assert before["pager"] >= 2
    page = (await ana.get("/deliveries?state=dead")).text
    assert f'<option value="pager">pager ({before["pager"]})</option>' in page
    csrf, url = await csrf_of(ana), "/deliveries/replay"
    assert (await ana.post(url, data={"sink": "pager"})).status_code == 403, "no CSRF token"
    assert (await ana.post(url, data={"csrf": csrf, "sink": "nobody"})).status_code == 404
    answer = await ana.post(url, data={"csrf": csrf, "sink": "pager"})
    assert answer.status_code == 303
    told = re.fullmatch(r"/deliveries\?revived=(\d+)&overtaken=(\d+)", answer.headers["location"])
    assert told
    assert (int(told[1]) + int(told[2]), int(told[1]) > 0) == (before["pager"], True)
    said = (await ana.get(answer.headers["location"])).text
    assert f"{told[1]} dead letter" in said
    trail = (await ana.get("/api/v1/audit", params={"entity": "delivery", "actor": "ana"})).json()["items"]
    assert [one["reason"] for one in trail] == ["replayed by ana"] * int(told[1])
    plain = await engine.db.run(tokens.create, "robot-2", engine.clock.now())
    bearer = {"Authorization": f"Bearer {plain}"}
    assert (await ana.post("/api/v1/deliveries/replay", json={})).status_code == 401
    all_ = await ana.post("/api/v1/deliveries/replay", headers=bearer, json={})
    assert set(all_.json()) == {"revived", "overtaken"}


async def test_the_problem_page_offers_what_its_state_allows(ana: httpx.AsyncClient) -> None:
    ident = await active(ana)
    page = (await ana.get(f"/problems/{ident}")).text
    acts = set(re.findall(rf'action="/problems/{ident}/(\w+)"', page))
    assert {"snooze", "assign", "resolve", "mark", "escalate", "link", "merge", "split", "comment"} <= acts
    assert "reopen" not in acts
    over = (await ana.get("/api/v1/problems", params={"state": "resolved"})).json()["items"][0]["id"]
    page = (await ana.get(f"/problems/{over}")).text
    acts = set(re.findall(rf'action="/problems/{over}/(\w+)"', page))
    assert "reopen" in acts
    assert not acts & {"snooze", "resolve", "escalate", "acknowledge"}


async def test_snooze_wake_and_wrong_numbers_by_form(ana: httpx.AsyncClient) -> None:
    csrf, ident = await csrf_of(ana), await active(ana)
    live = {"HX-Request": "true"}
    form = {"csrf": csrf, "duration": "2h", "note": "known"}
    snoozed = await ana.post(f"/problems/{ident}/snooze", data=form, headers=live)
    assert "snoozed, wakes in 2 h" in snoozed.text
    awake = await ana.post(f"/problems/{ident}/wake", data={"csrf": csrf}, headers=live)
    assert "snoozed, wakes" not in awake.text
    for path, wrong in (
        ("snooze", {"duration": "soon"}),
        ("merge", {"other": "x"}),
        ("merge", {"other": str(ident)}),
        ("link", {"other": ""}),
        ("split", {}),
        ("mark", {"verdict": "perhaps"}),
        ("mark", {"verdict": "duplicate", "other": "#x"}),
    ):
        answer = await ana.post(f"/problems/{ident}/{path}", data={"csrf": csrf} | wrong, headers=live)
        assert answer.status_code == 422, (path, wrong)


async def test_a_problem_is_copied_as_markdown(visitor: httpx.AsyncClient) -> None:
    ident = await active(visitor)
    for path in (f"/problems/{ident}.md", f"/api/v1/problems/{ident}/markdown"):
        answer = await visitor.get(path)
        assert answer.headers["content-type"].startswith("text/markdown")
        assert answer.text.startswith("# ")
        assert "## Timeline" in answer.text
        assert f"/problems/{ident})" in answer.text
    assert (await visitor.get("/problems/4242.md")).status_code == 404


async def test_a_playbook_is_planned_first_and_then_asked_for(ana: httpx.AsyncClient, engine: Engine) -> None:
    found = (await ana.get("/api/v1/problems", params={"label": "service=search"})).json()["items"][0]["id"]
    plans = (await ana.get(f"/api/v1/problems/{found}/playbooks")).json()["items"]
    assert [one["playbook"] for one in plans] == ["trim-cache"]
    assert "/usr/local/bin/trim-cache" in plans[0]["steps"][0]
    assert plans[0]["why_not"] == ""
    page = (await ana.get(f"/problems/{found}")).text
    assert f'action="/problems/{found}/remediate"' in page
    assert "trim-cache --keep 7d" in page

    csrf = await csrf_of(ana)
    url, live = f"/problems/{found}/remediate", {"HX-Request": "true"}
    wrong = await ana.post(url, data={"csrf": csrf, "playbook": "restart-checkout"}, headers=live)
    assert wrong.status_code == 422
    assert "trim-cache" in wrong.json()["detail"]
    before = len((await ana.get("/api/v1/runs", params={"problem": found})).json()["items"])
    asked = await ana.post(url, data={"csrf": csrf, "playbook": "trim-cache"}, headers=live)
    assert asked.status_code == 200, asked.text
    assert "Asked for" in asked.headers["hx-trigger"]
    runs = (await ana.get("/api/v1/runs", params={"problem": found})).json()["items"]
    assert len(runs) == before + 1
    assert runs[0]["state"] == "awaiting_approval"
    card = asked.text.split(f'id="run-{runs[0]["id"]}"')[1].split("</section>")[0]
    assert card.lower().count("asked for by") == 1, "who asked is said once"
    again = await ana.post(url, data={"csrf": csrf, "playbook": "trim-cache"}, headers=live)
    assert "a run is under way" in again.text


async def test_changes_stand_beside_the_evidence(ana: httpx.AsyncClient, engine: Engine) -> None:
    ident = await active(ana)
    deploy = Change(NOW - 1200, "deploy", f"checkout 4.2 {EVIL}", (("service", "checkout"),))
    early = Change(NOW - 86400, "deploy", "long before")
    for one in (deploy, early):
        await engine.db.run(causes.add_change, "ci", one, "default")
    page = (await ana.get(f"/problems/{ident}")).text
    assert f'data-at="{NOW - 1200}"' in page
    assert "checkout 4.2 &lt;" in page
    assert EVIL not in page
    assert "long before" not in page


async def test_runs_that_wait_stand_in_an_inbox_and_say_whether_they_still_hold(
    ana: httpx.AsyncClient, engine: Engine
) -> None:
    waiting = (await ana.get("/api/v1/runs", params={"state": "awaiting_approval"})).json()["items"][-1]
    page = (await ana.get("/runs")).text
    inbox = page.split('<form class="filters"')[0]
    assert f'action="/runs/{waiting["id"]}/approve"' in inbox
    assert f'action="/runs/{waiting["id"]}/refuse"' in inbox
    assert "hx-post" not in inbox, "an answer in place would be another page"
    assert "Waiting for approval" not in (await ana.get("/runs?state=succeeded")).text
    one = (await ana.get(f"/runs/{waiting['id']}")).text
    assert "It would still do exactly this." in one
    assert "awaiting approval" in one.split("Timeline</h2>")[1]

    table = tables.run
    was = waiting["plan"]
    change = table.update().where(table.c.id == waiting["id"])
    await engine.db.run(lambda conn: conn.execute(change.values(plan=["restart: something else"])))
    differs = (await ana.get(f"/runs/{waiting['id']}")).text
    await engine.db.run(lambda conn: conn.execute(change.values(plan=was)))
    assert '<span class="minus">- restart: something else</span>' in differs
    assert re.search(r'class="plus">\+ restart: run /bin/true --graceful checkout', differs)


async def test_a_series_says_why_it_was_flagged(visitor: httpx.AsyncClient) -> None:
    listed = (await visitor.get("/series", params={"q": "checkout_error_ratio"})).text
    ident = re.search(r'href="/series/(\w+)"', listed)
    assert ident
    page = (await visitor.get(f"/series/{ident[1]}")).text
    told = page.split("Why it was flagged</h2>")[1]
    assert "its objective is 1 %" in told
    assert "Adaptive scores it 5.8, the bar is 4.0" in told
    assert re.search(r'<a href="/problems/\d+">#', told)
    quiet = (await visitor.get("/series", params={"q": "node_load1 web-1"})).text
    ident = re.search(r'href="/series/(\w+)"', quiet)
    assert ident
    assert "It was not, in the last week." in (await visitor.get(f"/series/{ident[1]}")).text


async def test_now_names_the_likely_cause(visitor: httpx.AsyncClient) -> None:
    assert "Likely cause: <b>checkout</b>" in (await visitor.get("/")).text


async def test_sources_tell_their_cardinality_and_their_limits(
    visitor: httpx.AsyncClient, engine: Engine
) -> None:
    page = (await visitor.get("/sources")).text
    assert f'max="{len(engine.index)}" value="16"' in page
    assert "learnt from 1 d of history" in page
    assert "Limits and settings of prod" in page
    assert "every: 60.0" in page


async def test_whether_playbooks_help_is_weighed_once_a_minute(
    visitor: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (await visitor.get("/uplift")).text
    assert "Do playbooks help?" in page
    assert "trim-cache" in page
    monkeypatch.delattr("aiops.web.api.autonomy.measure")
    assert "trim-cache" in (await visitor.get("/uplift", headers={"HX-Request": "true"})).text

"""The API against a real engine whose last hour went wrong (tests/world.py)."""

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from aiops.engine.engine import Engine
from aiops.store import audit, tokens, views
from aiops.testing import eventually
from aiops.web.app import create_app
from aiops.web.redact import redacted
from tests.browser import served
from tests.world import NOW, config_in, token_of

pytestmark = pytest.mark.asyncio(loop_scope="module")
BASE = "http://127.0.0.1:8750"


@pytest_asyncio.fixture(loop_scope="module")
async def client(engine: Engine) -> AsyncIterator[httpx.AsyncClient]:
    """Nobody in particular."""
    transport = httpx.ASGITransport(create_app(engine), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=BASE) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def ana(engine: Engine, client: httpx.AsyncClient) -> dict[str, str]:
    """The header of somebody with a token."""
    return {"Authorization": f"Bearer {await token_of(engine)}"}


async def items(client: httpx.AsyncClient, path: str, **params: Any) -> list[dict[str, Any]]:
    answer = await client.get(f"/api/v1{path}", params=params)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


async def one(client: httpx.AsyncClient, path: str, **params: Any) -> dict[str, Any]:
    found = await items(client, path, **params)
    assert found, (path, params)
    return found[0]


async def test_problems_are_narrowed_by_every_filter(client: httpx.AsyncClient) -> None:
    every = await items(client, "/problems")
    assert [p["id"] for p in every] == sorted((p["id"] for p in every), reverse=True)
    assert {p["stage"] for p in await items(client, "/problems", stage="active")} == {"active"}
    assert {p["state"] for p in await items(client, "/problems", state="resolved")} == {"resolved"}
    assert {p["severity"] for p in await items(client, "/problems", severity="critical")} == {"critical"}
    by_label = await items(client, "/problems", label=["service=checkout"])
    assert by_label
    assert all(p["labels"]["service"] == "checkout" for p in by_label)
    assert await items(client, "/problems", label=["service=checkout", "service=search"]) == []
    assert ["FILESYSTEM" in p["title"].upper() for p in await items(client, "/problems", text="FileSystem")]
    assert await items(client, "/problems", text="100%_nothing") == []
    both = await items(client, "/problems", state=["open", "resolved"])
    assert {p["state"] for p in both} == {"open", "resolved"}


async def test_pages_follow_each_other_without_gap_or_repeat(client: httpx.AsyncClient) -> None:
    every = [alert["id"] for alert in await items(client, "/alerts")]
    seen: list[int] = []
    cursor: str | None = None
    while True:
        params = {"limit": 3} | ({"cursor": cursor} if cursor else {})
        page = (await client.get("/api/v1/alerts", params=params)).json()
        assert len(page["items"]) <= 3
        seen += [alert["id"] for alert in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == every
    assert len(seen) > 6


async def test_a_problem_comes_with_all_that_belongs_to_it(client: httpx.AsyncClient) -> None:
    active = await one(client, "/problems", stage="active")
    whole = (await client.get(f"/api/v1/problems/{active['id']}")).json()
    assert {a["labels"]["service"] for a in whole["alerts"]} == {"checkout"}
    assert "sli" in {a["kind"] for a in whole["alerts"]}
    points = whole["evidence"][str(whole["alerts"][0]["id"])]
    assert len(points["times"]) == len(points["observed"]) == len(points["upper"]) > 60
    assert points["times"] == sorted(points["times"])
    assert [r["state"] for r in whole["runs"]] == ["awaiting_approval"]
    assert whole["runs"][0]["text"].startswith("playbook: restart-checkout")
    assert whole["tickets"][0]["sink"] == "itsm"
    assert {d["state"] for d in whole["deliveries"]} == {"sent", "dead"}
    moves = [(t["entity"], t["to_state"]) for t in whole["timeline"]]
    assert ("problem", "open") in moves
    assert ("problem", "active") in moves


def _no_constant(found: str) -> None:
    pytest.fail(f"{found} is no JSON")


async def test_times_are_iso_8601_in_utc_and_nan_never_leaks(client: httpx.AsyncClient) -> None:
    utc = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")
    active = await one(client, "/problems", stage="active")
    assert utc.match(active["opened"])
    assert active["breached"]
    assert active["resolved"] is None
    for path in (f"/problems/{active['id']}", "/alerts", "/series", "/sources", "/runs", "/deliveries"):
        answer = await client.get(f"/api/v1{path}")
        json.loads(answer.text, parse_constant=_no_constant)
    points = (await client.get("/api/v1/alerts/1/points")).json()
    assert all(utc.match(time) for time in points["times"])


async def test_series_are_found_by_selector_and_by_words(engine: Engine, client: httpx.AsyncClient) -> None:
    assert len(await items(client, "/series", match='node_load1{host!="web-1"}')) == 2
    found = await one(client, "/series", match="FREE /var")
    assert found["text"] == 'host_filesystem_free_ratio{host="db-2", mountpoint="/var"}'
    assert found["ready"]
    points = (await client.get(f"/api/v1/series/{found['id']}/points")).json()
    assert points["observed"][-1] < points["lower"][-1]
    assert (await client.get(f"/api/v1/series/{found['id']}")).json() == found
    page = (await client.get("/api/v1/series", params={"limit": 5})).json()
    rest = await items(client, "/series", cursor=page["next"], limit=500)
    assert len(page["items"]) + len(rest) == len(engine.index)


@pytest.mark.parametrize(
    ("path", "status", "word"),
    [
        ("/problems/999", 404, "there is no problem 999"),
        ("/alerts/999", 404, "alert"),
        ("/alerts/999/points", 404, "alert"),
        ("/series/ffffffffffffffff", 404, "series"),
        ("/runs/999", 404, "run"),
        ("/deliveries/999", 404, "delivery"),
        ("/problems?cursor=%3F%3F", 422, "cursor"),
        ("/problems?limit=0", 422, "query.limit"),
        ("/problems?label=service", 422, "name=value"),
        ("/problems?state=broken", 422, "query.state"),
        ("/series?match={host~1}", 422, "column"),
        ("/nowhere", 404, "Not Found"),
    ],
)
async def test_errors_are_problem_details(
    client: httpx.AsyncClient, path: str, status: int, word: str
) -> None:
    answer = await client.get(f"/api/v1{path}")
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert word in body["detail"]
    assert body["title"]


async def test_every_route_that_changes_something_refuses_without_a_token(
    engine: Engine, client: httpx.AsyncClient
) -> None:
    document = (await client.get("/api/v1/openapi.json")).json()
    changing = [
        (method, path)
        for path, methods in document["paths"].items()
        for method in methods
        # what a ticket system posts is signed, and refused by its sink when it is not
        if method in ("post", "put", "patch", "delete") and "/inbound/" not in path
    ]
    assert len(changing) >= 12
    for method, path in changing:
        url = re.sub(r"{\w+}", "1", path)
        for headers in ({}, {"Authorization": "Bearer fw_wrong"}, {"Authorization": "Basic Zm9vOmJhcg=="}):
            answer = await client.request(method, url, headers=headers, json={})
            assert answer.status_code == 401, (method, path, answer.text)
            assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_acknowledge_and_comment_reach_the_pipeline(
    engine: Engine, client: httpx.AsyncClient, ana: dict[str, str]
) -> None:
    problem = await one(client, "/problems", text="filesystem")
    path = f"/api/v1/problems/{problem['id']}"
    answer = await client.post(f"{path}/acknowledge", headers=ana)
    assert answer.status_code == 202
    assert answer.json()["told"] == "acknowledge"
    answer = await client.post(f"{path}/comment", headers=ana, json={"text": "<b>mine</b>"})
    assert answer.status_code == 202
    timeline: list[dict[str, Any]] = []

    async def said() -> bool:
        timeline[:] = (await client.get(path)).json()["timeline"]
        return any("<b>mine</b>" in row["reason"] and row["actor"] == "ana" for row in timeline)

    for _ in range(100):
        if await said():
            break
        await engine.pipeline.call(lambda state: None)
    assert await said(), timeline
    now = (await client.get(path)).json()
    assert now["assignee"] == "ana"
    assert now["acknowledged"] == "2026-01-09T16:00:00Z"
    assert (await client.post(f"{path}/comment", headers=ana, json={"text": ""})).status_code == 422


async def test_what_the_lifecycle_forbids_is_a_conflict(
    client: httpx.AsyncClient, ana: dict[str, str]
) -> None:
    over = await one(client, "/problems", state="resolved")
    for verb in ("resolve", "escalate"):
        answer = await client.post(f"/api/v1/problems/{over['id']}/{verb}", headers=ana)
        assert answer.status_code == 409
        assert "resolved" in answer.json()["detail"]
    ended = await one(client, "/runs", state="succeeded")
    answer = await client.post(f"/api/v1/runs/{ended['id']}/approve", headers=ana)
    assert answer.status_code == 409


async def test_a_run_is_refused_with_a_note(
    engine: Engine, client: httpx.AsyncClient, ana: dict[str, str]
) -> None:
    waiting = await one(client, "/runs", state="awaiting_approval")
    answer = await client.post(f"/api/v1/runs/{waiting['id']}/refuse", headers=ana, json={"note": "not now"})
    assert answer.status_code == 200
    assert answer.json()["state"] == "expired"
    assert "ana" in answer.json()["reason"]
    assert "not now" in answer.json()["reason"]
    await eventually(engine.pipeline.queue.empty)
    again = await client.post(f"/api/v1/runs/{waiting['id']}/refuse", headers=ana)
    assert again.status_code == 409


async def test_a_dead_letter_is_replayed_once(
    engine: Engine, client: httpx.AsyncClient, ana: dict[str, str]
) -> None:
    dead = (await items(client, "/deliveries", state="dead", sink="pager"))[0]
    assert "401" in dead["error"]
    assert (await client.get(f"/api/v1/deliveries/{dead['id']}")).json()["tries"][0]["ok"] is False
    answer = await client.post(f"/api/v1/deliveries/{dead['id']}/replay", headers=ana)
    assert answer.status_code == 200
    assert answer.json()["message_id"] == dead["message_id"]
    sent = await one(client, "/deliveries", state="sent")
    assert (await client.post(f"/api/v1/deliveries/{sent['id']}/replay", headers=ana)).status_code == 409


async def test_silences_are_made_listed_and_ended(client: httpx.AsyncClient, ana: dict[str, str]) -> None:
    wish = {"match": '{host="web-1"}', "reason": "new disk", "duration": "2h"}
    made = (await client.post("/api/v1/silences", headers=ana, json=wish)).json()
    assert made["state"] == "active"
    assert made["ends"] == "2026-01-09T18:00:00Z"
    assert made["created_by"] == "ana"
    assert [s["id"] for s in await items(client, "/silences")] == [made["id"]]
    ended = await client.post(f"/api/v1/silences/{made['id']}/expire", headers=ana)
    assert ended.json()["state"] == "expired"
    assert await items(client, "/silences") == []
    assert [s["id"] for s in await items(client, "/silences", expired=True)] == [made["id"]]
    for bad in (
        wish | {"match": "{host~1}"},
        wish | {"ends": "2020-01-01T00:00:00Z", "duration": None},
        wish | {"ends": "2027-01-01T00:00:00Z"},
        wish | {"reason": ""},
    ):
        assert (await client.post("/api/v1/silences", headers=ana, json=bad)).status_code == 422, bad


async def test_a_config_text_is_checked_with_places(client: httpx.AsyncClient, ana: dict[str, str]) -> None:
    good = await client.post("/api/v1/config/check", headers=ana, json={"text": "sources: [{kind: host}]\n"})
    assert good.json() == {"ok": True, "complaints": []}
    text = "sources:\n  - kind: host\n    evry: 2s\n"
    found = (await client.post("/api/v1/config/check", headers=ana, json={"text": text})).json()
    assert found["ok"] is False
    complaint = found["complaints"][0]
    assert complaint["line"] == 3
    assert "evry" in complaint["message"]
    assert "every" in complaint["suggestion"]


async def test_the_config_is_shown_without_passwords(client: httpx.AsyncClient, tmp_path: Path) -> None:
    shown = (await client.get("/api/v1/config")).json()
    assert shown["sources"][0]["name"] == "prod"
    assert shown["limits"][0]["breach"]["below"] == 0.05
    secretive = config_in(tmp_path, store="postgresql+psycopg://ana:hunter2@db/forewarn")
    text = json.dumps(redacted(secretive))
    assert "hunter2" not in text
    assert "postgresql+psycopg://ana:***@db/forewarn" in text


async def test_sources_tell_their_health(client: httpx.AsyncClient) -> None:
    source = await one(client, "/sources")
    assert source["name"] == "prod"
    assert source["series"] == 16
    assert source["error"] == ""
    assert source["last_ok"] == "2026-01-09T16:00:00Z"


async def test_operations(engine: Engine, client: httpx.AsyncClient) -> None:
    assert (await client.get("/-/healthy")).text == "healthy\n"
    assert (await client.get("/-/ready")).status_code == 200
    engine.pipeline.store_error = "disk full"
    try:
        answer = await client.get("/-/ready")
        assert answer.status_code == 503
        assert answer.text.startswith("not ready: ")
    finally:
        engine.pipeline.store_error = ""
    metrics = await client.get("/metrics")
    assert "forewarn_samples_total" in metrics.text
    assert "text/plain" in metrics.headers["content-type"]


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8750", "127.0.0.1.nip.io", "[::2]", ""])
async def test_a_foreign_host_header_is_refused(client: httpx.AsyncClient, host: str) -> None:
    for path in ("/", "/api/v1/problems", "/metrics"):
        answer = await client.get(path, headers={"Host": host})
        assert answer.status_code == 421
        assert "evil" not in answer.headers.get("location", "")


@pytest.mark.parametrize("host", ["localhost:8750", "127.0.0.1", "[::1]:9", "LOCALHOST"])
async def test_loopback_hosts_are_ours(client: httpx.AsyncClient, host: str) -> None:
    assert (await client.get("/-/healthy", headers={"Host": host})).status_code == 200


async def test_reading_needs_a_token_where_others_reach_the_port(engine: Engine, ana: dict[str, str]) -> None:
    before = engine.config
    engine.config = before.model_copy(
        update={"web": before.web.model_copy(update={"listen": "0.0.0.0:8750"})}
    )
    try:
        transport = httpx.ASGITransport(create_app(engine))
        async with httpx.AsyncClient(transport=transport, base_url="http://10.0.0.7:8750") as outside:
            assert (await outside.get("/api/v1/problems")).status_code == 401
            assert (await outside.get("/api/v1/problems", headers=ana)).status_code == 200
            page = await outside.get("/problems")
            assert page.status_code == 303
            assert page.headers["location"] == "/sign-in?next=/problems"
            assert (await outside.get("/-/healthy", headers={"Host": "evil.example"})).status_code == 421
    finally:
        engine.config = before


async def test_the_document_is_complete(client: httpx.AsyncClient) -> None:
    document = (await client.get("/api/v1/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    described = {tag["name"] for tag in document["tags"]}
    for path, methods in document["paths"].items():
        for method, route in methods.items():
            assert set(route["tags"]) <= described, path
            assert route["tags"], path
            assert route["summary"], path
            good = [code for code in route["responses"] if code.startswith("2")]
            assert good, (method, path)
            if path.startswith("/api/") and good[0] not in ("204",):
                content = route["responses"][good[0]]["content"]
                (kind,) = content
                assert kind in ("application/json", "text/markdown", "text/event-stream"), (method, path)
                assert content[kind]["schema"], (method, path)
    text = json.dumps(document)
    for reference in set(re.findall(r'"#/components/schemas/([^"]+)"', text)):
        assert reference in document["components"]["schemas"], reference


async def test_a_token_is_kept_as_its_digest_only(engine: Engine) -> None:
    plain = await token_of(engine, "ben")
    assert re.fullmatch(r"fw_[0-9A-Za-z]{43}", plain)
    with engine.db.read_only() as conn:
        rows = [tuple(row) for row in conn.exec_driver_sql("select * from token")]
        assert plain not in str(rows)
        assert plain not in str(audit.of_problem(conn, 1))
        found = tokens.verify(conn, plain, NOW)
        assert found
        assert found.name == "ben"
        assert tokens.verify(conn, plain + "x", NOW) is None
    assert found
    assert await engine.db.run(tokens.revoke, found.token_id, NOW)
    with engine.db.read_only() as conn:
        assert tokens.verify(conn, plain, NOW) is None


@pytest.mark.parametrize("ident", ["0", "-1", "2147483648", "99999999999999999999", "1.5", "x", "%00"])
async def test_ids_that_no_store_holds_are_refused(client: httpx.AsyncClient, ident: str) -> None:
    for path in (
        "/api/v1/problems/",
        "/api/v1/alerts/",
        "/api/v1/runs/",
        "/api/v1/deliveries/",
        "/problems/",
    ):
        answer = await client.get(path + ident)
        assert answer.status_code in (404, 422), (path, answer.text)
    assert (await client.get("/api/v1/alerts", params={"problem": ident})).status_code == 422


async def test_control_characters_never_reach_the_store(
    engine: Engine, client: httpx.AsyncClient, ana: dict[str, str]
) -> None:
    wish = {"match": '{host="web-9"}', "reason": "a\x00b\x1b[31mc", "duration": "1h"}
    made = await client.post("/api/v1/silences", headers=ana, json=wish)
    assert made.json()["reason"] == "ab[31mc"
    await client.post(f"/api/v1/silences/{made.json()['id']}/expire", headers=ana)
    assert (await client.get("/api/v1/problems", params={"text": "\x00"})).status_code == 200


# -- what people do


async def told(client: httpx.AsyncClient, ana: dict[str, str], path: str, **body: Any) -> httpx.Response:
    return await client.post(f"/api/v1/problems/{path}", json=body or None, headers=ana)


async def seen(client: httpx.AsyncClient, ident: int, name: str, wanted: Any) -> dict[str, Any]:
    """The problem, once its field has that value."""
    for _ in range(100):
        whole: dict[str, Any] = (await client.get(f"/api/v1/problems/{ident}")).json()
        if whole[name] == wanted:
            return whole
        await asyncio.sleep(0.02)
    pytest.fail(f"{name} of problem {ident} is {whole[name]!r}")


async def test_assign_snooze_and_wake(client: httpx.AsyncClient, ana: dict[str, str], engine: Engine) -> None:
    ident = (await one(client, "/problems", text="filesystem"))["id"]
    assert (await told(client, ana, f"{ident}/assign", to="bob")).status_code == 202
    await seen(client, ident, "assignee", "bob")
    assert (await told(client, ana, f"{ident}/snooze", duration="2h", note="known")).status_code == 202
    until = datetime.fromtimestamp(engine.clock.now() + 7200, UTC).isoformat().replace("+00:00", "Z")
    whole = await seen(client, ident, "snoozed_until", until)
    assert "snoozed for 2 h: known" in [row["reason"] for row in whole["timeline"]]
    assert whole["deliveries"][0]["reason"] == "updated", "the ticket is told"
    for body in ({}, {"duration": "2h", "until": until}, {"duration": "0s"}, {"duration": "999d"}):
        assert (await told(client, ana, f"{ident}/snooze", **body)).status_code == 422, body
    await told(client, ana, f"{ident}/wake")
    await seen(client, ident, "snoozed_until", None)


async def test_marks_are_kept_with_their_evidence(client: httpx.AsyncClient, ana: dict[str, str]) -> None:
    ident = (await one(client, "/problems", text="filesystem"))["id"]
    assert (await told(client, ana, f"{ident}/mark", verdict="true", note="it filled up")).status_code == 202
    whole = await seen(client, ident, "verdict", "true")
    assert [(m["verdict"], m["note"], m["made_by"]) for m in whole["marks"]] == [
        ("true", "it filled up", "ana")
    ]
    kept = await one(client, "/marks", verdict="true")
    assert kept["problem_key"] == whole["key"]
    assert kept["evidence"]["alerts"][0]["labels"]["__name__"] == "host_filesystem_free_ratio"
    assert (await told(client, ana, f"{ident}/mark", verdict="perhaps")).status_code == 422
    wrong = await told(client, ana, f"{ident}/mark", verdict="true", duplicate_of=1)
    assert wrong.status_code == 422


async def test_split_then_merge_brings_back_one_with_linked_tickets(
    client: httpx.AsyncClient, ana: dict[str, str]
) -> None:
    whole = await one(client, "/problems", stage="active")
    whole = (await client.get(f"/api/v1/problems/{whole['id']}")).json()
    ident, alerts = whole["id"], [a["id"] for a in whole["alerts"]]
    assert len(alerts) > 2
    assert (await told(client, ana, f"{ident}/split", alerts=alerts)).status_code == 422
    assert (await told(client, ana, f"{ident}/split", alerts=[9999])).status_code == 422
    assert (await told(client, ana, f"{ident}/split", alerts=alerts[-1:], note="two")).status_code == 202
    newest = 0
    for _ in range(100):
        newest = (await one(client, "/problems"))["id"]
        if newest > ident and (await client.get(f"/api/v1/problems/{newest}")).json()["related"]:
            break
        await asyncio.sleep(0.02)
    new = (await client.get(f"/api/v1/problems/{newest}")).json()
    assert [a["id"] for a in new["alerts"]] == alerts[-1:]
    assert [(r["how"], r["id"]) for r in new["related"]] == [("split from", ident)]
    assert new["deliveries"], "it is told of in a ticket of its own"
    assert (await told(client, ana, f"{newest}/merge", into=newest)).status_code == 422
    assert (await told(client, ana, f"{newest}/merge", into=424242)).status_code == 404
    assert (await told(client, ana, f"{newest}/merge", into=ident, note="one after all")).status_code == 202
    gone = await seen(client, newest, "merged_into", whole["key"])
    assert (gone["state"], gone["alerts"]) == ("resolved", [])
    kept = (await client.get(f"/api/v1/problems/{ident}")).json()
    assert sorted(a["id"] for a in kept["alerts"]) == sorted(alerts)
    assert ("took in", newest) in [(r["how"], r["id"]) for r in kept["related"]]
    assert (await told(client, ana, f"{newest}/merge", into=ident)).status_code == 409


async def test_links_stand_on_both_sides(client: httpx.AsyncClient, ana: dict[str, str]) -> None:
    idents = [p["id"] for p in await items(client, "/problems")][-2:]
    await told(client, ana, f"{idents[0]}/link", other=idents[1], note="same rack")
    for near, far in (idents, idents[::-1]):
        for _ in range(100):
            whole = (await client.get(f"/api/v1/problems/{near}")).json()
            if whole["related"]:
                break
            await asyncio.sleep(0.02)
        assert (far, "same rack") in [(r["id"], r["note"]) for r in whole["related"]]
    assert (await told(client, ana, f"{idents[0]}/link", other=idents[0])).status_code == 422


async def test_what_a_state_does_not_allow_is_a_conflict(
    client: httpx.AsyncClient, ana: dict[str, str]
) -> None:
    over = (await one(client, "/problems", state="resolved"))["id"]
    for act, body in (("acknowledge", {}), ("snooze", {"duration": "1h"}), ("resolve", {}), ("escalate", {})):
        answer = await told(client, ana, f"{over}/{act}", **body)
        assert answer.status_code == 409, act
        assert "resolved" in answer.json()["detail"]


async def test_the_terminal_does_the_same(engine: Engine) -> None:
    command = str(Path(sys.executable).with_name("forewarn"))

    async with served(engine) as url:

        async def forewarn(*argv: str, token: str = "") -> subprocess.CompletedProcess[str]:
            environment = {**os.environ, "FOREWARN_URL": url, "FOREWARN_TOKEN": token}
            asked = [command, "problem", *argv]
            return await asyncio.to_thread(
                subprocess.run, asked, env=environment, capture_output=True, text=True, timeout=60
            )

        token = await token_of(engine, "eve")
        over = await engine.db.read(views.resolved_problems, 0.0, 1)
        done = await forewarn("snooze", str(over[0]["id"]), "2h", "-m", "known", token=token)
        assert done.returncode == 1
        assert "cannot snooze a problem that is resolved" in done.stderr
        done = await forewarn("comment", "1", "seen in a terminal", token=token)
        assert (done.returncode, done.stdout.split(":")[0]) == (0, "told")
        done = await forewarn("comment", "1", "no token")
        assert done.returncode == 1
        assert "set FOREWARN_TOKEN" in done.stderr
        done = await forewarn("comment", "4242", "where?", token=token)
        assert done.returncode == 1
        assert "there is no problem 4242" in done.stderr


async def test_remediation_is_held_and_let_go(client: httpx.AsyncClient, ana: dict[str, str]) -> None:
    name = "restart-checkout"
    made = await client.post("/api/v1/holds", headers=ana, json={"playbook": name, "reason": "by hand"})
    assert (made.status_code, made.json()["made_by"]) == (201, "ana")
    assert [(one["playbook"], one["lifted"]) for one in await items(client, "/holds")] == [(name, None)]
    unknown = await client.post("/api/v1/holds", headers=ana, json={"playbook": "restrat", "reason": "x"})
    assert unknown.status_code == 422
    assert name in unknown.json()["detail"]
    lifted = await client.post(f"/api/v1/holds/{made.json()['id']}/lift", headers=ana)
    assert lifted.json()["lifted_by"] == "ana"
    assert await items(client, "/holds") == []
    assert len(await items(client, "/holds", lifted=True)) == 1
    assert (await client.post("/api/v1/holds/99/lift", headers=ana)).status_code == 404
    assert (await client.post("/api/v1/holds", json={"reason": "x"})).status_code == 401

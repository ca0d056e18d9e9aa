"""Approvals: of how many, by whom, until when, by which way in; what is asked again before a run begins."""

import asyncio
import os
import re
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
import numpy as np
import pytest
import sqlalchemy as sa

from aiops.config import Config
from aiops.config import Remediation as Settings
from aiops.core.approval_link import Link, opened, sealed
from aiops.engine import messages as say
from aiops.engine.approval_links import KEY_FILE
from aiops.engine.engine import Engine
from aiops.model.frame import Frame
from aiops.model.lifecycle import IllegalTransition, RunState
from aiops.model.problem import EscalationReason
from aiops.model.role import Role
from aiops.store import approvals, audit, holds, runs, tokens
from aiops.store.approvals import Approver, NotAllowed
from aiops.store.database import Database
from aiops.store.tables import approval, delivery, playbook_revision
from aiops.store.tables import problem as problem_table
from aiops.store.tables import run as run_table
from aiops.testing import RecordingSink, ScriptedConnector, eventually
from aiops.web.app import create_app
from tests.browser import served
from tests.engine.run_fixtures import CLOCK, Bench, playbook, shell
from tests.making import labels

T = TypeVar("T")
BASE = "http://127.0.0.1:8750"
NAMED = EscalationReason
ADA, BOB, EVE = (Approver(name) for name in ("ada", "bob", "eve"))


@pytest.fixture
def bench(db: Database, tmp_path: Path) -> Bench:
    return Bench(db, tmp_path, settings=Settings.model_validate({"enabled": True, "approval": {"needs": 2}}))


def waiting(bench: Bench, **terms: Any) -> int:
    """A run that waits for two approvals, with other terms as given."""
    run_id = bench.queue(playbook(shell(f"echo done >> {bench.folder / 'out'}"), autonomy="approve"))
    with bench.db.begin() as conn:
        if terms:
            conn.execute(run_table.update().where(run_table.c.id == run_id).values(**terms))
    return run_id


def give(bench: Bench, run_id: int, who: Approver, at: float | None = None) -> RunState:
    with bench.db.begin() as conn:
        return approvals.give(conn, run_id, who, CLOCK.now() if at is None else at).state


async def test_two_of_many_have_to_approve_and_each_is_in_the_trail(bench: Bench) -> None:
    run_id = waiting(bench)
    assert give(bench, run_id, ADA) is RunState.AWAITING_APPROVAL
    with pytest.raises(runs.RunChanged, match="ada has approved run"):
        give(bench, run_id, ADA)
    assert give(bench, run_id, BOB) is RunState.QUEUED
    with pytest.raises(IllegalTransition):
        give(bench, run_id, EVE)
    async with bench.working():
        run = await bench.until(run_id)
    assert (run.state, run.approved_by, bench.text("out")) == (RunState.SUCCEEDED, "ada, bob", "done\n")
    with bench.db.read_only() as conn:
        trail = [(r["actor"], r["reason"]) for r in audit.of_problem(conn, run.problem_id)]
    assert trail[1:3] == [("ada", "approved by ada: 1 of 2"), ("bob", "approved by ada, bob")]


@pytest.mark.parametrize(
    ("terms", "who", "said"),
    [
        ({"asked_by": "ada"}, ADA, "ada asked for this run: another has to"),
        ({"asked_by": "ada", "approvers": ["ada", "bob"]}, ADA, "another has to"),
        ({"approvers": ["bob", "author"]}, ADA, "who may: bob, author"),
    ],
)
async def test_who_may_not_approve(bench: Bench, terms: dict[str, Any], who: Approver, said: str) -> None:
    run_id = waiting(bench, **terms)
    with pytest.raises(NotAllowed, match=said):
        give(bench, run_id, who)
    with bench.db.read_only() as conn:
        assert approvals.given(conn, run_id) == []
    assert bench.run(run_id).state is RunState.AWAITING_APPROVAL


async def test_a_role_may_be_named(bench: Bench) -> None:
    run_id = waiting(bench, approvers=["author"], needs=1)
    assert give(bench, run_id, Approver("ada", frozenset({"viewer", "author"}))) is RunState.QUEUED


async def test_two_who_approve_at_one_moment_see_each_other(bench: Bench) -> None:
    run_id = waiting(bench)
    with ThreadPoolExecutor(2) as pool:
        ended = list(pool.map(lambda who: give(bench, run_id, who), (ADA, BOB)))
    assert sorted(ended) == sorted([RunState.AWAITING_APPROVAL, RunState.QUEUED])


async def test_what_comes_late_is_refused_and_too_few_are_none(bench: Bench) -> None:
    run_id = waiting(bench)
    run = bench.run(run_id)
    give(bench, run_id, ADA)
    with pytest.raises(runs.RunChanged, match="its time is over"):
        give(bench, run_id, BOB, at=run.expires)
    with bench.db.begin() as conn:
        conn.execute(run_table.update().values(expires=CLOCK.now() + 0.2))
    async with bench.working():
        ended = await bench.until(run_id)
    assert ended.state is RunState.EXPIRED
    assert bench.ends(run_id)[0].reason is NAMED.APPROVAL_EXPIRED
    assert bench.text("out") == ""


async def test_one_refusal_ends_it_and_who_asked_may_take_it_back(bench: Bench) -> None:
    run_id = waiting(bench, asked_by="ada", approvers=["bob"])
    give(bench, run_id, BOB)
    with bench.db.begin() as conn, pytest.raises(NotAllowed):
        approvals.refuse(conn, run_id, EVE, CLOCK.now())
    with bench.db.begin() as conn:
        assert approvals.refuse(conn, run_id, ADA, CLOCK.now(), "a mistake").state is RunState.EXPIRED
    async with bench.working():
        await bench.until(run_id)
    assert bench.ends(run_id)[0].reason is NAMED.APPROVAL_REFUSED
    assert bench.text("out") == ""


@pytest.mark.parametrize("change", ["labels", "match", "hold", "resolved"])
async def test_what_was_so_when_it_was_asked_must_still_be_so(bench: Bench, change: str) -> None:
    step = '{action: command, argv: [/bin/sh, -c, "echo {{ problem.labels.service }}"]}'
    book = playbook(step, autonomy="approve", target='"svc/{{ problem.labels.service }}"')
    run_id = bench.queue(book)
    give(bench, run_id, ADA)
    give(bench, run_id, BOB)
    if change == "hold":
        with bench.db.begin() as conn:
            holds.create(conn, playbook="", reason="by hand", by="ada", at=CLOCK.now())
    bench.firing = change != "resolved"
    seen = {"labels": {"service": "db"}} if change == "labels" else {}
    bench.context = lambda: {"title": "web is slow", "level": 2, "labels": {"service": "web"}} | seen  # type: ignore[method-assign]
    if change == "match":
        bench.books = {}
        with bench.db.begin() as conn:
            text = book.text.replace("match: 'true'", "match: 'problem.level > 3'")
            table = playbook_revision
            conn.execute(table.update().where(table.c.revision == book.revision).values(text=text))
    async with bench.working():
        run = await bench.until(run_id)
    assert (run.state, run.started == run.started) == (RunState.EXPIRED, False)
    said = {
        "labels": "what was approved is not what would be done now: 'svc/web' has become 'svc/db'",
        "match": "the problem has become one that fix does not fit",
        "hold": "on hold by ada",
        "resolved": "resolved before the run began",
    }[change]
    assert said in run.reason


def test_a_link_is_known_again_and_nothing_else_is() -> None:
    key, link = b"k" * 32, Link(7, "it/sm.é", 1000.0)
    text = sealed(key, link)
    assert re.fullmatch(r"[\w.-]+", text)
    assert opened(key, text, 999.0) == link
    assert opened(key, text, 1000.0) is None
    assert opened(b"o" * 32, text, 0.0) is None
    for bad in ("", ".", "7", text[:-1], text.replace("7.", "8.", 1), "x" * 5000, text + ".x", "é" + text):
        assert opened(key, bad, 0.0) is None


RESTART = """\
playbook: restart-{name}
match: 'problem.labels.service == "{name}"'
target: service/{name}
autonomy: approve
guards: {{cooldown: 0s, approval: {{{approval}}}}}
steps:
  - restart: {{action: command, argv: [/bin/sh, -c, 'echo {name} >> {out}']}}
verify: {{command: {{argv: [/bin/true]}}, times: 1, every: 50ms, within: 5s}}
"""


@asynccontextmanager
async def installation(folder: Path, **approval: str) -> AsyncIterator[tuple[Engine, RecordingSink]]:
    """An engine whose services have each a playbook that waits for approval as given, and one sink."""
    shelf = folder / "playbooks"
    shelf.mkdir()
    for name, terms in approval.items():
        text = RESTART.format(name=name, approval=terms, out=folder / "out")
        (shelf / f"{name}.yaml").write_text(text)
    sink = RecordingSink(name="itsm")
    config = Config.model_validate(
        {
            "store": f"sqlite:///{folder / 'forewarn.db'}",
            "data": folder / "data",
            "sources": [ScriptedConnector(name="prod", every=1.0)],
            "limits": [{"match": "up", "breach": {"below": 0.5}}],
            "sinks": [sink],
            "routes": [{"to": "itsm"}],
            "detection": {"detectors": []},
            "playbooks": [shelf],
            "remediation": {"enabled": True},
        }
    )
    engine = Engine(config)
    await engine.start()
    try:
        yield engine, sink
    finally:
        await engine.stop()


async def fault(engine: Engine, service: str, value: float = 0.0) -> None:
    """One sample of the service's `up`."""
    slots = await engine.pipeline.call(lambda state: state.index.slots([labels("up", service=service)]))
    row = Frame(np.array([engine.clock.now()]), np.array(slots), np.array([[value]]))
    await engine.pipeline.queue.put(("prod", row))


async def comes(ask: Callable[[], Awaitable[T]], holds: Callable[[T], bool]) -> T:
    """What `ask` gives, as soon as it is as wanted."""
    for _ in range(1000):
        if holds(got := await ask()):
            return got
        await asyncio.sleep(0.02)
    raise TimeoutError(f"it stays {got}")


async def all_runs(engine: Engine) -> list[dict[str, Any]]:
    query = sa.select(run_table).order_by(run_table.c.id)
    return [dict(row) for row in await engine.db.read(lambda conn: conn.execute(query).mappings().all())]


async def awaiting(engine: Engine, service: str) -> dict[str, Any]:
    """The run that the fault of `service` brings about."""

    async def mine() -> list[dict[str, Any]]:
        return [row for row in await all_runs(engine) if row["playbook"] == f"restart-{service}"]

    return (await comes(mine, bool))[0]


def browser(engine: Engine) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(create_app(engine), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url=BASE, headers={"Accept": "text/html"})


async def state_of(engine: Engine, run_id: int) -> RunState:
    run = await engine.db.read(runs.get, run_id)
    assert run is not None
    return run.state


async def test_the_ticket_carries_a_link_that_approves_once(tmp_path: Path) -> None:
    async with installation(tmp_path, web="needs: 2") as (engine, sink), browser(engine) as anybody:
        await fault(engine, "web")
        run = await awaiting(engine, "web")
        await eventually(lambda: bool(sink.attempts))
        body = sink.attempts[0].body
        link = body["links"]["approval"]
        assert link == body["approval"]["link"]
        assert link in body["summary"]
        assert body["approval"]["plan"][0].startswith("restart: run /bin/sh -c")
        assert (body["approval"]["needs"], body["approval"]["given"]) == (2, [])
        stored = await engine.db.read(lambda conn: conn.execute(sa.select(delivery.c.body)).scalars().all())
        assert "/approve/" not in str(stored), "what is stored can be read by those who may not approve"
        assert stat.S_IMODE((engine.config.data / KEY_FILE).stat().st_mode) == 0o600
        path = link.removeprefix(engine.config.web.address)

        for _ in range(2):
            page = await anybody.get(path)
            assert page.status_code == 200
            assert "restart: run /bin/sh -c" in page.text.replace("&#39;", "'")
        assert await state_of(engine, run["id"]) is RunState.AWAITING_APPROVAL, "a look changes nothing"
        foreign = await anybody.post(path, data={"decision": "approve"}, headers={"Origin": "http://evil"})
        assert foreign.status_code == 403
        done = await anybody.post(path, data={"decision": "approve"})
        assert done.status_code == 200
        assert "1 of 2 approvals are given" in done.text
        again = await anybody.post(path, data={"decision": "approve"})
        assert (again.status_code, "used already" in again.text) == (409, True)
        assert (await anybody.post(path, data={"decision": "refuse"})).status_code == 409
        assert (await anybody.get(path[:-2] + "xx")).status_code == 410
        assert await state_of(engine, run["id"]) is RunState.AWAITING_APPROVAL

        token = await engine.db.run(tokens.create, "ben", engine.clock.now(), role=Role.RESPONDER)
        ben = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        answer = await anybody.post(f"/api/v1/runs/{run['id']}/approve", headers=ben)
        assert [one["given_by"] for one in answer.json()["given"]] == ["a reader of itsm", "ben"]
        await eventually((tmp_path / "out").exists)
        rows = await engine.db.read(audit.of_problem, run["problem_id"])
        assert ("a reader of itsm", "approved by a reader of itsm: 1 of 2") in [
            (row["actor"], row["reason"]) for row in rows
        ]


async def test_a_run_asked_for_by_hand_needs_another_and_carries_no_link(tmp_path: Path) -> None:
    async with installation(tmp_path, web="needs: 1") as (engine, sink), browser(engine) as client:
        await fault(engine, "web")
        first = await awaiting(engine, "web")
        await engine.db.run(approvals.refuse, first["id"], BOB, engine.clock.now())
        engine.runs_wake.set()
        problem = first["problem_id"]
        await eventually(lambda: engine.pipeline.state.problems.find(problem).state == "escalated")  # type: ignore[union-attr]
        await engine.tell(say.Remediate(problem, "ada", "restart-web"))
        run = (await comes(lambda: all_runs(engine), lambda rows: len(rows) > 1))[-1]
        assert (run["state"], run["asked_by"]) == (RunState.AWAITING_APPROVAL, "ada")
        await eventually(lambda: "asked for" in str(sink.attempts[-1].body["why"]))
        assert sink.attempts[-1].body["approval"]["link"] is None
        made = {}
        for name in ("ada", "ben"):
            token = await engine.db.run(tokens.create, name, engine.clock.now(), role=Role.RESPONDER)
            made[name] = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        path = f"/api/v1/runs/{run['id']}/approve"
        refused = await client.post(path, headers=made["ada"])
        assert (refused.status_code, "another has to" in refused.json()["detail"]) == (403, True)
        listed = await terminal(engine, "", "approve")
        assert f"{run['id']}  restart-web on service/web, needs 1, until" in listed
        assert "restart: run /bin/sh -c" in listed
        said = await terminal(
            engine, made["ben"]["Authorization"].removeprefix("Bearer "), "approve", str(run["id"])
        )
        assert said.startswith(f"approved: run {run['id']} of restart-web")
        await eventually((tmp_path / "out").exists)
        told = await terminal(engine, "", "autonomy")
        assert "restart-web: approve (at most approve)" in told


async def terminal(engine: Engine, token: str, *argv: str) -> str:
    """What the command says about the engine, which it reaches by its API."""
    command = str(Path(sys.executable).with_name("forewarn"))
    async with served(engine) as url:
        environment = {**os.environ, "FOREWARN_URL": url, "FOREWARN_TOKEN": token}
        done = await asyncio.to_thread(
            subprocess.run, [command, *argv], env=environment, capture_output=True, text=True, timeout=60
        )
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


async def test_a_problem_that_resolves_while_it_waits_brings_no_action(tmp_path: Path) -> None:
    terms = {"web": "needs: 1", "db": "by: [ana], within: 300ms"}
    async with installation(tmp_path, **terms) as (engine, sink), browser(engine) as client:
        await fault(engine, "db")
        other = await awaiting(engine, "db")
        await eventually(lambda: bool(sink.attempts))
        assert sink.attempts[0].body["approval"]["link"] is None, "its readers are not among those who may"
        await fault(engine, "web")
        run = await awaiting(engine, "web")
        await eventually(lambda: any(one.body["labels"].get("service") == "web" for one in sink.attempts))
        mine = next(one.body for one in sink.attempts if one.body["labels"].get("service") == "web")
        path = mine["links"]["approval"].removeprefix(engine.config.web.address)
        await engine.tell(say.Resolve(run["problem_id"], "ana", "it came back"))
        for one in (run, other):
            await comes(lambda ident=one["id"]: state_of(engine, ident), lambda it: it is RunState.EXPIRED)  # type: ignore[misc]
        late = await client.post(path, data={"decision": "approve"})
        assert (late.status_code, "does not wait" in late.text) == (409, True)
        assert not (tmp_path / "out").exists()
        rows = await engine.db.read(lambda c: c.execute(sa.select(approval)).all())
        assert rows == []
        query = sa.select(problem_table.c.escalation).where(problem_table.c.id == other["problem_id"])
        await comes(
            lambda: engine.db.read(lambda c: c.execute(query).scalar()),
            lambda said: said == NAMED.APPROVAL_EXPIRED.value,
        )

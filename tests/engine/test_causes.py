"""From rows of three tiers to a likely cause: on the problem, in the store, the ticket and the API's row."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from aiops.model.cause import Cause
from aiops.model.frame import Change
from aiops.model.problem import Problem
from aiops.model.series import Labels, labels_of
from aiops.store import causes, tables
from aiops.store.database import Database
from aiops.testing import ScriptedConnector
from aiops.web.api.problems import whole_problem
from tests.making import labels
from tests.walk import SOURCE, Walk, config_of

TIERS = ("proxy", "app", "db")
CALLS = {"proxy": ["app"], "app": ["db"]}
SLOW = {"name": "slow", "match": "latency_seconds", "breach": {"above": 1.0}, "severity": "major"}
LATENCY = {tier: labels("latency_seconds", service=tier) for tier in TIERS}
CPU = {tier: labels("cpu_ratio", service=tier) for tier in TIERS}


class Tiers:
    """Rows of latency and CPU, which wander a little; `slow` seconds are added to a tier and its callers."""

    def __init__(self) -> None:
        self._rng = np.random.default_rng(3)

    def row(self, slow: Mapping[str, float] | None = None) -> dict[Labels, float]:
        noise = self._rng.normal(0, 1, 6)
        out = {}
        for i, tier in enumerate(TIERS):
            passed_on = sum((slow or {}).get(other, 0.0) for other in TIERS[i:])
            out[LATENCY[tier]] = 0.3 - 0.1 * i + 0.01 * noise[i] + passed_on
            out[CPU[tier]] = 0.2 + 0.01 * noise[3 + i]
        return out


async def walked(db: Database, rows: int = 60, **keys: Any) -> tuple[Walk, Tiers]:
    grouping = {"calls": CALLS, "reopen_within": "1s"}
    made, tiers = Walk(db, config_of(limits=[SLOW], grouping=grouping, **keys)), Tiers()
    for _ in range(rows):
        await made.row(tiers.row())
    return made, tiers


def lead_of_one(problem: Problem) -> str:
    return problem.causes.lead.component if problem.causes and problem.causes.lead else ""


def lead_of(made: Walk) -> Cause:
    causes = made.problem.causes
    assert causes is not None
    assert causes.lead is not None
    return causes.lead


async def test_the_slow_tier_leads_though_its_callers_are_slower(db: Database) -> None:
    made, tiers = await walked(db)
    for _ in range(8):
        await made.row(tiers.row({"db": 2.0}))
    lead = lead_of(made)
    assert lead.component == "db"
    assert lead.reasons[0].startswith("latency rose from 100 ms to 2.1")
    assert lead.counterfactual.startswith("would not have fired if latency < ")
    assert "its callers show it too: app" in lead.reasons


async def test_it_is_in_the_store_the_api_the_ticket_and_the_timeline(db: Database) -> None:
    made, tiers = await walked(db)
    for _ in range(8):
        await made.row(tiers.row({"app": 2.0}))
    whole = await db.read(whole_problem, made.problem.id)
    assert whole is not None
    assert (whole["causes"]["known"], whole["causes"]["ranked"][0]["component"]) == (True, "app")
    assert any(row["reason"].startswith("likely cause: app: latency rose") for row in whole["timeline"])
    told = [row["body"] for row in await made.stored(tables.delivery)]
    assert told[-1]["cause"]["ranked"][0]["component"] == "app"
    assert "Likely cause: app; app stands out.\n- latency rose" in told[-1]["summary"]
    again = await made.reopened()
    assert lead_of(again).component == "app"


async def test_thin_evidence_is_unknown_and_says_so(db: Database) -> None:
    made, tiers = await walked(db, rows=3)
    for _ in range(3):
        await made.row(tiers.row({"db": 2.0}))
    found = made.problem.causes
    assert found is not None
    assert (found.known, found.because) == (False, "too little is known of the time before it")
    (body, *_) = [row["body"] for row in await made.stored(tables.delivery)]
    assert "Likely cause: unknown; too little is known of the time before it." in body["summary"]


async def test_one_problem_is_looked_at_seldom_and_a_finding_outlives_its_evidence(db: Database) -> None:
    made, tiers = await walked(db)
    for _ in range(3):
        await made.row(tiers.row({"db": 2.0}))
    looked: list[float] = []
    for _ in range(300):
        await made.row(tiers.row({"db": 2.0}))
        found = made.state.inquiry._looked[made.problem.key]
        if not looked or looked[-1] != found:
            looked.append(found)
    gaps = np.diff(looked)
    assert gaps.min() >= 10.0
    assert len(looked) < 20, "rarer and rarer while nothing new comes"
    assert lead_of(made).component == "db", "the time before has left the ring"


async def test_a_change_joins_the_timeline_and_the_ranking(db: Database) -> None:
    made, tiers = await walked(db)
    deploy = Change(made.clock.now() - 60.0, "deploy", "db 2.0", labels_of({"service": "db"}))
    elsewhere = Change(made.clock.now() - 59.0, "deploy", "shop 9", labels_of({"service": "shop"}))
    for change in (deploy, elsewhere, deploy):
        await made.hear((SOURCE, change))
    for _ in range(8):
        await made.row(tiers.row({"db": 2.0}))
    assert [one.title for one in await db.read(causes.changes, 0.0)] == ["db 2.0", "shop 9"]
    trail = [row["reason"] for row in await made.stored(tables.audit) if "deploy" in row["reason"]]
    assert "deploy: db 2.0 (service db), 62 s before it began" in trail
    assert not any("shop" in text for text in trail)
    assert any(r.startswith("deploy db 2.0") for r in lead_of(made).reasons)
    during = Change(made.clock.now(), "rollback", "db 1.9", labels_of({"service": "db"}))
    await made.hear((SOURCE, during))
    (row,) = [row for row in await made.stored(tables.audit) if "rollback" in row["reason"]]
    assert (row["problem_id"], row["actor"], row["at"]) == (made.problem.id, SOURCE, during.time)


async def test_an_alert_keeps_why_it_joined(db: Database) -> None:
    made, tiers = await walked(db)
    await made.row(tiers.row({"app": 2.0}))
    await made.row(tiers.row({"app": 2.0}))
    joined = {row["labels"]["service"]: row["joined"] for row in await made.stored(tables.alert)}
    assert joined["proxy"] == "nothing near in time shares its labels"
    assert joined["app"] == "called by proxy, 0 s later"
    again = await made.reopened()
    assert {a.joined for a in again.problem.alerts} == set(joined.values())


async def test_two_faults_in_one_chain_become_two_problems_with_a_ticket_each(db: Database) -> None:
    made, tiers = await walked(db)
    for _ in range(30):
        await made.row(tiers.row({"db": 2.0, "proxy": 4.0}))
    first, second = made.state.problems.known
    leads = [p.causes.lead.component for p in (first, second) if p.causes and p.causes.lead]
    assert leads == ["db", "proxy"]
    assert [{dict(a.labels)["service"] for a in p.alerts} for p in (first, second)] == [
        {"app", "db"},
        {"proxy"},
    ]
    opened = [row for row in await made.stored(tables.delivery) if row["reason"] == "opened"]
    assert [row["problem_id"] for row in opened] == [first.id, second.id]
    assert opened[1]["body"]["cause"]["ranked"][0]["component"] == "proxy"
    rows = {row["labels"]["service"]: row["problem_id"] for row in await made.stored(tables.alert)}
    assert rows == {"app": first.id, "db": first.id, "proxy": second.id}
    (reason,) = [
        r["reason"]
        for r in await made.stored(tables.audit)
        if r["from_state"] == "new" and "split" in r["reason"]
    ]
    assert reason.startswith(
        f"split from problem {first.id}: proxy is slow by 3 s more than app can account for"
    )

    again = await made.reopened()
    for _ in range(30):
        await again.row(tiers.row({"db": 2.0, "proxy": 4.0}))
    assert [lead_of_one(p) for p in again.state.problems.known] == ["db", "proxy"], "they stay what they are"
    for _ in range(20):
        await again.row(tiers.row({"proxy": 4.0}))
    assert [row["state"] for row in await made.stored(tables.problem)] == ["resolved", "open"]
    assert lead_of_one(again.problem) == "proxy"


async def test_one_fault_stays_one_problem_however_long_it_lasts(db: Database) -> None:
    made, tiers = await walked(db)
    for _ in range(150):
        await made.row(tiers.row({"db": 2.0}))
    assert lead_of(made).component == "db"


async def test_two_problems_of_one_cause_become_one(db: Database) -> None:
    """That `front` needs `db` is seen late: until then it is no neighbour, and has a problem of its own."""
    made, tiers = await walked(db)
    front = labels("latency_seconds", service="front")
    for row in range(80):
        slow = {"db": 2.0} if row > 10 else {}
        values = tiers.row(slow)
        late = 1.2 if row > 50 else 0.0
        await made.row({**values, front: 0.5 + late + 0.001 * (row % 3)})
        if row == 60:
            made.state.problems.topology.see("front", "db", made.clock.now())
    rows = await made.stored(tables.problem)
    assert [row["state"] for row in rows] == ["open", "resolved"]
    assert rows[1]["merged_into"] == made.problem.key == rows[0]["key"]
    assert {dict(a.labels)["service"] for a in made.problem.alerts} == {"db", "app", "proxy", "front"}
    (told,) = [r["reason"] for r in await made.stored(tables.audit) if r["reason"].startswith("merged into")]
    assert told == f"merged into problem {made.problem.id}: both are caused by db"


async def test_calls_seen_in_a_service_graph_place_alerts_and_causes(db: Database) -> None:
    made, tiers = Walk(db, config_of(limits=[SLOW])), Tiers()
    graph = {
        labels("traces_service_graph_request_total", client=a, server=b, job="tempo"): 5.0
        for a, b in (("proxy", "app"), ("app", "db"))
    }
    for _ in range(60):
        await made.row({**tiers.row(), **graph})
    assert made.state.problems.topology.links() == [("app", "db"), ("proxy", "app")]
    for _ in range(8):
        await made.row({**tiers.row({"db": 2.0}), **graph})
    assert lead_of(made).component == "db"
    again = await made.reopened()
    assert again.state.problems.topology.links() == [("app", "db"), ("proxy", "app")]


async def test_an_sli_by_match_bears_its_own_labels(db: Database) -> None:
    sli = {"name": "shop errors", "of": {"match": "error_ratio"}, "breach": {"above": 0.1}}
    made = Walk(db, config_of(slis=[{**sli, "labels": {"service": "shop"}}]))
    probe = labels("error_ratio", instance="a")
    for value in (0.0, 0.0, 0.5):
        await made.row({probe: value})
    (alert,) = made.problem.alerts
    assert dict(alert.labels)["service"] == "shop"
    assert made.problem.title == "users notice: shop errors is 50 %, its objective is 10 %"
    (evidence,) = await made.stored(tables.evidence)
    assert evidence["points"]["observed"] == [0.0, 0.0, 0.5]
    assert (await made.reopened()).problem.alerts[0].key == alert.key


async def test_alerts_belong_to_the_team_of_their_source(db: Database) -> None:
    source = ScriptedConnector(name=SOURCE, every=2.0, team="payments")
    made = Walk(db, config_of(limits=[SLOW], sources=[source]))
    await made.row({LATENCY["db"]: 5.0, labels("latency_seconds", service="x", team="search"): 5.0})
    assert sorted(p.team for p in made.state.problems.known) == ["payments", "search"]


async def test_a_tier_that_stopped_reporting_is_blamed_when_its_callers_suffer(db: Database) -> None:
    made, tiers = await walked(db)
    for _ in range(12):
        row = tiers.row({"app": 2.0})
        await made.row({one: value for one, value in row.items() if one not in (LATENCY["db"], CPU["db"])})
    lead = lead_of(made)
    assert lead.component == "db"
    assert lead.reasons[0] == "it stopped reporting when this began"


async def test_an_earlier_problem_is_not_taken_for_normal(db: Database) -> None:
    made, tiers = await walked(db, alerting={"resolve_after": "4s"})
    for _ in range(2):
        for _ in range(15):
            await made.row(tiers.row({"proxy": 2.0}))
        for _ in range(25):
            await made.row(tiers.row())
    for _ in range(8):
        await made.row(tiers.row({"proxy": 2.0}))
    last = made.state.problems.known[-1]
    assert last.causes is not None
    assert last.causes.lead is not None, last.causes.because
    assert last.causes.lead.component == "proxy"

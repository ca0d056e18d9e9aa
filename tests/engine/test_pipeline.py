"""The one path on a real store: from a row of samples, or a message, to what is written."""

import asyncio
import logging
from typing import Any

import numpy as np
import pytest

from aiops.config.playbooks import read_playbook
from aiops.core.playbook import Playbook
from aiops.engine import messages as say
from aiops.engine.items import History
from aiops.model.frame import Frame
from aiops.model.lifecycle import AlertState, ProblemState, RunState, Stage
from aiops.model.problem import EscalationReason
from aiops.store import tables
from aiops.store.database import Database
from tests.making import NOW, labels
from tests.walk import DOWN, Walk, config_of, counts

UP = labels("up", service="web")
OTHER = labels("up", service="db")
ERRORS = labels("error_ratio", service="web")

RESTART = """
playbook: restart
match: 'problem.labels.service == "web"'
target: service/web
autonomy: auto
guards: {cooldown: 10m, max_runs: {count: 1, per: 1h}}
steps:
  - restart: {action: command, argv: [/bin/true]}
verify: {command: {argv: [/bin/true]}, times: 1, every: 1s, within: 10s}
"""


def restart() -> Playbook:
    return read_playbook(RESTART, "restart.yaml")


def walk(db: Database, *playbooks: Playbook, **keys: Any) -> Walk:
    return Walk(db, config_of(**{"limits": [DOWN], **keys}), playbooks)


async def states(made: Walk) -> list[tuple[str, str]]:
    """Of stored problems: (state, stage), oldest first."""
    return [(row["state"], row["stage"]) for row in await made.stored(tables.problem)]


async def test_a_fault_becomes_a_problem_with_its_alert_evidence_ticket_and_audit(db: Database) -> None:
    made = walk(db)
    await made.row({UP: 1.0})
    assert await counts(db) == dict.fromkeys(("problem", "alert", "evidence", "delivery", "run", "audit"), 0)
    await made.row({UP: 0.0})
    (problem,) = await made.stored(tables.problem)
    (alert,) = await made.stored(tables.alert)
    (delivery,) = await made.stored(tables.delivery)
    (evidence,) = await made.stored(tables.evidence)
    assert (problem["state"], problem["stage"], problem["severity"]) == ("open", "predicted", "critical")
    assert problem["title"] == "up (service web) is 0, past its limit of 0.5"
    assert (alert["problem_id"], alert["state"], alert["bound"]) == (problem["id"], "firing", 0.5)
    assert (delivery["problem_id"], delivery["reason"], delivery["sink"]) == (problem["id"], "opened", "itsm")
    assert evidence["points"]["observed"] == [1.0, 0.0]
    trail = [(row["entity"], row["from_state"], row["to_state"]) for row in await made.stored(tables.audit)]
    assert trail[:2] == [("alert", "pending", "firing"), ("problem", "new", "open")]
    assert made.woken == 1


async def test_quiet_rows_write_nothing(db: Database) -> None:
    made = walk(db)
    for _ in range(50):
        await made.row({UP: 1.0})
    assert sum((await counts(db)).values()) == 0
    assert await made.stored(tables.watermark) == []


async def test_a_fault_that_ends_resolves_and_tells_so(db: Database) -> None:
    made = walk(db)
    await made.row({UP: 0.0})
    for _ in range(15):
        await made.row({UP: 1.0})
    assert await states(made) == [("resolved", "predicted")]
    assert [row["reason"] for row in await made.stored(tables.delivery)] == ["opened", "resolved"]
    (alert,) = await made.stored(tables.alert)
    assert (alert["state"], alert["reason"]) == ("resolved", "quiet for 30 s")


async def test_transitions_are_logged_in_one_grammar(db: Database, caplog: pytest.LogCaptureFixture) -> None:
    made = walk(db)
    with caplog.at_level(logging.INFO, "aiops.pipeline"):
        await made.row({UP: 0.0})
    (alert,) = await made.stored(tables.alert)
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        f"alert {alert['id']}: pending => firing: up (service web) is 0, past its limit of 0.5",
        f"problem {made.problem.id}: new => open: up (service web) is 0, past its limit of 0.5",
    ]


async def test_a_firing_alert_and_its_problem_are_kept_up_to_date(db: Database) -> None:
    rising = {"match": "load", "breach": {"above": 10.0}, "severity": "major"}
    made = walk(db, limits=[rising])
    load = labels("load", service="web")
    await made.row({load: 11.0})
    seen = []
    for value in (12.0, 13.0, 14.0, 15.0):
        await made.row({load: value})
        seen.append((await made.stored(tables.alert))[0]["observed"])
    assert seen == [12.0, 12.0, 12.0, 15.0], "written at once, then every five seconds"
    assert (await made.stored(tables.problem))[0]["title"] == "load (service web) is 15, past its limit of 10"
    observed = (await made.stored(tables.evidence))[0]["points"]["observed"]
    assert observed == [11.0, 12.0, 13.0, 14.0, 15.0]


async def test_late_rows_are_learnt_and_never_acted_on(db: Database) -> None:
    made = walk(db)
    await made.take({UP: 0.0}, NOW - 121.0, NOW - 120.0)
    assert made.state.alerting.live == {}
    slot = made.state.index.find(UP)
    assert slot is not None
    assert made.state.anomalies.columns["seen"][slot] == 2
    await made.take({UP: 0.0}, NOW - 119.0)
    assert [a.state for a in made.state.alerting.live.values()] == [AlertState.FIRING]


async def test_history_is_learnt_and_never_acted_on(db: Database) -> None:
    made = walk(db)
    slots = made.state.index.slots([UP])
    times = NOW - np.arange(100.0, 0.0, -1.0)
    await made.hear(History("prod", Frame(times, slots, np.zeros((100, 1)))))
    assert made.state.anomalies.columns["seen"][slots[0]] == 100
    assert made.state.alerting.live == {}


async def test_an_sli_breach_makes_a_predicted_problem_active(db: Database) -> None:
    sli = {"name": "errors", "of": {"match": "error_ratio"}, "breach": {"above": 0.01, "for": "4s"}}
    made = walk(db, slis=[sli])
    await made.row({UP: 0.0, ERRORS: 0.0})
    await made.row({UP: 0.0, ERRORS: 0.0}, after=600.0)
    for _ in range(3):
        await made.row({UP: 0.0, ERRORS: 0.5})
    assert await states(made) == [("open", "active")]
    assert made.problem.lead_seconds == 606.0
    reasons = [row["reason"] for row in await made.stored(tables.delivery)]
    assert reasons == ["opened", "breached"]
    assert made.metrics.registry.get_sample_value("forewarn_lead_seconds_sum") == 606.0


async def test_a_silent_breach_has_no_lead(db: Database) -> None:
    sli = {"name": "errors", "of": {"match": "error_ratio"}, "breach": {"above": 0.01}}
    made = walk(db, slis=[sli])
    await made.take({ERRORS: 0.5}, NOW - 5.0)
    assert await states(made) == [("open", "active")]
    assert made.metrics.registry.get_sample_value("forewarn_lead_seconds_sum") == 0.0
    assert [row["reason"] for row in await made.stored(tables.delivery)] == ["opened"]


async def test_time_alone_escalates_although_no_row_comes(db: Database) -> None:
    route = {"to": "itsm", "escalate": {"after": "15m"}}
    made = walk(db, routes=[route], alerting={"stale_after": "1h"})
    await made.row({UP: 0.0})
    await made.pulled(after=899.0)
    assert made.problem.state is ProblemState.OPEN
    await made.pulled(after=1.0)
    assert await states(made) == [("escalated", "predicted")]
    assert [row["reason"] for row in await made.stored(tables.delivery)] == ["opened", "escalated"]


async def test_a_source_that_yields_nothing_more_lets_its_problem_end(db: Database) -> None:
    made = walk(db)
    await made.row({UP: 0.0})
    await made.pulled(after=299.0)
    assert made.problem.state is ProblemState.OPEN
    await made.pulled(after=1.0)
    assert await states(made) == [("resolved", "predicted")]
    (alert,) = await made.stored(tables.alert)
    assert alert["reason"] == "the series stopped"


async def test_alerts_of_a_source_that_was_taken_out_of_the_config_end(db: Database) -> None:
    made = walk(db)
    await made.take({OTHER: 0.0}, NOW, source="former")
    assert len(made.state.alerting.live) == 1
    await made.pulled(after=300.0)
    assert made.state.alerting.live == {}


async def test_a_playbook_that_fits_is_queued_with_its_problem(db: Database) -> None:
    made = walk(db, restart(), remediation={"enabled": True})
    await made.row({UP: 0.0, OTHER: 0.0})
    (run,) = await made.stored(tables.run)
    problems = {row["id"]: row for row in await made.stored(tables.problem)}
    assert problems[run["problem_id"]]["labels"]["service"] == "web"
    assert (run["state"], run["dry_run"], run["target"]) == ("queued", False, "service/web")
    (revision,) = await made.stored(tables.playbook_revision)
    assert revision["text"] == RESTART
    await made.row({UP: 0.0, OTHER: 0.0})
    assert len(await made.stored(tables.run)) == 1


async def test_a_repair_resolves_and_its_failure_escalates(db: Database) -> None:
    made = walk(db, restart(), remediation={"enabled": True})
    await made.row({UP: 0.0})
    problem, run = made.problem, (await made.stored(tables.run))[0]["id"]
    await made.tell(say.RunStarted(problem.id, run, "playbook restart runs"))
    assert await states(made) == [("remediating", "predicted")]
    await made.tell(say.RunEnded(problem.id, run, RunState.SUCCEEDED, None, "verified"))
    assert await states(made) == [("resolved", "predicted")]
    reasons = [row["reason"] for row in await made.stored(tables.delivery)]
    assert reasons == ["opened", "remediating", "resolved"]


async def test_a_run_that_ends_after_the_problem_says_nothing_to_a_closed_ticket(db: Database) -> None:
    made = walk(db, restart(), remediation={"enabled": True})
    await made.row({UP: 0.0})
    problem, run = made.problem, (await made.stored(tables.run))[0]["id"]
    await made.tell(say.Resolve(problem.id, "ann", "found the cable"))
    await made.tell(say.RunEnded(problem.id, run, RunState.EXPIRED, None, "resolved before it began"))
    reasons = [row["reason"] for row in await made.stored(tables.delivery)]
    assert reasons == ["opened", "resolved"]
    assert "resolved before it began" in [row["reason"] for row in await made.stored(tables.audit)]


async def test_a_failed_run_asks_a_person_with_the_reason(db: Database) -> None:
    made = walk(db, restart(), remediation={"enabled": True})
    await made.row({UP: 0.0})
    problem, run = made.problem, (await made.stored(tables.run))[0]["id"]
    await made.tell(say.RunStarted(problem.id, run, "playbook restart runs"))
    failed = EscalationReason.VERIFY_FAILED
    await made.tell(say.RunEnded(problem.id, run, RunState.FAILED, failed, "still no answer"))
    assert (problem.state, problem.escalation) == (ProblemState.ESCALATED, failed)
    assert problem.reason == "the repair did not verify: still no answer"


async def test_a_refused_guard_asks_a_person_at_once(db: Database) -> None:
    made = walk(db, restart(), remediation={"enabled": True})
    await made.row({UP: 0.0})
    first, run = made.problem, (await made.stored(tables.run))[0]["id"]
    await made.tell(say.RunStarted(first.id, run, ""))
    await made.tell(say.RunEnded(first.id, run, RunState.SUCCEEDED, None, "verified"))
    for _ in range(15):
        await made.row({UP: 1.0})
    await made.row({UP: 0.0})
    assert first.state is ProblemState.ESCALATED
    assert first.escalation is EscalationReason.REFUSED_BY_GUARD
    assert "cool-down" in first.reason
    assert len(await made.stored(tables.run)) == 1


async def test_people_are_heard_and_named_in_the_trail(db: Database) -> None:
    made = walk(db)
    await made.row({UP: 0.0})
    problem = made.problem
    await made.tell(say.Acknowledge(problem.id, "ann"))
    await made.tell(say.Comment(problem.id, "ann", "looking"))
    await made.tell(say.Escalate(problem.id, "ann", "need the DBA"))
    await made.tell(say.Resolve(problem.id, "bob"))
    (row,) = await made.stored(tables.problem)
    assert (row["state"], row["assignee"], row["reason"]) == ("resolved", "ann", "resolved by bob")
    trail = await made.stored(tables.audit, tables.audit.c.actor != "forewarn")
    assert [(r["actor"], r["to_state"]) for r in trail] == [
        ("ann", "open"),
        ("ann", "open"),
        ("ann", "escalated"),
        ("bob", "resolved"),
    ]


async def test_a_message_about_a_problem_that_is_over_changes_nothing(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    made = walk(db)
    await made.tell(say.Acknowledge(4711, "ann"))
    assert "4711" in caplog.text
    assert sum((await counts(db)).values()) == 0


async def test_a_silence_holds_a_fault_back_and_gives_it_up_in_the_end(db: Database) -> None:
    until = "2026-01-01T00:01:00Z"
    made = walk(db, silences=[{"match": "up", "until": until, "reason": "release 42"}])
    await made.row({UP: 0.0})
    (alert,) = await made.stored(tables.alert)
    assert (alert["silenced_by"], alert["problem_id"]) == ("release 42", None)
    for _ in range(28):
        await made.row({UP: 0.0})
    assert await states(made) == []
    await made.row({UP: 0.0}, after=2.0)
    assert await states(made) == [("open", "predicted")]
    (alert,) = await made.stored(tables.alert)
    assert (alert["silenced_by"], alert["problem_id"]) == ("", made.problem.id)


async def test_a_call_is_run_in_its_turn_and_its_fault_is_the_callers(db: Database) -> None:
    made = walk(db)
    running = asyncio.create_task(made.pipeline.run())
    assert await made.pipeline.call(lambda state: len(state.index)) == 0
    with pytest.raises(ZeroDivisionError):
        await made.pipeline.call(lambda state: 1 / 0)
    await made.pipeline.queue.put(None)
    await running


async def test_one_problem_for_many_series_of_one_service(db: Database) -> None:
    made = walk(db)
    many = {labels("up", service="web", instance=str(i)): 0.0 for i in range(40)}
    await made.row(many)
    assert len(await made.stored(tables.problem)) == 1
    assert {row["problem_id"] for row in await made.stored(tables.alert)} == {made.problem.id}
    assert made.problem.stage is Stage.PREDICTED

"""What survives the end of a process, however it ended."""

from typing import Any

import pytest

from aiops.config.playbooks import read_playbook
from aiops.core.playbook import Playbook
from aiops.engine import messages as say
from aiops.model.lifecycle import ProblemState, RunState, Stage
from aiops.model.problem import NotifyReason
from aiops.model.signal import Severity
from aiops.store import tables
from aiops.store.database import Database
from tests.making import labels
from tests.walk import DOWN, Walk, config_of, counts

UP = labels("up", service="web")
LOAD = labels("load", service="web")
BUSY = {"match": "load", "breach": {"above": 10.0}, "severity": "minor"}


def playbook() -> Playbook:
    text = """
playbook: restart
match: 'true'
target: service/web
autonomy: auto
guards: {cooldown: 10m}
steps: [{restart: {action: command, argv: [/bin/true]}}]
verify: {command: {argv: [/bin/true]}, times: 1, every: 1s, within: 10s}
"""
    return read_playbook(text, "restart.yaml")


def walk(db: Database, *playbooks: Playbook, **keys: Any) -> Walk:
    return Walk(db, config_of(**{"limits": [DOWN, BUSY], **keys}), playbooks)


@pytest.mark.parametrize("learnt", [True, False], ids=["with its checkpoint", "without"])
async def test_an_ongoing_fault_does_not_open_a_second_problem(db: Database, learnt: bool) -> None:
    made = walk(db)
    await made.row({UP: 0.0})
    before = await counts(db)
    again = await made.reopened(learnt)
    for _ in range(5):
        await again.row({UP: 0.0})
    after = await counts(db)
    assert after == before
    assert again.problem.key == made.problem.key


async def test_a_fault_that_ended_while_nobody_watched_resolves(db: Database) -> None:
    made = walk(db)
    await made.row({UP: 0.0})
    again = await made.reopened()
    await again.row({UP: 1.0}, after=600.0)
    assert again.problem.state is ProblemState.RESOLVED
    assert [row["reason"] for row in await again.stored(tables.delivery)] == ["opened", "resolved"]
    (alert,) = await again.stored(tables.alert)
    assert alert["state"] == "resolved"


async def test_a_problem_comes_back_as_it_was(db: Database) -> None:
    sli = {"name": "errors", "of": {"match": "up"}, "breach": {"below": 0.5, "for": "10s"}}
    made = walk(db, slis=[sli])
    await made.row({UP: 0.0, LOAD: 20.0})
    for _ in range(6):
        await made.row({UP: 0.0, LOAD: 20.0})
    await made.tell(say.Acknowledge(made.problem.id, "ann"))
    again = await made.reopened()
    one, other = again.problem, made.problem
    assert one.stage is Stage.ACTIVE
    for name in ("id", "key", "title", "state", "stage", "severity", "labels", "team", "opened", "breached",
                 "lead_seconds", "assignee", "acknowledged", "reason", "last_evidence"):  # fmt: skip
        assert getattr(one, name) == getattr(other, name), name
    assert [a.key for a in one.alerts] == [a.key for a in other.alerts]
    assert {a.id for a in one.alerts} == {a.id for a in other.alerts}
    assert all(a.problem_key == one.key for a in one.alerts)


async def test_minor_alerts_go_on_gathering(db: Database) -> None:
    made = walk(db, grouping={"open_at": 2})
    await made.row({LOAD: 20.0})
    again = await made.reopened(limits=[DOWN, BUSY], grouping={"open_at": 2})
    await again.row({LOAD: 20.0, labels("load", service="web", instance="2"): 20.0})
    assert len(again.problem.alerts) == 2
    assert again.problem.severity is Severity.MINOR
    assert {row["problem_id"] for row in await again.stored(tables.alert)} == {again.problem.id}


async def test_a_silence_that_ends_after_a_restart_gives_its_alert_up(db: Database) -> None:
    silence = {"match": "up", "until": "2026-01-01T00:01:00Z", "reason": "release"}
    made = walk(db, silences=[silence])
    await made.row({UP: 0.0})
    again = await made.reopened(limits=[DOWN], silences=[silence])
    await again.row({UP: 0.0}, after=10.0)
    assert again.state.problems.known == []
    await again.row({UP: 0.0}, after=60.0)
    assert again.problem.state is ProblemState.OPEN


async def test_evidence_is_added_to_and_not_begun_anew(db: Database) -> None:
    made = walk(db)
    await made.row({UP: 1.0})
    await made.row({UP: 0.0})
    again = await made.reopened(learnt=False)
    await again.row({UP: 0.0}, after=10.0)
    await again.row({UP: 0.0}, after=10.0)
    (evidence,) = await again.stored(tables.evidence)
    assert evidence["points"]["observed"] == [1.0, 0.0, 0.0, 0.0]
    assert evidence["points"]["times"] == sorted(evidence["points"]["times"])


async def test_series_known_before_the_restart_have_charts_after_it(db: Database) -> None:
    made = walk(db)
    await made.row({UP: 1.0})
    again = await made.reopened()
    await again.row({UP: 1.0})
    slot = again.state.index.find(UP)
    assert slot is not None
    assert again.state.recent.points(slot)["observed"].tolist() == [1.0]


async def test_a_run_is_not_queued_twice_and_its_cool_down_goes_on(db: Database) -> None:
    made = walk(db, playbook(), remediation={"enabled": True})
    await made.row({UP: 0.0})
    again = await made.reopened()
    await again.row({UP: 0.0})
    (run,) = await again.stored(tables.run)
    await again.tell(say.RunStarted(again.problem.id, run["id"], "restart runs"))
    assert again.problem.state is ProblemState.REMEDIATING
    third = await again.reopened()
    assert [p.state for p in third.state.problems.known] == [ProblemState.REMEDIATING]
    await third.tell(say.RunEnded(third.problem.id, run["id"], RunState.SUCCEEDED, None, "verified"))
    assert third.problem.state is ProblemState.RESOLVED
    assert len(await third.stored(tables.run)) == 1


async def test_a_sink_that_knew_a_problem_hears_of_its_end(db: Database) -> None:
    made = walk(db)
    await made.row({UP: 0.0})
    again = await made.reopened()
    assert again.state.told[again.problem.key].sinks == {"itsm"}
    await again.tell(say.Resolve(again.problem.id, "ann", "fixed"))
    (*_, last) = await again.stored(tables.delivery)
    assert (last["reason"], last["seq"]) == (NotifyReason.RESOLVED.value, 2)


async def test_a_problem_resolved_of_late_is_reopened_by_its_alert(db: Database) -> None:
    made = walk(db)
    await made.row({UP: 0.0})
    for _ in range(15):
        await made.row({UP: 1.0})
    again = await made.reopened()
    await again.row({UP: 0.0}, after=60.0)
    (problem,) = await again.stored(tables.problem)
    assert problem["state"] == "open"
    assert [row["reason"] for row in await again.stored(tables.delivery)][-1] == "reopened"


async def test_a_problem_long_over_is_left_alone(db: Database) -> None:
    made = walk(db)
    await made.row({UP: 0.0})
    for _ in range(15):
        await made.row({UP: 1.0})
    await made.clock.advance(3600.0)
    again = await made.reopened()
    assert again.state.problems.known == []
    await again.row({UP: 0.0})
    assert len(await again.stored(tables.problem)) == 2

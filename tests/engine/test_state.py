"""What the pipeline owns: built from a config, kept in step with the index, handed on by a reload."""

import json
import math
from typing import Any

import numpy as np
import pytest

from aiops.core.budget import WEEK
from aiops.core.pages import Pages
from aiops.engine import checkpoint
from aiops.engine.capture import parts
from aiops.engine.rules import rules_of, sli_labels
from aiops.engine.state import State
from aiops.engine.tell import router_of
from aiops.model.frame import Frame
from aiops.model.lifecycle import ProblemState
from aiops.model.problem import Problem
from aiops.model.series import SeriesIndex
from aiops.model.signal import AlertKind, Severity
from aiops.store import tables
from aiops.store.database import Database
from aiops.testing import ScriptedConnector
from tests.making import NOW, labels
from tests.walk import DOWN, Walk, config_of

UP = labels("up", service="web")


def test_limits_and_slis_become_rules() -> None:
    low = {"match": "free_ratio", "breach": {"below": 0.05, "for": "10s"}, "horizon": "3d"}
    sli = {
        "name": "errors",
        "of": {"source": "prod", "query": "sum(rate(errors[1m]))"},
        "breach": {"above": 0.01},
        "labels": {"service": "web"},
        "horizon": "4h",
    }
    limit, objective = rules_of(config_of(limits=[low], slis=[sli]))
    assert (limit.kind, limit.name) == (AlertKind.LIMIT, "free_ratio < 0.05")
    assert (limit.bound, limit.sign, limit.hold, limit.horizon) == (0.05, -1, 10.0, 3 * 86400.0)
    assert (objective.kind, objective.severity, objective.sign) == (AlertKind.SLI, Severity.CRITICAL, 1)
    assert objective.horizon == 4 * 3600.0
    assert objective.selector.matches(dict(sli_labels("errors", {"service": "web"})))
    assert not objective.selector.matches(dict(sli_labels("latency", {"service": "web"})))


@pytest.mark.parametrize(("level", "expected"), [(Severity.MINOR, math.inf), (Severity.MAJOR, 300.0)])
def test_the_shortest_wait_of_the_matching_routes_holds(level: Severity, expected: float) -> None:
    routes = [
        {"to": "itsm", "match": "problem.level >= level.major", "escalate": {"after": "15m"}},
        {"to": "itsm", "match": "problem.level >= level.major", "escalate": {"after": "5m"}},
        {"to": "itsm"},
    ]
    waits = router_of(config_of(routes=routes)).routes.wait
    assert waits(Problem("fw-1", NOW, severity=level)) == expected


def test_the_bar_follows_the_schedule_of_each_source() -> None:
    sources = [ScriptedConnector(name="quick", every=1.0), ScriptedConnector(name="slow", every=60.0)]
    index = SeriesIndex()
    index.slots(labels("m", i=str(i)) for i in range(1000))
    state = State(config_of(sources=sources), [], index)
    assert state.bar("quick") > state.bar("slow")


def _counted(pages: Pages, weeks: int) -> None:
    """As if 40 episodes a week had come, of the levels 3 to 8."""
    levels = np.linspace(3.0, 8.0, 40)
    for week in range(weeks + 1):
        pages.budget.take(levels, NOW + week * WEEK)


def test_each_team_has_a_bar_of_its_own_that_outlives_a_restart() -> None:
    sources = [ScriptedConnector(name="shop", team="shop"), ScriptedConnector(name="other")]
    detection = {"detectors": [], "false_pages_per_week": 2.0, "false_pages_of": {"shop": 0.5}}
    state = State(config_of(sources=sources, detection=detection), [], SeriesIndex())
    prior = state.bar("other")
    _counted(state.pages["shop"], 10)
    arrays, facts = checkpoint.capture(state, [])
    again = State(state.config, [], state.index)
    checkpoint.take_up(again, arrays, json.loads(json.dumps(facts)))
    assert again.pages["shop"].budget.asked == 0.5
    assert again.bar("shop") == pytest.approx(8.0, abs=0.4)
    assert again.bar("other") == prior
    detection["false_pages_of"] = {"shop": 20.0}
    loose = State(config_of(sources=sources, detection=detection), [], state.index)
    checkpoint.take_up(loose, arrays, facts)
    assert loose.bar("shop") == pytest.approx(5.5, abs=0.2)


def test_every_part_makes_room_when_series_come() -> None:
    state = State(config_of(limits=[DOWN | {"horizon": "5m"}]), [], SeriesIndex())
    slots = state.index.slots(labels("up", i=str(i)) for i in range(1000))
    state.welcome()
    capacities = {name: columns.capacity for name, columns in parts(state).items()}
    assert capacities["anomalies"] >= 1000
    assert capacities["rule-0"] >= 1000
    assert capacities["ramps-0"] == 0
    state.learn(Frame(np.array([NOW]), slots, np.ones((1, 1000))))
    assert parts(state)["ramps-0"].capacity >= 1000
    assert state.index.last_seen(int(slots[0])) == NOW


async def swapped(made: Walk, **keys: Any) -> Walk:
    """The same process under another configuration, as a reload makes it."""
    again = Walk(made.db, config_of(**keys), made.state.remediation.playbooks, made.state.index, made.clock)
    arrays, facts = checkpoint.capture(made.state, [])
    checkpoint.take_up(again.state, arrays, facts)
    again.state.adopt(made.state)
    return again


async def test_a_reload_keeps_problems_evidence_and_what_sinks_were_told(db: Database) -> None:
    made = Walk(db, config_of(limits=[DOWN]))
    await made.row({UP: 1.0})
    await made.row({UP: 0.0})
    again = await swapped(made, limits=[DOWN], alerting={"resolve_after": "10s"})
    await again.row({UP: 0.0}, after=10.0)
    assert again.problem is made.problem
    assert len(await again.stored(tables.problem)) == 1
    (evidence,) = await again.stored(tables.evidence)
    assert evidence["points"]["observed"] == [1.0, 0.0, 0.0]
    for _ in range(5):
        await again.row({UP: 1.0})
    assert again.problem.state is ProblemState.RESOLVED, "the new quiet of 10 s holds"
    assert [row["reason"] for row in await again.stored(tables.delivery)] == ["opened", "resolved"]


async def test_a_limit_taken_out_of_the_config_lets_its_problem_end(db: Database) -> None:
    made = Walk(db, config_of(limits=[DOWN]))
    await made.row({UP: 0.0})
    again = await swapped(made, limits=[])
    for _ in range(16):
        await again.row({UP: 0.0})
    assert again.problem.state is ProblemState.RESOLVED


async def test_a_reload_does_not_act_again_on_what_was_acted_on(db: Database) -> None:
    made = Walk(db, config_of(limits=[DOWN]))
    await made.row({UP: 0.0})
    again = await swapped(made, limits=[DOWN])
    await again.take({labels("up", service="db"): 0.0}, made.clock.now())
    assert len(again.state.alerting.live) == 1

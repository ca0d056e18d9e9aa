"""Telemetry or system: a fault of the watching is a problem of its own, and nothing is done to the system."""

from aiops.config.playbooks import read_playbook
from aiops.engine.items import Tick
from aiops.model.lifecycle import ProblemState
from aiops.model.signal import AlertKind
from aiops.store import causes, tables
from aiops.store.database import Database
from tests.making import labels
from tests.walk import DOWN, Walk, config_of

LOAD = labels("load", service="web", instance="a:80", job="web")
OTHER = labels("load", service="db", instance="b:80", job="db")
STARTED = labels("process_start_time_seconds", service="web", instance="a:80")
ANY = """
playbook: restart
match: 'true'
autonomy: approve
steps:
  - restart: {action: command, argv: [/bin/true]}
"""


def walk(db: Database, **keys: object) -> Walk:
    return Walk(db, config_of(**keys), [read_playbook(ANY, "any.yaml")])


async def test_a_source_that_does_not_answer_is_a_problem_and_starts_no_playbook(db: Database) -> None:
    made = walk(db)
    for _ in range(20):
        await made.row({LOAD: 1.0})
    for _ in range(8):
        await made.clock.advance(5.0)
        await made.hear(Tick())
    problem = made.problem
    assert problem.title == "source prod has not answered for 40 s"
    assert [a.kind for a in problem.alerts] == [AlertKind.SILENCE]
    assert (problem.state, problem.causes) == (ProblemState.OPEN, None)
    assert await made.stored(tables.run) == []
    for _ in range(20):
        await made.row({LOAD: 1.0})
        await made.hear(Tick())
    assert problem.state is ProblemState.RESOLVED


async def test_a_silent_target_starts_none_and_a_limit_of_the_same_service_does(db: Database) -> None:
    made = walk(db, limits=[DOWN])
    up = labels("up", service="web", instance="probe", job="probe")
    for _ in range(20):
        await made.row({LOAD: 1.0, OTHER: 1.0, up: 1.0})
    for _ in range(12):
        await made.row({OTHER: 1.0, up: 1.0})
        await made.hear(Tick())
    assert made.problem.title == "web a:80 stopped reporting"
    assert await made.stored(tables.run) == []
    await made.row({OTHER: 1.0, up: 0.0})
    assert len(await made.stored(tables.run)) == 1
    assert {a.kind for a in made.problem.alerts} == {AlertKind.SILENCE, AlertKind.LIMIT}


async def test_its_alerts_outlive_the_silence_of_their_source(db: Database) -> None:
    made = walk(db, limits=[DOWN])
    up = labels("up", service="web")
    for _ in range(20):
        await made.row({up: 0.0})
    for _ in range(100):
        await made.clock.advance(5.0)
        await made.hear(Tick())
    states = {p.title: p.state for p in made.state.problems.known}
    assert states["up (service web) is 0, past its limit of 0.5"] is not ProblemState.RESOLVED
    assert len(states) == 2


async def test_a_restart_joins_the_changes(db: Database) -> None:
    made = walk(db)
    for began in (100.0, 100.0, 150.0, 150.0):
        await made.row({STARTED: began})
    assert [c.title for c in await db.read(causes.changes, 0.0)] == ["web started anew"]

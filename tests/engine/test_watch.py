"""Telemetry or system: a fault of the watching is a problem of its own, and nothing is done to the system."""

from aiops.config.playbooks import read_playbook
from aiops.engine import checkpoint
from aiops.engine.items import Tick
from aiops.engine.state import State
from aiops.model.lifecycle import AlertState, ProblemState
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


async def test_a_restart_amid_a_reload_is_told(db: Database) -> None:
    made = walk(db)
    await made.row({STARTED: 100.0})
    old = made.state
    made.state = made.pipeline.state = State(made.config, [], old.index)
    made.state.adopt(old)
    await made.row({STARTED: 150.0})
    assert [c.title for c in await db.read(causes.changes, 0.0)] == ["web started anew"]


async def _silenced(db: Database) -> Walk:
    """One of two targets has stopped reporting, and that is told."""
    made = walk(db)
    for _ in range(20):
        await made.row({LOAD: 1.0, OTHER: 1.0})
    for _ in range(20):
        await made.row({OTHER: 1.0})
        await made.hear(Tick())
    assert made.problem.title == "web a:80 stopped reporting"
    return made


async def _lasts(made: Walk) -> None:
    for _ in range(40):
        await made.row({OTHER: 1.0})
        await made.hear(Tick())
    assert [a.state for a in made.problem.alerts] == [AlertState.FIRING]
    for _ in range(20):
        await made.row({OTHER: 1.0, LOAD: 1.0})
        await made.hear(Tick())
    assert made.problem.state is ProblemState.RESOLVED


async def test_a_target_that_is_silent_stays_so_over_a_restart_until_it_reports(db: Database) -> None:
    made = await _silenced(db)
    await _lasts(await made.reopened())


async def test_a_target_that_is_silent_stays_so_over_a_reload_until_it_reports(db: Database) -> None:
    made = await _silenced(db)
    old = made.state
    arrays, facts = checkpoint.capture(old, [])
    made.state = made.pipeline.state = State(made.config, old.remediation.playbooks, old.index)
    checkpoint.take_up(made.state, arrays, facts)
    made.state.adopt(old)
    await _lasts(made)


async def test_a_target_that_stops_while_we_are_away_is_missed_and_the_others_are_not(db: Database) -> None:
    made = walk(db)
    for _ in range(20):
        await made.row({LOAD: 1.0, OTHER: 1.0})
    await made.clock.advance(1800.0)
    again = await made.reopened()
    third = labels("load", service="api", instance="c:80", job="api")
    for _ in range(20):
        await again.row({OTHER: 1.0})
        await again.row({third: 1.0})
        await again.hear(Tick())
    assert [p.title for p in again.state.problems.known] == ["web a:80 stopped reporting"]


async def test_after_a_long_absence_what_reports_is_met_anew_and_what_was_told_stands(db: Database) -> None:
    made = await _silenced(db)
    await made.clock.advance(7200.0)
    await _lasts(await made.reopened())


async def test_a_source_that_is_silent_stays_so_over_a_restart_until_it_answers(db: Database) -> None:
    made = walk(db)
    for _ in range(20):
        await made.row({LOAD: 1.0})
    for _ in range(8):
        await made.clock.advance(5.0)
        await made.hear(Tick())
    again = await made.reopened()
    for _ in range(20):
        await again.clock.advance(5.0)
        await again.hear(Tick())
    assert [a.state for a in again.problem.alerts] == [AlertState.FIRING]
    for _ in range(20):
        await again.row({LOAD: 1.0})
        await again.hear(Tick())
    assert again.problem.state is ProblemState.RESOLVED

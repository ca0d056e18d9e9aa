"""What a work brings about, in one transaction: problems, alerts, their evidence, outbox, runs, audit."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from random import getrandbits
from typing import Any, TypeAlias

from sqlalchemy.engine import Connection

from aiops.core.notify import Told
from aiops.engine import effects
from aiops.engine.messages import RunEnded, RunStarted
from aiops.engine.state import State
from aiops.engine.tell import tell
from aiops.engine.work import Work
from aiops.model.lifecycle import AlertState, RunState
from aiops.model.problem import Problem, Run
from aiops.model.signal import Alert
from aiops.store import alerts as alert_rows
from aiops.store import audit, causes, notices, runs
from aiops.store import problems as problem_rows
from aiops.store.database import Database
from aiops.store.problems import is_noted, note_number

LONGEST_ID = 64
"""Characters of an entity's id in the audit trail."""
Points: TypeAlias = dict[str, list[float | None]]


class Recorder:
    """Writes works down. All or nothing: on an error the ids that the transaction gave are taken back."""

    def __init__(
        self, db: Database, console: str = "", fence: Callable[[Connection], None] = lambda _: None
    ) -> None:
        """`fence` raises, in the transaction, when it is another engine's turn to write."""
        self._db = db
        self._fence = fence
        self._console = console
        self._doubt: Doubt | None = None

    async def save(self, state: State, work: Work) -> None:
        """Raises SQLAlchemyError when nothing was written, or when who knows: save it once more then.

        A server that goes away while it commits may have done so. A number that is written with each work
        tells, at the next try, whether it had.
        """
        alerts = _alerts(work)
        courses = {a.key: state.course(a).to_json() for a in alerts if _wants_course(a)}
        new: list[Problem | Alert | Run] = [p for p in _problems(state, work) if p.id == 0]
        new += [a for a in alerts if a.id == 0]
        new += [run for _, run in work.runs if run.id == 0]
        doubt = self._doubt
        if doubt is None or doubt.work is not work or not await self._db.read(is_noted, doubt.number):
            doubt = self._doubt = Doubt(work, float(getrandbits(52)))
            try:
                await self._db.run(self._write, state, work, alerts, courses, doubt)
            except BaseException:
                doubt.ids = [(one, one.id) for one in new]
                for one in new:
                    one.id = 0
                raise
        for one, ident in doubt.ids:
            one.id = ident
        self._doubt = None
        state.told |= doubt.told
        for _, run in work.runs:
            state.remediation.note(run)
        for change in work.alert_changes:
            if change.to is AlertState.RESOLVED:
                state.evidence.pop(change.alert.key, None)
                state.refreshed.pop(change.alert.key, None)

    def _write(
        self,
        conn: Connection,
        state: State,
        work: Work,
        alerts: list[Alert],
        courses: dict[Any, Points],
        doubt: "Doubt",
    ) -> None:
        self._fence(conn)
        note_number(conn, doubt.number)
        touched = _problems(state, work)
        problem_rows.save_problems(conn, touched)
        ids = {p.key: p.id for p in (*state.problems.known, *touched)}
        alert_rows.save_alerts(conn, [(alert, ids.get(alert.problem_key)) for alert in alerts])
        alert_rows.save_evidence(conn, {a.id: courses[a.key] for a in alerts if a.key in courses})
        audit.note_all(conn, [*_alert_notes(work, ids), *_problem_notes(work), *_relearnt_notes(work)])
        effects.record(conn, work.problem_changes, state.config.grouping.by)
        for problem, run in work.runs:
            run.problem_id = problem.id
            playbook = state.remediation.named(run.playbook)
            runs.insert(conn, run, playbook.text if playbook else "")
        for problem in work.explained:
            if problem.causes is not None:
                causes.save(conn, problem.id, problem.causes, problem.team)
        for made in work.changes:
            causes.add_change(conn, work.source, made, state.config.team)
        match work.message:
            case RunStarted(run_id=run_id):
                notices.heard(conn, run_id, RunState.RUNNING)
            case RunEnded(run_id=run_id, state=ended):
                notices.heard(conn, run_id, ended)
        for source, until in state.acted_until.items():
            problem_rows.save_watermark(conn, source, until)
        if work.row is not None:
            problem_rows.save_watermark(conn, work.stream or work.source, float(work.row.times[0]))
        doubt.told = tell(conn, state.router, work.problem_changes, state.told, self._console)


@dataclass
class Doubt:
    """A work of which it is not known yet whether it was written, and what holds if it was."""

    work: Work
    number: float
    told: dict[str, Told] = field(default_factory=dict)
    ids: list[tuple[Problem | Alert | Run, int]] = field(default_factory=list)


def _problems(state: State, work: Work) -> list[Problem]:
    """Those that the work changes, and those whose severity or time to breach follows a refreshed alert."""
    keys = {alert.problem_key for alert in work.refresh}
    # what was given up before is made up for with whatever refers to it next
    owed = {change.alert.problem_key for change in work.alert_changes} | {p.key for p in work.explained}
    known = state.problems.known
    found = {p.key: p for p in known if p.key in keys or (p.id == 0 and p.key in owed)}
    return list((found | {problem.key: problem for problem in work.problems()}).values())


def _alerts(work: Work) -> list[Alert]:
    """Changed alerts, those to refresh, and those whose problem is written for the first time."""
    found = {alert.key: alert for alert in work.refresh}
    for problem in work.problems():
        found |= {a.key: a for a in problem.alerts if a.state is AlertState.FIRING}
    found |= {change.alert.key: change.alert for change in work.alert_changes}
    return list(found.values())


def _wants_course(alert: Alert) -> bool:
    return alert.state is not AlertState.PENDING


def _alert_notes(work: Work, ids: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    for change in work.alert_changes:
        one = change.alert
        yield audit.row(
            at=change.at,
            entity="alert",
            entity_id=one.id,
            current=change.current,
            to=change.to,
            reason=change.reason,
            problem_id=ids.get(one.problem_key),
            team=one.team,
        )


def _problem_notes(work: Work) -> Iterator[dict[str, Any]]:
    for change in work.problem_changes:
        yield audit.row(
            at=change.at,
            entity="problem",
            entity_id=change.problem.id,
            current=change.current,
            to=change.to,
            reason=change.reason,
            problem_id=change.problem.id,
            actor=change.actor,
            team=change.problem.team,
        )


def _relearnt_notes(work: Work) -> Iterator[dict[str, Any]]:
    for one in work.relearnt:
        yield audit.row(
            at=one.at,
            entity="series",
            entity_id=one.series[:LONGEST_ID],
            current="learnt",
            to="learnt",
            reason=one.reason,
            team=one.team,
        )

"""The stages of the one path. Each reads and writes the work, none does I/O; `pipeline.py` orders them."""

import asyncio
import logging
from functools import partial

import numpy as np
from numpy.typing import NDArray

from aiops.core import handling
from aiops.core.context import problem_context
from aiops.core.heads import Scored
from aiops.core.problems import ACTOR, ProblemChange
from aiops.core.remediate import Refusal
from aiops.core.telemetry import of_telemetry, only_telemetry
from aiops.engine.asking import queued, replicas_of
from aiops.engine.attention import acquaint, promote
from aiops.engine.because import because
from aiops.engine.relearn import relearn
from aiops.engine.state import State
from aiops.engine.watch import unscored
from aiops.engine.work import Work
from aiops.model.frame import Frame
from aiops.model.lifecycle import ProblemState
from aiops.model.problem import Run
from aiops.model.rows import run_of

log = logging.getLogger("aiops.pipeline")

REFRESH = 5.0
"""Seconds between two updates of a firing alert's row and evidence."""


def detect(state: State, work: Work) -> None:
    """Score the row, learn from it, and say what is over its bar or limit."""
    if work.row is not None and (row := _welcomed(state, work, work.row)):
        work.scored = state.detection.step(row, _held(state, work, float(row.times[0])))
        _judge(state, work, row, work.scored)


async def detect_away(state: State, work: Work) -> None:
    """As `detect`; while the row is scored elsewhere, the event loop goes on."""
    if work.row is not None and (row := _welcomed(state, work, work.row)):
        hold = _held(state, work, float(row.times[0]))
        said = await asyncio.to_thread(state.detection.elsewhere, row, hold)
        work.scored = state.detection.completed(said, row, hold)
        _judge(state, work, row, work.scored)


def _welcomed(state: State, work: Work, row: Frame) -> Frame | None:
    """The whole row that is to be scored, if it is."""
    state.welcome()
    row = row if work.plain else state.slis.beside(row)
    state.index.touch(row.slots[~np.isnan(row.values[0])], float(row.times[0]))
    work.row = row
    if work.plain:
        state.recent.take(unscored(row))
        return None
    state.came_from(work.source, row.slots)
    if not work.stream:
        state.telemetry.see(work.source, row, work.now)
    return row


def _judge(state: State, work: Work, row: Frame, scored: Scored) -> None:
    bar = state.bar(work.source)
    found = state.anomalies.step(scored, bar, state.detector_names)
    found = because(state, scored, found, bar)
    state.count_pages(work.source, scored)
    acquaint(state, scored.time)
    found = state.logs.believed(work.source, found) if work.stream else found
    work.signals += [signal for signal in found if signal.labels not in state.slis.copies]
    for watch in state.rules:
        work.signals += watch.step(row)
    state.recent.take(scored)
    relearn(state, work)
    state.links.see(row)
    work.changes += state.restarts.see(row)
    work.signals = [of_telemetry(signal) for signal in work.signals]


def alert(state: State, work: Work) -> None:
    """Debounce: pending, firing, resolved; and mark what is silenced."""
    if work.row is None:
        work.alert_changes = state.alerting.hear(work.reports, work.source, work.now)
        work.alert_changes += state.alerting.expire(work.now)
        if work.source and not work.reports:
            sources = {work.source} | state.removed_sources()
            work.alert_changes += state.alerting.quiet(sources, work.now)
        for firing in state.alerting.live.values() if work.reports else ():
            firing.silenced_by = state.silences.why(firing.labels, work.now, firing.team)
        return
    row, at = work.row, float(work.row.times[0])
    work.alert_changes = state.alerting.step(work.signals, _values_of_live(state, row), work.source, at)
    state.logs.illustrate(state.alerting.live.values())
    for firing in state.alerting.live.values():
        firing.silenced_by = state.silences.why(firing.labels, work.now, firing.team)


def correlate(state: State, work: Work) -> None:
    """Alerts into problems, and what time alone brings."""
    work.problem_changes += state.problems.correlate(state.alerting.live.values(), work.now)
    work.problem_changes += state.problems.tick(work.now)
    for change in work.problem_changes:
        if change.to == ProblemState.RESOLVED:
            state.alerting.settle(change.problem.alerts)
    if work.problem_changes:
        promote(state)


def remediate(state: State, work: Work) -> None:
    """A playbook for what has opened or worsened, or a person when a guard refuses; none for telemetry."""
    by = state.config.grouping.by
    news = {c.problem.key: c.problem for c in work.problem_changes if _is_news(c)}
    openings = [problem.opened for problem in state.problems.known] if news else []
    for problem in news.values():
        if problem.state is not ProblemState.OPEN or only_telemetry(problem, state.telemetry.silent, by):
            continue
        decision = state.remediation.consider(
            problem, problem_context(problem), work.now, openings, partial(replicas_of, state, problem)
        )
        match decision:
            case Run():
                work.problem_changes += queued(work, problem, decision)
            case Refusal(reason=reason, text=text):
                work.problem_changes += handling.escalate(problem, reason, text, work.now)


def refresh(state: State, work: Work) -> None:
    """Keep the evidence of open problems up to date, a few times a minute."""
    changed = {change.alert.key for change in work.alert_changes}
    for live in state.alerting.live.values():
        due = live.id and live.key not in changed and work.now - state.refreshed.get(live.key, 0.0) >= REFRESH
        if due and live.source == work.source:
            work.refresh.append(live)
            state.refreshed[live.key] = work.now


def _held(state: State, work: Work, at: float) -> NDArray[np.bool_]:
    """Which slots are not learnt from; what a change lets learn again early, its problem's timeline tells."""
    sooner = state.relearning.look(state.alerting.live.values(), at)
    known = {problem.key: problem for problem in state.problems.known} if sooner.due else {}
    for (key, change), series in sooner.due.items():
        if key in known:
            text = state.relearning.said(series, change)
            work.problem_changes += handling.note(known[key], text, at, ACTOR)
    return state.alerting.hold(state.config.detection.relearn_after, at, sooner.after)


def _values_of_live(state: State, row: Frame) -> dict[int, float]:
    """Slot -> its sample in `row`, of the slots that have a live alert."""
    found = (state.index.find(alert.labels) for alert in state.alerting.live.values())
    slots = np.array([slot for slot in found if slot is not None], np.int32)
    if not len(slots):
        return {}
    if isinstance(at := run_of(row.slots), slice):
        here = slots[(slots >= at.start) & (slots < at.stop)] - at.start
    else:
        here = np.flatnonzero(np.isin(row.slots, slots))
    here = here[~np.isnan(row.values[0, here])]
    return dict(zip(row.slots[here].tolist(), row.values[0, here].tolist(), strict=True))


def _is_news(change: ProblemChange) -> bool:
    return change.actor == ACTOR and change.to != ProblemState.RESOLVED

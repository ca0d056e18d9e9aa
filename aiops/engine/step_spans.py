"""One step of the pipeline as spans: stage by stage, of the batch that it is of, and of problems it opens."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from aiops.core.problem_change import ProblemChange
from aiops.engine.clock import Clock
from aiops.engine.spans import Span, Spans, Told, current, first_of
from aiops.engine.work import Work
from aiops.model.lifecycle import RunState
from aiops.model.problem import Problem, Run

FAILED = (RunState.FAILED, RunState.ROLLED_BACK, RunState.INTERRUPTED)
NEW = "new"
"""What a problem was before it was opened."""


class Marks:
    """When each stage of one step was over."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.begun = clock.now()
        self.ends: list[tuple[str, float]] = []

    def passed(self, stage: str) -> None:
        self.ends.append((stage, self._clock.now()))

    @property
    def ended(self) -> float:
        return self.ends[-1][1] if self.ends else self.begun


def tell(spans: Spans, work: Work, marks: Marks) -> None:
    """The step that `marks` timed: within what is open, and in the trace of each problem that it moved."""
    batch = current()
    if batch is not None:
        step = spans.begin("step", batch, marks.begun, _of_work(work))
        _stages(spans, step, marks)
        spans.tell(step, marks.ended)
    for change in {one.problem.key: one for one in reversed(work.problem_changes)}.values():
        if change.current == NEW:
            _opened(spans, change.problem, work, marks, batch)
        elif change.current != change.to:
            _moved(spans, change, marks)


@contextmanager
def of_run(spans: Spans, run: Run, context: Mapping[str, Any]) -> Iterator[None]:
    """The block carries `run` out, or takes it up; `context` is its problem's."""
    about: Told = {"problem": run.problem_id, "run": run.id, "dry_run": run.dry_run, "target": run.target}
    span = spans.of_problem(context.get("key", ""), f"run {run.playbook}", about)
    with spans.opened(span):
        yield
        if span is not None:
            span.about["state"] = run.state.value
            span.error = run.reason if run.state in FAILED else ""


def _opened(spans: Spans, problem: Problem, work: Work, marks: Marks, batch: Span | None) -> None:
    """From the sample that tipped the scales to the commit."""
    first = first_of(problem.key)
    row = work.row
    first.begun = min(float(row.times[-1]), marks.begun) if row is not None else marks.begun
    first.about, first.came_of = {**_of_problem(problem), **_of_work(work)}, batch
    if row is not None:
        taken = spans.begin("take in", first, first.begun)
        spans.tell(taken, marks.begun)
    _stages(spans, first, marks)
    spans.tell(first, marks.ended)


def _moved(spans: Spans, change: ProblemChange, marks: Marks) -> None:
    about = {**_of_problem(change.problem), "from": change.current, "reason": change.reason}
    moved = spans.begin(f"problem {change.to}", first_of(change.problem.key), marks.begun, about)
    spans.tell(moved, marks.ended)


def _stages(spans: Spans, step: Span, marks: Marks) -> None:
    since = marks.begun
    for stage, ended in marks.ends:
        spans.tell(spans.begin(stage, step, since), ended)
        since = ended


def _of_work(work: Work) -> dict[str, str | int]:
    found: dict[str, str | int] = {"source": work.source} if work.source else {}
    if work.row is not None:
        found["samples"] = work.row.samples
    return found


def _of_problem(problem: Problem) -> dict[str, str | int]:
    return {
        "problem": problem.id,
        "problem_key": problem.key,
        "title": problem.title,
        "severity": problem.severity.value,
        "stage": problem.stage.value,
        "team": problem.team,
    }

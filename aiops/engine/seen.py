"""What a run sees of its problem."""

from typing import Any

from aiops.core.context import problem_context
from aiops.core.correlate import still_firing
from aiops.engine.pipeline import Pipeline
from aiops.engine.state import State
from aiops.model.lifecycle import ProblemState
from aiops.model.problem import Problem
from aiops.store import problems as problem_rows
from aiops.store.database import Database


async def context_of(db: Database, pipeline: Pipeline | None, problem_id: int) -> tuple[dict[str, Any], bool]:
    """(context, whether it still fires), from the pipeline where it turns here, else from the store."""

    def look(state: State) -> tuple[dict[str, Any], bool] | None:
        problem = state.problems.find(problem_id)
        return (problem_context(problem), _fires(problem)) if problem else None

    found: Any = await pipeline.call(look) if pipeline else None
    if found is None:
        stored = await db.read(problem_rows.load, problem_id)
        # a pipeline knows every problem that fires
        firing = stored is not None and pipeline is None and _fires(stored)
        found = (problem_context(stored) if stored else {}, firing)
    context, firing = found
    return context, firing


def _fires(problem: Problem) -> bool:
    """Whether there is anything to act on: a person's word that it is over counts before its alerts."""
    return problem.state is not ProblemState.RESOLVED and still_firing(problem)

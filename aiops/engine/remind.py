"""A stage of the one path: what time alone makes worth saying, such as whom to ask next."""

from aiops.engine.state import State
from aiops.engine.work import Work


def remind(state: State, work: Work) -> None:
    """Ask the next person where nobody answered, and say what a storm has brought."""
    work.problem_changes += state.router.reminders(state.problems.known, state.told, work.now)

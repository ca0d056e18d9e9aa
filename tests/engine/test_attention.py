"""What is looked at more closely while a problem is open."""

from aiops.model.lifecycle import ProblemState
from aiops.model.selector import Selector
from aiops.store.database import Database
from tests.core.test_detect import Surprise
from tests.making import labels
from tests.walk import DOWN, Walk, config_of

UP, LOAD, OTHER = labels("up", service="web"), labels("load", service="web"), labels("load", service="db")


async def test_series_of_a_component_with_an_open_problem_are_promoted_for_its_duration(db: Database) -> None:
    head = Surprise(match=Selector.parse("nothing"), near_problems=True, factor=0.0)
    made = Walk(db, config_of(limits=[DOWN], detection={"detectors": [head]}))

    def looked_at() -> list[bool]:
        ready = made.state.detection.ready()
        return [bool(ready[made.state.index.slot(each)]) for each in (LOAD, OTHER)]

    for _ in range(3):
        await made.row({UP: 1.0, LOAD: 5.0, OTHER: 5.0})
    assert looked_at() == [False, False]
    await made.row({UP: 0.0, LOAD: 5.0, OTHER: 5.0})
    assert [one.state for one in made.state.problems.known] == [ProblemState.OPEN]
    assert looked_at() == [True, False], "it knows the past of the series"
    while made.problem.state is not ProblemState.RESOLVED:
        await made.row({UP: 1.0, LOAD: 5.0, OTHER: 5.0}, after=10.0)
    assert looked_at() == [False, False]

"""What is left of error budgets, as the engine's own metrics tell it."""

import math
from typing import Any

import numpy as np

from aiops.engine import vitals
from aiops.engine.metrics import Metrics
from aiops.engine.state import State
from aiops.model.frame import Frame
from aiops.model.series import SeriesIndex
from tests.making import NOW, labels
from tests.walk import config_of

GAUGE = "forewarn_slo_budget_remaining_ratio"


def state_of(*names: str) -> State:
    slis: list[dict[str, Any]] = [
        {
            "name": name,
            "of": {"match": f"{name}_ratio"},
            "breach": {"above": 0.5},
            "objective": {"target": 0.99, "window": "1d", "counts": "share"},
        }
        for name in names
    ]
    slis.append({"name": "plain", "of": {"match": "plain"}, "breach": {"above": 1}})
    return State(config_of(slis=slis), [], SeriesIndex())


def test_each_objective_has_its_own_and_one_that_is_gone_has_none() -> None:
    metrics, state = Metrics(), state_of("errors", "stalls")
    slots = state.index.slots([labels("errors_ratio")])
    state.welcome()
    for step in range(3):
        row = Frame(np.array([NOW + 60.0 * step]), slots, np.array([[0.6]]))
        for watch in state.rules:
            watch.step(row)

    def told(name: str) -> float | None:
        return metrics.registry.get_sample_value(GAUGE, {"slo": name})

    vitals.of_objectives(metrics, state)
    left = told("errors")
    assert left is not None
    assert math.isclose(left, 1 - 2 * 60 * 0.6 / 864)
    assert math.isnan(told("stalls") or 0.0)
    assert told("plain") is None
    vitals.of_objectives(metrics, state_of("stalls"))
    assert told("errors") is None
    assert told("stalls") is not None

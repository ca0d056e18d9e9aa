"""Slots are given to other series all the time: nothing that is said of a series may depend on whose it was.

Two states take the same rows. One forgets series that have stopped, and gives their slots to others; the
other never forgets. No series comes back once it was forgotten.
"""

import itertools
from typing import Any

import numpy as np
import pytest

from aiops.engine import stages
from aiops.engine import state as state_module
from aiops.engine.housekeeping import forget
from aiops.engine.state import State
from aiops.engine.work import Work
from aiops.model.frame import Frame
from aiops.model.series import Labels, SeriesIndex
from tests.making import NOW, labels
from tests.walk import DOWN, SOURCE, config_of

EVERY, FORGET = 15.0, 120.0
DETECTORS: list[dict[str, Any]] = [
    {"kind": "adaptive", "warmup_samples": 12},
    {"kind": "residual", "match": '{__name__=~"load|calls"}'},
    {"kind": "novelty", "match": "calls"},
    {
        "kind": "river_model",
        "match": 'load{number=~".*5"}',
        "model": "river.anomaly.HalfSpaceTrees",
        "params": {"n_trees": 3, "height": 4},
        "scale": "minmax",
        "warmup_samples": 20,
        "window": 64,
        "max_series": 1000,
    },
]
SPACE = {
    "name": "space",
    "match": "avail_bytes",
    "share_of": "size_bytes",
    "breach": {"below": 0.2},
    "severity": "major",
}
SLI = {"name": "speed", "of": {"match": "load"}, "breach": {"above": 200}, "labels": {"sli": "speed"}}


class Life:
    """One pod from its begin to its end, silent now and then, but never for so long that it is forgotten."""

    def __init__(self, number: int, dice: np.random.Generator) -> None:
        self.dice, self.left = dice, int(dice.integers(15, 60))
        self.level, self.service = dice.uniform(10, 100), f"s{number % 4}"
        own = {"pod": f"p{number}-{dice.integers(1 << 30):x}", "number": str(number)}
        self.load = labels("load", service=self.service, **own)
        self.up = labels("up", service=self.service, **own)
        self.avail, self.size = labels("avail_bytes", **own), labels("size_bytes", **own)
        self.calls = labels("calls", client=self.service, server=f"s{number % 3}", **own)
        self.sized = int(dice.choice([0, 30, 1000]))
        """Rows until there is something that what is available is a share of."""
        self.pause = 0

    def row(self) -> dict[Labels, float]:
        dice, self.left, self.sized, self.pause = self.dice, self.left - 1, self.sized - 1, self.pause - 1
        if self.pause < -20 and dice.random() < 0.02:
            self.pause = int(dice.integers(2, 6))
        if self.pause > 0:
            return {}
        self.level += dice.normal(0, 1)
        spike = 60.0 if dice.random() < 0.02 else 0.0
        found = {self.load: self.level + dice.normal(0, 2) + spike, self.calls: abs(dice.normal(5, 1))}
        found |= {self.up: float(dice.random() > 0.03), self.avail: dice.uniform(10, 100)}
        if self.sized < 0:
            found[self.size] = 100.0
        if dice.random() < 0.05:
            found[self.load] = np.nan
        return found


class Twin:
    """A state, and what it says of each row by the names of series."""

    def __init__(self, forgets: bool) -> None:
        detection = {"detectors": DETECTORS, "forget_after": f"{FORGET:g}s"}
        config = config_of(limits=[DOWN, SPACE], slis=[SLI], detection=detection)
        keys = itertools.count()
        with pytest.MonkeyPatch.context() as patch:  # chance would tell which of two problems is the first
            patch.setattr(state_module, "new_key", lambda: f"fw-{next(keys):05d}")
            self.state, self.forgets = State(config, [], SeriesIndex()), forgets
        self.state.bar = lambda source: 4.0  # type: ignore[method-assign] # else by how many series there are

    def take(self, values: dict[Labels, float], at: float) -> dict[str, Any]:
        state, index = self.state, self.state.index
        frame = Frame(np.array([at]), index.slots(values), np.array([list(values.values())]))
        work = Work(at, SOURCE, frame)
        for stage in (stages.detect, stages.alert, stages.correlate):
            stage(state, work)
        scored = work.scored
        assert scored is not None
        assert len(set(scored.slots.tolist())) == len(scored.slots)
        columns = (scored.values, scored.score, scored.expected, scored.lower, scored.upper)
        rows = np.stack(columns, axis=1)
        said = {
            "scores": {
                index.labels(int(slot)): row.tolist() for slot, row in zip(scored.slots, rows, strict=True)
            },
            "signals": sorted((one.labels, one.kind, one.rule) for one in work.signals),
            "alerts": sorted((one.alert.labels, one.to, one.alert.rule) for one in work.alert_changes),
            "links": state.problems.topology.links(),
        }
        if self.forgets and round(at / EVERY) % 7 == 0:
            forget(state, at - FORGET)
        return said


@pytest.mark.parametrize("seed", range(2))
def test_nothing_depends_on_whose_a_slot_was(seed: int) -> None:
    dice = np.random.default_rng(seed)
    one, other = Twin(True), Twin(False)
    lives, made = [Life(number, dice) for number in range(24)], 24
    for step in range(160):
        at = NOW + EVERY * step
        lives = [life for life in lives if life.left > 0]
        while len(lives) < 24 and dice.random() < 0.5:
            lives.append(Life(made, dice))
            made += 1
        values: dict[Labels, float] = {}
        for life in lives:
            values |= life.row()
        if not values:
            continue
        here, there = one.take(values, at), other.take(values, at)
        for what in there:
            assert repr(here[what]) == repr(there[what]), f"{what} at row {step}"
    assert made > 80
    assert one.state.index.capacity < 0.7 * other.state.index.capacity

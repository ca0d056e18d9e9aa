"""What comes far more often than it used to in one source's logs, and what is evidence for less."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from aiops.core.log_surge import Surges
from aiops.model.series import Labels, labels_of

Key: TypeAlias = tuple[Labels, int]
"""Stream and template, or what stands in a template's place."""

MOST_SERIES = 5000
"""Rates watched of one source; beyond it templates are only watched for being new."""
WINDOWS = (3, 12)
"""Steps over which lines are summed: the short sees great bursts soon, the long sees them in what is rare."""
BY_CHANCE = 0.01
"""Bursts a day and source that chance may bring about: the bar follows from how many rates are watched."""
CREDIBLE = 5.5
"""What counts must say by themselves before an anomaly of their rate is believed: the detectors of series
take a rate for a smooth quantity, and a few lines are not."""


@dataclass(frozen=True, slots=True)
class Burst:
    """`observed` and `expected` in lines a step, over the window in which it is most surprising."""

    key: Key
    score: float
    observed: float
    expected: float


class Voices:
    """One voice a stream: its lines, errors and templates surge together, and are one piece of news.

    A voice that was heard goes on for as long as it has something to say.
    """

    def __init__(self) -> None:
        self.of: dict[Labels, int] = {}

    def choose(self, weights: Mapping[Key, tuple[float, ...]]) -> list[Key]:
        """The key that speaks for each stream: the one that spoke last, else that of the most weight."""
        best: dict[Labels, Key] = {}
        for key in sorted(
            weights, key=lambda key: (self.of.get(key[0]) != key[1], *(-w for w in weights[key]))
        ):
            best.setdefault(key[0], key)
        self.of = dict(best.values())
        return list(best.values())


class Bursts:
    """The watched rates of one source."""

    def __init__(self, every: float) -> None:
        """`every`: seconds of a step."""
        self._a_day = 86400.0 / every
        self.rows: dict[Key, int] = {}
        self.credible: set[Key] = set()
        """Whose counts were out of the ordinary in the last step, too many or too few."""
        self._surges = {window: Surges(window) for window in WINDOWS}

    @property
    def bar(self) -> float:
        """Score (-log10 p) from which a sum is a burst."""
        return math.log10(max(1, len(self.rows)) * self._a_day / BY_CHANCE)

    def watch(self, key: Key) -> None:
        if key not in self.rows and len(self.rows) < MOST_SERIES:
            self.rows[key] = len(self.rows)
            for surges in self._surges.values():
                surges.grow(len(self.rows))

    def step(self, lines: Mapping[Key, float]) -> list[Burst]:
        """Judge the lines of one step, then learn them."""
        self.credible = set()
        if not self.rows:
            return []
        keys = list(self.rows)
        counts = np.array([lines.get(key, 0.0) for key in keys])
        judged = [(window, surges.step(counts)) for window, surges in self._surges.items()]
        score = np.max([one.score for _, one in judged], axis=0)
        lack = np.max([one.lack for _, one in judged], axis=0)
        self.credible = {keys[i] for i in np.flatnonzero(np.maximum(score, lack) >= CREDIBLE).tolist()}
        by = np.argmax([one.score for _, one in judged], axis=0)
        found = []
        for i in np.flatnonzero(score >= self.bar).tolist():
            window, one = judged[by[i]]
            found.append(
                Burst(keys[i], float(score[i]), float(one.total[i]) / window, float(one.mean[i]) / window)
            )
        return found

    def drop(self, ident: int) -> None:
        """Watch this template no more."""
        kept = [key for key in self.rows if key[1] != ident]
        if len(kept) < len(self.rows):
            for surges in self._surges.values():
                surges.keep(np.array([self.rows[key] for key in kept], np.int64))
            self.rows = {key: place for place, key in enumerate(kept)}

    def snapshot(self) -> dict[str, Any]:
        return {
            "rows": [[labels, ident] for labels, ident in self.rows],
            "surges": {str(window): surges.snapshot() for window, surges in self._surges.items()},
        }

    def restore(self, data: Mapping[str, Any]) -> None:
        """Raises KeyError, TypeError or ValueError when it is no snapshot."""
        rows: Iterable[Any] = data["rows"]
        self.rows = {(labels_of(labels), int(i)): place for place, (labels, i) in enumerate(rows)}
        for window, surges in self._surges.items():
            surges.restore(data["surges"][str(window)])

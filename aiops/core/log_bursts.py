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
LINGER = max(WINDOWS)
"""Steps for which lines that were told of stand in later sums."""
BORNE_OUT = 0.02
"""Times a day and source that counts may by chance seem to bear out an anomaly of their rate. Detectors take
a rate for a smooth quantity, and a few lines are not: no anomaly of a rate is believed without the counts."""


@dataclass(frozen=True, slots=True)
class Burst:
    """`observed` and `expected` in lines a step, over the window in which it is most surprising."""

    key: Key
    score: float
    observed: float
    expected: float


class Voices:
    """One voice a stream: its lines, errors and templates surge together, and are one piece of news.

    Who was heard keeps the word for `LINGER` steps after the last that there was to say, as the same lines
    still stand in everybody's sums; only what is grave takes it from what is not.
    """

    def __init__(self) -> None:
        self.of: dict[Labels, int] = {}
        self._quiet: dict[Labels, int] = {}
        self._grave: set[Labels] = set()

    def choose(self, weights: Mapping[Key, tuple[bool, bool, float]]) -> list[Key]:
        """The key that speaks for each stream: who has the word, else who weighs most. A weight begins with
        whether the key is grave."""
        best: dict[Labels, Key] = {}
        for key in sorted(weights, key=lambda key: (not self._has_word(key), *(-w for w in weights[key]))):
            best.setdefault(key[0], key)
        heard = [key for key in best.values() if self._may_speak(key, weights[key][0])]
        for stream, ident in heard:
            self.of[stream], self._quiet[stream] = ident, -1
            if weights[stream, ident][0]:
                self._grave.add(stream)
        for stream in list(self.of):
            self._quiet[stream] = self._quiet.get(stream, -1) + 1
            if self._quiet[stream] >= LINGER:
                self._forget(stream)
        return heard

    def _has_word(self, key: Key) -> bool:
        return self.of.get(key[0]) == key[1]

    def _may_speak(self, key: Key, grave: bool) -> bool:
        return key[0] not in self.of or self._has_word(key) or (grave and key[0] not in self._grave)

    def _forget(self, stream: Labels) -> None:
        del self.of[stream], self._quiet[stream]
        self._grave.discard(stream)


class Bursts:
    """The watched rates of one source."""

    def __init__(self, every: float) -> None:
        """`every`: seconds of a step."""
        self._a_day = 86400.0 / every
        self.rows: dict[Key, int] = {}
        self.credible: set[Key] = set()
        """Whose counts were out of the ordinary in the last step, too many or too few."""
        self._surges = {window: Surges(window) for window in WINDOWS}

    def bar(self, by_chance: float = BY_CHANCE) -> float:
        """Score (-log10 p) that chance brings about `by_chance` times a day in all rates together."""
        return math.log10(max(1, len(self.rows)) * self._a_day / by_chance)

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
        borne_out = np.maximum(score, lack) >= self.bar(BORNE_OUT)
        self.credible = {keys[i] for i in np.flatnonzero(borne_out).tolist()}
        by = np.argmax([one.score for _, one in judged], axis=0)
        found = []
        for i in np.flatnonzero(score >= self.bar()).tolist():
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

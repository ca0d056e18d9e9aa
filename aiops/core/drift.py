"""Has a series drifted for good? Page-Hinkley tests on what heads do not learn by themselves. Columnar.

Two streams a series, as its head tells them (`Detector.deviation`): how far it is from its usual course, and
how large its noise is. Neighbouring samples are far from independent, and how far is not known; so each
stream is drawn together to means of a quarter of an hour, and these are measured by how much they usually
vary. On them runs Page's test (1954) in Hinkley's form, as river has it (`tests/core/test_drift.py` holds the
two together): evidence adds up while the stream is off its mean by more than `SLACK`.
"""

from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aiops.core import words
from aiops.core.dense import Dense
from aiops.plugin import Column

Rows = NDArray[np.int32]
Pairs = NDArray[np.float64]
"""``[R, 2]``: of the course, of the noise."""

BLOCK = 900.0
"""Seconds that are one step of a test."""
FARTHEST, LEAST_LOUD = 30.0, 0.02
"""Of deviations: what one sample counts for at most, and noise that is none."""
MEMORY, SETTLE, ANEW = 672, 672, 96
"""Blocks that their usual mean and size look back: a week. Blocks before a series is tested: its weekend is
among them. The same of both once it was learnt anew: a day."""
LEAST = np.array([0.4, 0.15])
"""What blocks may vary without being off: usual deviations; natural logarithm of usual noise."""
CAP = 5.0
"""What one block counts for at most, in usual sizes."""
SLACK, FORGET = 2.0, 0.9999
"""Of the test, in usual sizes (river's delta, 0.005 there, for plain residuals); of its sums (alpha)."""
FEWEST = 24
"""Blocks from which a test speaks after it began anew."""


class DriftKind(StrEnum):
    """What has changed."""

    LEVEL = "level"
    NOISE = "noise"


KINDS = (DriftKind.LEVEL, DriftKind.NOISE)
SURE = {DriftKind.LEVEL: 32.0, DriftKind.NOISE: np.inf}
"""What the sums have to come to: three hours at least. Noise alone never does: a fault that lasts is loud as
well, and to learn it unasked cost 0.026 of the 0.726 of labelled series (`docs/evaluation.md`)."""
HINTED = 8.0
"""The same where a deploy or a config change explains it: three quarters of an hour."""


class Drift(NamedTuple):
    """What one test says of one series."""

    slot: int
    kind: DriftKind
    strength: float
    """What the sums have come to."""
    moved: float
    """Usual deviations by which the level has moved; 0 where it is the noise."""
    widened: float
    """What the noise was multiplied by; 1 where it is the level."""
    since: float
    """Epoch s."""

    @property
    def sure(self) -> bool:
        """Whether it is enough by itself."""
        return self.strength > SURE[self.kind]

    def said(self, now: float, change: str = "") -> str:
        """Why the series is learnt anew; `change`: the deploy or config change that explains it."""
        lasted = words.duration(now - self.since)
        if self.kind is DriftKind.NOISE:
            text = f"learnt anew: its noise has been {self.widened:.3g} times the usual for {lasted}"
        elif self.moved > 0:
            text = f"learnt anew: {self.moved:.3g} usual deviations above its course for {lasted}"
        else:
            text = f"learnt anew: {-self.moved:.3g} usual deviations below its course for {lasted}"
        return text + (f", following {change}" if change else "")


KEPT = 86400.0
"""Seconds for which explanations name it."""


class DriftWatch:
    """The tests of all series of which a head tells deviations."""

    def __init__(self) -> None:
        pair = (2,)
        self.dense = Dense(
            block=Column(np.int64, -1),
            samples=Column(np.float64),
            sums=Column(np.float64, shape=pair),
            blocks=Column(np.float64),
            wait=Column(np.float64, SETTLE),
            usual=Column(np.float64, shape=pair),
            size=Column(np.float64, shape=pair),
            count=Column(np.float64),
            mean=Column(np.float64, shape=pair),
            up=Column(np.float64, shape=pair),
            down=Column(np.float64, shape=pair),
            least=Column(np.float64, np.inf, shape=pair),
            most=Column(np.float64, -1.0, shape=pair),
            risen=Column(np.float64, shape=(2, 3)),
            fallen=Column(np.float64, shape=(2, 3)),
            anew=Column(np.float64, -np.inf, shape=pair),
        )
        """`risen`, `fallen`: since the sums were at their extremes: when, blocks, the sum of what they told.
        `anew`: when the series was last learnt anew for either (epoch s)."""

    def welcome(self, fresh: Rows) -> None:
        """New or reused slots."""
        if len(fresh):
            self.dense.forget(fresh)

    def step(
        self, time: float, slots: Rows, deviations: NDArray[np.float64], waits: NDArray[np.bool_]
    ) -> list[Drift]:
        """Take the deviations ``[2, S]`` of `slots`, and tell what may have drifted: HINTED or more.

        What ``waits[S]`` is near a problem: neither that nor the evidence of before counts.
        """
        rows, state = self.dense.of(slots), self.dense.rows
        self._clear(rows[waits])
        take = ~waits & np.isfinite(deviations).all(axis=0)
        rows, deviations = rows[take], deviations[:, take]
        now = int(time // BLOCK)
        due = state["block"][rows] != now
        found = self._close(rows[due], time) if due.any() else []
        state["block"][rows] = now
        state["samples"][rows] += 1.0
        state["sums"][rows, 0] += np.clip(deviations[0], -FARTHEST, FARTHEST)
        state["sums"][rows, 1] += np.minimum(deviations[1], FARTHEST)
        return found

    def settle(self, drift: Drift, now: float) -> None:
        """The series is learnt anew for it: both tests begin again, after the day in which they settle."""
        row, state = self.dense.of(np.array([drift.slot], np.int32)), self.dense.rows
        state["anew"][row, KINDS.index(drift.kind)] = now
        for name in state.spec.keys() - {"owner", "anew", "blocks", "usual", "size"}:
            state[name][row] = state.spec[name].fill
        state["blocks"][row] = state["wait"][row] = ANEW

    def hint(self, slot: int, now: float) -> str:
        """What an anomaly says of it, for a day."""
        found = np.flatnonzero(self.dense.rows["owner"] == slot)
        if not len(found):
            return ""
        at = self.dense.rows["anew"][found[0]]
        last = int(np.argmax(at))
        if not 0 <= now - at[last] <= KEPT:
            return ""
        ago = words.duration(now - float(at[last]))
        if KINDS[last] is DriftKind.LEVEL:
            return f"learnt anew {ago} ago, as its level had moved"
        return f"learnt anew {ago} ago, as its noise had changed"

    def _clear(self, rows: Rows) -> None:
        state = self.dense.rows
        for name in ("samples", "sums", "up", "down", "risen", "fallen"):
            state[name][rows] = 0.0
        state["least"][rows] = state["most"][rows] = 0.0

    def _close(self, rows: Rows, time: float) -> list[Drift]:
        """The blocks that were at work."""
        state = self.dense.rows
        whole = rows[state["samples"][rows] > 0]
        told: Pairs = state["sums"][whole] / state["samples"][whole, None]
        told[:, 1] = np.log(np.maximum(told[:, 1], LEAST_LOUD))
        state["samples"][rows], state["sums"][rows] = 0.0, 0.0
        old = state["wait"][whole] <= 0
        size = np.maximum(state["size"][whole], LEAST)
        off = np.clip((told - state["usual"][whole]) / size, -CAP, CAP)
        self._learn(whole, told, size)
        self._test(whole[old], off[old], told[old], time)
        return self._suspects(whole[old])

    def _learn(self, rows: Rows, told: Pairs, size: Pairs) -> None:
        """What blocks usually are, and by how much they vary."""
        state = self.dense.rows
        state["blocks"][rows] += 1.0
        state["wait"][rows] -= 1.0
        count = state["blocks"][rows, None]
        gain, usual = 1.0 / np.minimum(count, MEMORY), state["usual"][rows]
        bounded = np.where(count > ANEW, np.clip(told - usual, -CAP * size, CAP * size), told - usual)
        state["usual"][rows] = usual + gain * bounded
        state["size"][rows] += gain * (np.abs(bounded) - state["size"][rows])

    def _test(self, rows: Rows, off: Pairs, told: Pairs, time: float) -> None:
        """One step of river's `PageHinkley(mode="both")`; and where the evidence for a change begins."""
        state = self.dense.rows
        state["count"][rows] += 1.0
        mean = state["mean"][rows]
        mean += (off - mean) / state["count"][rows, None]
        up = FORGET * state["up"][rows] + (off - mean) - SLACK
        down = FORGET * state["down"][rows] + (off - mean) + SLACK
        lowest, highest = up < state["least"][rows], down > state["most"][rows]
        state["least"][rows] = np.where(lowest, up, state["least"][rows])
        state["most"][rows] = np.where(highest, down, state["most"][rows])
        state["mean"][rows], state["up"][rows], state["down"][rows] = mean, up, down
        for name, extreme in (("risen", lowest), ("fallen", highest)):
            since = state[name][rows]
            since[..., 1] += 1.0
            since[..., 2] += told
            since[extreme] = time, 0.0, 0.0
            state[name][rows] = since

    def _suspects(self, rows: Rows) -> list[Drift]:
        state = self.dense.rows
        rows = rows[state["count"][rows] >= FEWEST]
        up = state["up"][rows] - state["least"][rows]
        down = state["most"][rows] - state["down"][rows]
        strength = np.maximum(up, down)
        return [
            self._drift(int(rows[at]), test, float(strength[at, test]), bool(up[at, test] > down[at, test]))
            for at, test in np.argwhere(strength > HINTED).tolist()
        ]

    def _drift(self, row: int, test: int, strength: float, rises: bool) -> Drift:
        state, kind = self.dense.rows, KINDS[test]
        since, blocks, total = state["risen" if rises else "fallen"][row, test].tolist()
        mean = total / max(1.0, blocks)
        moved, widened = (mean, 1.0) if kind is DriftKind.LEVEL else (0.0, float(np.exp(mean)))
        return Drift(int(state["owner"][row]), kind, strength, moved, widened, since)

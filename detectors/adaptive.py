"""The default detector: learns level, trend, spread, season and tail of every series in one compiled pass.

Per series: a Huber-clipped damped trend, a time-of-day drift that is used only where it foretells, AR(1)
whitening, a scale, two tracked sizes that tell of the tail, a memory of bursts that came and
went, and a two-sided CUSUM. `_adaptive_judge.py` and `_adaptive_learn.py` have each step with its source.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PrivateAttr

from aiops.model.frame import Frame
from aiops.model.signal import Scores
from aiops.plugin import LANES, Column, Columns, Layout
from aiops.plugin.columns import FLAG, FLOAT, SLOT, plain
from detectors import _adaptive_borrow, _adaptive_season
from detectors import _adaptive_fields as k
from detectors._local_time import LocalTime


class Adaptive(LocalTime):
    """Learns each series by itself. Late, doubled and infinite samples count as missing."""

    warmup_samples: int = Field(30, ge=12, description="Samples of a series before it is scored.")

    _columns: Columns = PrivateAttr()
    _advance: Callable[..., int] = PrivateAttr()

    def model_post_init(self, context: Any) -> None:
        super().model_post_init(context)
        from detectors import _adaptive_kernel  # numba: not needed to describe or check a configuration

        self._advance = _adaptive_kernel.advance
        blocks = Column(np.float32, shape=(k.FIELDS,), layout=Layout.BLOCKS)
        self._columns = Columns(blocks=blocks, **_adaptive_season.columns())

    @property
    def columns(self) -> Columns:
        return self._columns

    @property
    def apart(self) -> bool:
        return True

    def score(self, frame: Frame) -> Scores:
        return self._scored(frame, np.zeros(frame.values.shape, np.bool_))

    def learn(self, frame: Frame, mask: NDArray[np.bool_]) -> None:
        nothing = np.empty((0, 0), np.float32), np.empty((3, 0, 0))
        seconds, days = self._days(frame.times)
        buckets = days * _adaptive_season.DAY + (seconds // _adaptive_season.BUCKET).astype(np.int64)
        ends = [*(np.flatnonzero(np.diff(buckets)) + 1).tolist(), len(buckets)]
        for start, end in pairwise([0, *ends]):
            part = Frame(frame.times[start:end], frame.slots, frame.values[start:end])
            self._step(part, mask[start:end], *nothing)

    def update(self, frame: Frame, hold: NDArray[np.bool_]) -> Scores:
        learn = ~hold[None]
        many = len(frame.times) != 1
        return self._scored(frame, np.broadcast_to(learn, frame.values.shape) if many else learn)

    def ready(self) -> NDArray[np.bool_]:
        count = self._columns["blocks"][:, k.COUNT // LANES]
        ready: NDArray[np.bool_] = count.reshape(-1) >= self.warmup_samples
        return ready

    def borrow(self, slot: int, siblings: NDArray[np.int32]) -> bool:
        known = siblings[self.ready()[siblings]]
        return len(known) > 0 and _adaptive_borrow.borrow(self._columns, slot, known)

    def explain(self, slot: int) -> str:
        if slot >= self._columns.capacity or self._state(slot, k.COUNT) < self.warmup_samples:
            return f"still learning: needs {self.warmup_samples} samples"
        level = sum(self._state(slot, field) for field in (k.ANCHOR_HIGH, k.ANCHOR_LOW, k.LEVEL))
        per_minute = 60.0 / max(self._state(slot, k.INTERVAL), 1e-3)
        words = [
            f"expected about {level:.6g}",
            f"trend {self._state(slot, k.TREND) * per_minute:+.3g} a minute",
            f"usual spread {self._state(slot, k.SCALE):.3g}",
        ]
        if self._state(slot, k.FLAT) > 0.5:
            words.append("mostly stands still")
        if self._state(slot, k.BURSTS) > k.USUAL:
            words.append(f"known for bursts of about {2.0 ** self._state(slot, k.BURST_SIZE):.3g}")
        drift = self._state(slot, k.DRIFT) * 60.0
        words.append(f"time of day adds {drift:+.3g} a minute" if drift else "time of day not used")
        return ", ".join(words)

    def _state(self, slot: int, field: int) -> float:
        return float(self._columns["blocks"][slot // LANES, field // LANES, slot % LANES])

    def _scored(self, frame: Frame, learn: NDArray[np.bool_]) -> Scores:
        score = np.empty(frame.values.shape, np.float32)
        band = np.empty((3, *frame.values.shape))
        self._step(frame, learn, score, band)
        return Scores(score, band[0], band[1], band[2])

    def _step(
        self,
        frame: Frame,
        learn: NDArray[np.bool_],
        score: NDArray[np.float32],
        band: NDArray[np.float64],
    ) -> None:
        """All times of `frame` lie in one bucket of the day, if any of it is learnt."""
        if frame.values.size == 0:
            return
        columns, kernel, warmup = self._columns, self._advance, np.float32(self.warmup_samples)
        times, slots = plain(frame.times, FLOAT), plain(frame.slots, SLOT)
        values, wanted = plain(frame.values, FLOAT), plain(learn, FLAG)

        def advance(bucket: int) -> int:
            state, buckets = columns["blocks"].reshape(-1), columns["bucket"].reshape(-1)
            return kernel(state, buckets, bucket, times, slots, values, wanted, LANES, warmup, score, band)

        bucket = _adaptive_season.bucket_of(float(times[0]) + self._offset(float(times[0])))
        needed = advance(bucket)
        if needed > 0:
            columns.ensure(needed)
            needed = advance(bucket)
        if needed == k.BEHIND:
            if np.any(learn & np.isfinite(frame.values)):
                _adaptive_season.turn(columns, frame.slots, bucket)
            needed = advance(k.ANY)
        if needed < 0:
            raise ValueError("slots must not be negative")

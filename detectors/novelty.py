"""For the few series that matter most: levels and shapes that the series has never shown before.

Samples are drawn together into buckets that keep their farthest sample; windows of 8 (and of 16 with the
mean removed) are compared with a dictionary of the last 300, and each sample with a robust profile of the
day. Each distance becomes the log10 of its return period, from 48 peaks of past episodes; the two most
surprised channels speak. `_novelty_kernel.py` has each step.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PrivateAttr

from aiops.model.frame import Frame
from aiops.model.signal import Scores
from aiops.plugin import Column, Columns
from aiops.plugin.columns import FLAG, FLOAT, SLOT, plain
from detectors import _novelty_fields as k
from detectors._local_time import LocalTime


class Novelty(LocalTime):
    """Some 35 kB and 2 us a sample: for SLIs and the like, say by `match`."""

    warmup_samples: int = Field(
        360,
        ge=60,
        description="Samples of a series before it is scored; also its scale: buckets are a 173rd of it.",
    )

    _columns: Columns = PrivateAttr()
    _advance: Callable[..., int] = PrivateAttr()
    _windows: tuple[NDArray[np.float32], NDArray[np.float32]] = PrivateAttr()

    def model_post_init(self, context: Any) -> None:
        super().model_post_init(context)
        from detectors import _novelty_kernel  # numba: not needed to describe or check a configuration

        self._advance = _novelty_kernel.advance
        self._windows = np.zeros(k.LEVELS, np.float32), np.zeros(k.SHAPES, np.float32)
        self._columns = Columns(
            core=Column(np.float64, shape=(k.FIELDS,)),
            day=Column(np.float64, shape=(k.DAY,)),
            day_n=Column(np.uint8, shape=(k.DAY,)),
            levels=Column(np.float32, shape=(k.KEPT * k.LEVELS,)),
            shapes=Column(np.float32, shape=(k.KEPT * k.SHAPES,)),
            peaks=Column(np.float64, shape=(k.CHANNELS, 3, k.PEAKS)),
        )

    @property
    def columns(self) -> Columns:
        return self._columns

    @property
    def apart(self) -> bool:
        return True

    def score(self, frame: Frame) -> Scores:
        return self._scored(frame, np.zeros(frame.values.shape, np.bool_))

    def learn(self, frame: Frame, mask: NDArray[np.bool_]) -> None:
        self._step(frame, mask, np.empty((0, 0), np.float32), np.empty((3, 0, 0)))

    def update(self, frame: Frame, hold: NDArray[np.bool_]) -> Scores:
        return self._scored(frame, np.broadcast_to(~hold, frame.values.shape))

    def ready(self) -> NDArray[np.bool_]:
        ready: NDArray[np.bool_] = self._columns["core"][:, k.COUNT] >= self.warmup_samples
        return ready

    def explain(self, slot: int) -> str:
        if slot >= self._columns.capacity or self._columns["core"][slot, k.COUNT] < self.warmup_samples:
            return f"still learning: needs {self.warmup_samples} samples"
        s, peaks = self._columns["core"][slot], self._columns["peaks"][slot]
        windows = int(min(max(s[k.WINDOWS] - k.LEVELS + 1, 0), k.KEPT))
        farthest = np.exp(peaks[2, k.SIZE, : int(s[k.FILLED + 2])].max(initial=-700.0))
        return f"knows {windows} courses of its own; was at most {farthest:.3g} off its time of day"

    def _scored(self, frame: Frame, learn: NDArray[np.bool_]) -> Scores:
        score, band = np.empty(frame.values.shape, np.float32), np.empty((3, *frame.values.shape))
        self._step(frame, learn, score, band)
        return Scores(score, band[0], band[1], band[2])

    def _step(
        self, frame: Frame, learn: NDArray[np.bool_], score: NDArray[np.float32], band: NDArray[np.float64]
    ) -> None:
        if frame.values.size == 0:
            return
        if int(frame.slots.min()) < 0:
            raise ValueError("slots must not be negative")
        self._columns.ensure(int(frame.slots.max()) + 1)
        times = plain(frame.times, FLOAT)
        self._advance(
            *(self._columns[name] for name in ("core", "day", "day_n", "levels", "shapes", "peaks")),
            self._windows,
            times,
            self._days(times)[0],
            plain(frame.slots, SLOT),
            plain(frame.values, FLOAT),
            plain(learn, FLAG),
            float(self.warmup_samples),
            score,
            band,
        )

"""For series that matter: what season, recent course and mean leave unexplained, together.

Three residuals - from a robust profile of the day and its weekdays, from an autoregression of eight lags,
and from an exponentially weighted mean - each in units of its own scale, and their geometric mean: an event
stands out from all three; noise, a late peak or a slow drift from one. The score is its ratio to the series'
own tracked 99.3 % quantile, in decades, bent so that 1 in 10,000 samples of noise exceed 4, be its tail light
or heavy. `_residual_judge.py` and `_residual_kernel.py` have each step.
"""

from collections.abc import Callable
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PrivateAttr

from aiops.model.frame import Frame
from aiops.model.signal import Scores
from aiops.plugin import Column, Columns
from aiops.plugin.columns import FLAG, FLOAT, SLOT, plain
from detectors import _residual_fields as k
from detectors._local_time import LocalTime

SUNDAY = 6


class Residual(LocalTime):
    """Some 3.3 kB and 0.3 us a sample: for SLIs and series of whole services, say by `match`."""

    warmup_samples: int = Field(200, ge=60, description="Samples of a series before it is scored.")
    holidays: list[date] = Field(default_factory=list, description="Days that are like a Sunday.")

    _columns: Columns = PrivateAttr()
    _advance: Callable[..., int] = PrivateAttr()
    _off: frozenset[int] = PrivateAttr()

    def model_post_init(self, context: Any) -> None:
        super().model_post_init(context)
        from detectors import _residual_kernel  # numba: not needed to describe or check a configuration

        self._advance = _residual_kernel.advance
        self._off = frozenset(day.toordinal() for day in self.holidays)
        self._columns = Columns(
            core=Column(np.float64, shape=(k.FIELDS,)),
            day=Column(np.float64, shape=(k.DAY,)),
            day_n=Column(np.uint8, shape=(k.DAY,)),
            week=Column(np.float64, shape=(7 * k.HOURS,)),
            week_n=Column(np.uint8, shape=(7 * k.HOURS,)),
        )

    @property
    def columns(self) -> Columns:
        return self._columns

    def score(self, frame: Frame) -> Scores:
        return self._scored(frame, np.zeros(frame.values.shape, np.bool_))

    def learn(self, frame: Frame, mask: NDArray[np.bool_]) -> None:
        self._step(frame, mask, np.empty((0, 0), np.float32), np.empty((3, 0, 0)))

    def update(self, frame: Frame, hold: NDArray[np.bool_]) -> Scores:
        return self._scored(frame, np.broadcast_to(~hold, frame.values.shape))

    def ready(self) -> NDArray[np.bool_]:
        ready: NDArray[np.bool_] = self._columns["core"][:, k.COUNT] >= self.warmup_samples
        return ready

    def borrow(self, slot: int, siblings: NDArray[np.int32]) -> bool:
        from detectors import _residual_borrow  # numba

        known = siblings[self.ready()[siblings]]
        seconds, weekdays = self._local(self._columns["core"][[slot], k.SEEN])
        when = float(seconds[0]), int(weekdays[0])
        return len(known) > 0 and _residual_borrow.borrow(
            self._columns, slot, known, *when, self.warmup_samples
        )

    def deviation(self, slots: NDArray[np.int32]) -> NDArray[np.float64]:
        core = self._columns["core"][slots]
        known = (core[:, k.COUNT] >= self.warmup_samples) & (core[:, k.BEFORE] < k.HUGE)
        return np.where(known, core[:, (k.ASIDE, k.LOUD)].T, np.nan)

    def relearn(self, slot: int, moved: float, widened: float, since: float, now: float) -> None:
        from detectors import _residual_relearn  # numba

        began = since // k.QUARTERS * k.QUARTERS
        times = np.arange(max(began, now - 7 * 86400.0), now, k.QUARTERS)
        _residual_relearn.relearn(self._columns, slot, moved, widened, *self._local(times))

    def explain(self, slot: int) -> str:
        if slot >= self._columns.capacity or self._columns["core"][slot, k.COUNT] < self.warmup_samples:
            return f"still learning: needs {self.warmup_samples} samples"
        s = self._columns["core"][slot]
        week = "by weekday" if s[k.WEEKLY] < s[k.PLAIN] else "alike on all weekdays"
        return (
            f"usually {s[k.SCALES]:.3g} off its time of day ({week}), {s[k.SCALES + 1]:.3g} off its recent "
            f"course, {s[k.SCALES + 2]:.3g} off its mean; unusual at {np.exp(s[k.HIGH]):.3g} times all three"
        )

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
        seconds, weekdays = self._local(times)
        self._advance(
            *(self._columns[name] for name in ("core", "day", "day_n", "week", "week_n")),
            times,
            seconds,
            weekdays,
            plain(frame.slots, SLOT),
            plain(frame.values, FLOAT),
            plain(learn, FLAG),
            float(self.warmup_samples),
            score,
            band,
        )

    def _local(self, times: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Per time the second of the local day, and the weekday (Monday 0), holidays being Sundays."""
        seconds, days = self._days(times)
        weekdays = (days + 3) % 7  # 1 January 1970 was a Thursday
        if self._off:
            epoch = date(1970, 1, 1).toordinal()
            weekdays[np.isin(days + epoch, list(self._off))] = SUNDAY
        return seconds, weekdays

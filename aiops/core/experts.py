"""Time to breach by a mixture of experts: what the day brings, ramps that wear off, trends, persistence."""

import numpy as np
from numpy.typing import NDArray

from aiops.core.experts_past import DAY, POINTS, STEP, Past
from aiops.core.forecast import Ramps
from aiops.core.odds import T95, Crossing, ever, tail, times
from aiops.plugin import Column, Columns

Floats = NDArray[np.float64]
Slots = NDArray[np.int32]

HORIZONS = np.array([6, 12, 24, 36, 48, 96, 144, 288, 576, 864, 2016])
"""Steps of five minutes: half an hour to a week."""
EXPERTS = 5
PENDING = 12
"""Forecasts a horizon keeps until their time comes: one each twelfth of it is judged."""
SHORT, MIDDLE = 18, 72
"""Steps of the short and the middle trend; the long one is a day."""
ODD = 2.5
"""A short trend this many usual ones off the day's is a ramp, and ages while it lasts."""
SETTLED, SLOW, CLIP = 72, 576, 3.0
"""What is usual: the mean over two days, of which none counts more than thrice the mean after six hours."""
HALF = 36.0
"""Steps after which an expert's error counts half."""
POWER = 3.0
"""Weights are mean absolute errors to this power, inverted."""
SPREAD, RATE, LASTING = 0.05, 0.2, 1728
"""Outside each end of the interval; the step of its tracking, in usual errors; and their memory, six days: a
step that grew with the last errors would let misses, which come together, weigh more than hits."""
JUDGED = 12
"""Errors of a horizon before its interval is believed."""
NEAR = 1800.0
"""What five-minute steps cannot see, ramps at the pace of the samples do."""
SURE, SURE_FAR, FAR = 0.3, 0.8, 48
"""Chance of a breach that is worth a word, up to FAR steps ahead and beyond. Benchmark `breach`: at .3 within
4 h .02 false alarms a series-day; beyond, much looks likely, and .8 brings .05 at a day's horizon."""


class Experts:
    """Crossings of `bound` (``sign`` +1: from below) within `horizon` seconds, for all series at once.

    Five forecasts for each horizon, weighted by their recent errors; the ends of the 90 % interval follow
    the mixture's own errors by online quantile tracking (Gibbs and Candès 2021; Angelopoulos et al. 2023), so
    that they cover by construction whatever the errors look like. About 11 KB a watched series.
    """

    def __init__(self, bound: float, sign: int, horizon: float) -> None:
        self.bound, self.sign, self.horizon = bound, sign, horizon
        self.ramps = Ramps(bound, sign, horizon)
        """By the same dense rows as `rows`: an index has a million series, and a rule watches few of them."""
        own = int(horizon * 1.001 / STEP) // PENDING * PENDING
        within = HORIZONS[horizon * 1.001 >= HORIZONS * STEP]
        self.ahead = np.union1d(within, [own] if own else []).astype(int) if horizon > NEAR else within[:0]
        """``[H]`` steps; empty where the ramps alone look far enough."""
        self.bars = np.where(self.ahead <= FAR, SURE, SURE_FAR)
        self.pace = np.maximum(1, self.ahead // PENDING)
        self.columns = Columns(row=Column(np.int32, -1))
        count = len(self.ahead)
        self.past = Past()
        self.rows = Columns(
            **(self.past.columns if count else {}),
            owner=Column(np.int32, -1),
            pending=Column(np.float32, np.nan, (count, PENDING, EXPERTS + 3)),
            error=Column(np.float32, np.nan, (count, EXPERTS + 1)),
            ends=Column(np.float32, np.nan, (count, 2)),
            size=Column(np.float32, 0.0, (count,)),
            judged=Column(np.int32, 0, (count,)),
            forecast=Column(np.float32, np.nan, (count,)),
            usual=Column(np.float32),
            seen=Column(np.int32),
            age=Column(np.float32),
            turn=Column(np.int8),
        )

    def welcome(self, fresh: Slots) -> None:
        """Forget these slots: they belong to other series now."""
        self.columns.reset(fresh)
        rows = np.flatnonzero(np.isin(self.rows["owner"], fresh)).astype(np.int32)
        self.rows.reset(rows)
        self.ramps.welcome(rows)

    def learn(self, now: float, slots: Slots, values: Floats) -> None:
        """Take one sample of each slot; NaN is skipped."""
        have = ~np.isnan(values)
        if not have.any():
            return
        rows = self._rows(slots[have])
        self.ramps.learn(now, rows, values[have])
        if not len(self.ahead):
            return
        done, step, mean = self.past.take(self.rows, now, rows, values[have] * self.sign)
        if len(done):
            self._missed(done, step)
            self.past.push(self.rows, done, step, mean)
            self._judge(done, step, mean)
            self._forecast(done, step, mean)

    def crossing(self, now: float, slots: Slots, values: Floats) -> Crossing:
        """When, and how likely: of the series whose crossing is worth a word, else inf."""
        rows = self._rows(slots)
        ramps = self.ramps.crossing(now, rows, values)
        if not len(self.ahead) or not len(slots):
            return ramps
        odds = self._odds(rows, values)
        found, chance = np.stack(ramps[:3]), np.maximum(ramps.chance, ever(odds))
        left = found[1] - now
        reach = np.where(self._believed(rows), self.ahead * STEP, 0.0).max(1)
        found[:, (left > NEAR) & (left <= reach)] = np.inf
        far = (left > NEAR) & (odds >= self.bars).any(1)
        if far.any():
            ahead = self._times(rows[far], values[far] * self.sign, odds[far].max(1))
            found[:, far] = now + ahead * STEP
            chance[far] = ever(odds[far])
        return Crossing(found[0], found[1], found[2], chance)

    def chance(self, slots: Slots, values: Floats) -> Floats:
        """P(breach within the horizon) ``[S]``; 0 while nothing is known, 1 when it is breached."""
        return ever(self._odds(self._rows(slots), values))

    def _odds(self, rows: Slots, values: Floats) -> Floats:
        """P(value beyond the bound) at each of `ahead`, ``[S, H]``."""
        lower, upper = self._scales(rows)
        distance = self.bound * self.sign - self.rows["forecast"][rows].astype(float)
        scale = np.where(distance > 0, upper, lower)
        odds = np.where(self._believed(rows), tail(distance / scale), 0.0)
        out: Floats = np.where((values * self.sign > self.bound * self.sign)[:, None], 1.0, odds)
        return out

    def _scales(self, rows: Slots) -> tuple[Floats, Floats]:
        """Of the error below and above the middle of the forecast, ``[S, H]`` each."""
        ends = self.rows["ends"][rows].astype(float)
        return np.maximum(-ends[:, :, 0], 1e-12) / T95, np.maximum(ends[:, :, 1], 1e-12) / T95

    def intervals(self, slots: Slots) -> tuple[Floats, Floats]:
        """The 90 % interval ``[S, H]`` of the value at each of `ahead`, as of the last step; NaN: unknown."""
        rows = self._rows(slots)
        known = self._believed(rows)
        middle, ends = self.rows["forecast"][rows], self.rows["ends"][rows]
        ends = np.where(known[:, :, None], middle[:, :, None] + ends, np.nan).astype(float) * self.sign
        return ends.min(2), ends.max(2)

    def _believed(self, rows: Slots) -> NDArray[np.bool_]:
        out: NDArray[np.bool_] = self.rows["judged"][rows] >= JUDGED
        return out

    def _rows(self, slots: Slots) -> Slots:
        """The dense row of each slot; new ones get a free one."""
        if not len(slots):
            return slots
        self.columns.ensure(int(slots.max()) + 1)
        row = self.columns["row"]
        owner = self.rows["owner"]
        had = np.clip(row[slots], 0, max(0, len(owner) - 1))
        mine = (row[slots] >= 0) & (owner[had] == slots) if len(owner) else np.zeros(len(slots), bool)
        fresh = slots[~mine]
        if len(fresh):
            free = np.flatnonzero(self.rows["owner"] < 0)
            if len(free) < len(fresh):
                self.rows.ensure(self.rows.capacity + len(fresh))
                free = np.flatnonzero(self.rows["owner"] < 0)
            row[fresh] = free[: len(fresh)]
            self.rows["owner"][row[fresh]] = fresh
        found: Slots = row[slots]
        return found

    def _missed(self, rows: Slots, step: int) -> None:
        """Forecasts whose time fell into a gap cannot be judged any more."""
        behind = rows[self.rows["step"][rows] < step - 1]
        if len(behind):
            first = self.rows["step"][behind]
            for missed in range(max(int(first.min()) + 1, step - POINTS), step):
                where = behind[first < missed]
                for j, pace in enumerate(self.pace):
                    if missed % pace == 0:
                        self.rows["pending"][where, j, (missed // pace) % (self.ahead[j] // pace)] = np.nan

    def _judge(self, rows: Slots, step: int, mean: Floats) -> None:
        """Settle the forecasts that were made for this step."""
        for j, pace in enumerate(self.pace):
            if step % pace:
                continue
            said = self.rows["pending"][rows, j, (step // pace) % (self.ahead[j] // pace)]
            off = (mean[:, None] - said).astype(np.float32)
            have = np.isfinite(off[:, :-2]).all(1)
            where, ends, off = rows[have], off[have, -2:], off[have, :-2]
            keep = np.float32(0.5 ** (pace / HALF))
            known, size = self.rows["error"][where, j], np.abs(off)
            error = np.where(np.isnan(known), size, keep * known + (1 - keep) * size)
            self.rows["error"][where, j] = error
            self._track(where, j, off[:, -1], ends)

    def _track(
        self,
        rows: Slots,
        j: int,
        off: NDArray[np.float32],
        beyond: NDArray[np.float32],
    ) -> None:
        """Each end gives way when it was crossed and closes in slowly while it holds.

        `beyond`: how far above its ends as they were then; those of now would not keep the promise made.
        """
        ends, judged = self.rows["ends"][rows, j], self.rows["judged"][rows, j]
        size = self.rows["size"][rows, j]
        wide = 2 * np.abs(off)[:, None]
        ends = np.where(np.isnan(ends), np.concatenate([-wide, wide], axis=1), ends)
        size = size + (np.abs(off) - size) / np.minimum(judged + 1, LASTING / self.pace[j])
        self.rows["size"][rows, j] = size
        rate = RATE * size
        under = np.where(np.isnan(beyond[:, 0]), off < ends[:, 0], beyond[:, 0] < 0)
        over = np.where(np.isnan(beyond[:, 1]), off > ends[:, 1], beyond[:, 1] > 0)
        low, high = rate * (under - SPREAD), rate * (over - SPREAD)
        self.rows["ends"][rows, j] = np.stack([ends[:, 0] - low, ends[:, 1] + high], axis=1)
        self.rows["judged"][rows, j] = judged + 1

    def _forecast(self, rows: Slots, step: int, mean: Floats) -> None:
        said = self._said(rows, step, mean)
        error = self.rows["error"][rows][:, :, :EXPERTS].astype(float)
        floor = 1e-4 * (abs(self.bound) + np.abs(mean)) + 1e-12
        weight = (np.where(np.isnan(error), 1.0, error) + floor[:, None, None]) ** -POWER
        mixed = (weight * said).sum(2) / weight.sum(2)
        self.rows["forecast"][rows] = mixed
        ends = mixed[:, :, None] + self.rows["ends"][rows]
        both = np.concatenate([said, mixed[:, :, None], ends], axis=2)
        for j, pace in enumerate(self.pace):
            if step % pace == 0:
                self.rows["pending"][rows, j, (step // pace) % (self.ahead[j] // pace)] = both[:, j]

    def _said(self, rows: Slots, step: int, mean: Floats) -> Floats:
        """What each expert says for each horizon: ``[S, H, EXPERTS]``."""
        past, ahead = self.past, self.ahead.astype(float)
        short, middle, long = (past.trend(self.rows, rows, step, n) for n in (SHORT, MIDDLE, DAY))
        day, rise = past.day(self.rows, rows, step, self.ahead, SHORT)
        rise = np.where(np.isnan(rise), long[:, None] * ahead, rise)
        excess = short - np.nan_to_num(day)
        age = self._age(rows, excess)[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            ramp = np.where(age > 0, excess[:, None] * age * np.log1p(ahead / age), 0.0)
        changes = (rise, rise + ramp, middle[:, None] * ahead, long[:, None] * ahead, 0.0 * rise)
        out: Floats = mean[:, None, None] + np.stack(changes, axis=2)
        return out

    def _age(self, rows: Slots, excess: Floats) -> Floats:
        """Steps that the present ramp has lasted, half its fitting window included; 0: there is none."""
        usual, size = self.rows["usual"][rows], np.abs(excess).astype(np.float32)
        seen = self.rows["seen"][rows]
        odd = (seen > SETTLED) & (size > ODD * 1.2533 * usual)
        turn = np.sign(excess).astype(np.int8)
        same = odd & (turn == self.rows["turn"][rows])
        age = np.where(same, self.rows["age"][rows] + 1, 0).astype(np.float32)
        size = np.where(seen > SETTLED, np.minimum(size, CLIP * usual), size)
        self.rows["usual"][rows] = usual + (size - usual) / np.minimum(seen + 1, SLOW)
        self.rows["seen"][rows] = np.minimum(seen, SLOW) + 1
        self.rows["age"][rows], self.rows["turn"][rows] = age, turn
        return np.where(age > 0, age + SHORT / 2, 0.0)

    def _times(self, rows: Slots, values: Floats, chance: Floats) -> Floats:
        """Steps until the first crossings, ``[3, S]``: earliest, expected, latest."""
        lower, upper = self._scales(rows)
        rise = np.where(self._believed(rows), self.rows["forecast"][rows], np.nan) - values[:, None]
        distance = self.bound * self.sign - values
        return times(self.ahead.astype(float), rise, lower, upper, distance, chance)

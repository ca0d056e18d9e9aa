"""Objectives over a window: error budgets, how fast they are spent, and when they will be gone.

Multi-window, multi-burn-rate alerts as in the Google SRE workbook ("Alerting on SLOs", table 5-8), whose
windows are for 30 days; for other windows they scale with it, so that a burn rate keeps its meaning.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aiops.core import words
from aiops.core.dense import Dense
from aiops.model.frame import Frame
from aiops.model.selector import Selector
from aiops.model.series import SeriesIndex
from aiops.model.signal import AlertKind, Breach, Severity, Signal
from aiops.plugin import Column, Columns

Floats = NDArray[np.float64]
Slots = NDArray[np.int32]

FINE, COARSE = 43_200, 720
"""Steps of the two memories in a window: a minute and an hour of 30 days."""
KEPT = 361
"""Fine steps that are kept: six hours and the present one."""
USUAL = 0.2
"""Weight of the newest gap in the usual distance of two samples."""


class Burn(NamedTuple):
    """Spent `rate` times as fast as the window allows, over `long` and still over `short`."""

    rate: float
    long: int
    short: int
    """Fine steps."""
    fine: bool
    """Whether `long` counts fine steps too; else coarse ones."""
    pages: bool


BURNS = (
    Burn(14.4, 60, 5, True, True),
    Burn(6.0, 360, 30, True, True),
    Burn(3.0, 24, 120, False, False),
    Burn(1.0, 72, 360, False, False),
)
"""2 % of the budget in an hour, 5 % in six: somebody is to look at once. 10 % in a day or in three: soon."""


@dataclass(frozen=True, slots=True)
class Objective:
    """``target``: share that is to be good over ``window`` seconds.

    ``share``: the value is itself the share of what is bad; else a moment is bad while the value is beyond
    ``bound`` on the side of ``sign``, as in `aiops.core.rules.Rule`.
    """

    name: str
    selector: Selector
    target: float
    window: float
    share: bool
    bound: float
    sign: int
    severity: Severity

    @property
    def budget(self) -> float:
        """Seconds of a window that may be bad."""
        return self.window * (1 - self.target)


class ObjectiveWatch:
    """One objective over all its series.

    What is bad is summed up as seconds since the beginning, and that sum kept at the start of each step: what
    a window holds is a difference. Time of which nothing is known counts as good. 9 KB a watched series.
    """

    def __init__(self, rule: Objective, index: SeriesIndex) -> None:
        self.rule = rule
        self._index = index
        self.columns = Columns(member=Column(np.bool_))
        self.dense = Dense(
            total=Column(np.float64),
            last=Column(np.float64, np.nan),
            gap=Column(np.float64, np.nan),
            since=Column(np.float64, np.nan),
            before=Column(np.float64),
            fine=Column(np.float64, 0.0, (KEPT,)),
            fine_step=Column(np.int64, -1),
            coarse=Column(np.float64, 0.0, (COARSE + 1,)),
            coarse_step=Column(np.int64, -1),
        )
        self.welcome(index.live())

    def parts(self) -> dict[str, Columns]:
        return {"rule": self.columns, "budget": self.dense.slots, "budget-rows": self.dense.rows}

    def welcome(self, fresh: Slots) -> None:
        self.columns.ensure(self._index.capacity)
        self.columns.reset(fresh)
        self.dense.forget(fresh)
        self.columns["member"][fresh] = self._index.matches(fresh, self.rule.selector)

    def warm(self, frame: Frame) -> None:
        """Take what was spent in the past from history."""
        if self.columns["member"][frame.slots].any():
            for row in frame.rows():
                self._learn(row)

    def step(self, row: Frame) -> list[Signal]:
        """Whose budget is spent too fast, or is gone, in this row (T = 1)."""
        slots = self._learn(row)
        if not len(slots):
            return []
        now, rows = float(row.times[0]), self.dense.of(slots)
        spent = self._bad(rows, now, COARSE, fine=False)[0] / self.rule.budget
        over = self._burning(rows, now)
        return [
            self._signal(int(slots[at]), int(rows[at]), now, float(spent[at]), over[:, at])
            for at in np.flatnonzero(over.any(0) | (spent >= 1)).tolist()
        ]

    def left(self) -> float:
        """Share of its budget that the worst series has left, each as of its last sample.

        Below 0: more was spent than there is. NaN: there is no series yet.
        """
        _, bad = self._worst()
        return 1.0 - bad / self.rule.budget

    def rates(self) -> list[tuple[float, float]]:
        """``(seconds, rate)`` of the long windows of `BURNS`, for the series that has the least left.

        `rate`: how many times as fast as the budget lasts it is spent, as of that series' last sample. None
        when there is no series yet.
        """
        worst, _ = self._worst()
        if not len(worst):
            return []
        now, found = float(self.dense.rows["last"][worst[0]]), []
        for burn in BURNS:
            size = self.rule.window / (FINE if burn.fine else COARSE)
            pace = float(self._pace(worst, now, burn.long, fine=burn.fine)[0])
            found.append((burn.long * size, pace / (1 - self.rule.target)))
        return found

    def _worst(self) -> tuple[Slots, float]:
        """Row ``[1]`` of the series that has the least left, and what was bad of it; ``[0]``, NaN: none."""
        state = self.dense.rows
        rows = np.flatnonzero((state["owner"] >= 0) & ~np.isnan(state["last"])).astype(np.int32)
        if not len(rows):
            return rows, float("nan")
        begun = state["coarse_step"][rows] - COARSE + 1
        bad = state["total"][rows] - state["coarse"][rows, begun % (COARSE + 1)]
        worst = int(np.argmax(bad))
        return rows[[worst]], float(bad[worst])

    def _learn(self, row: Frame) -> Slots:
        """Add what was bad since the last samples. The slots that had one."""
        slots, values = row.slots, row.values[0]
        where = self.columns["member"][slots] & ~np.isnan(values)
        values, now = values[where], float(row.times[0])
        slots = np.asarray(slots[where], np.int32)
        if not len(slots):
            return slots
        rows, state = self.dense.of(slots), self.dense.rows
        gap, usual = now - state["last"][rows], state["gap"][rows]
        moved = np.where(np.isnan(usual), gap, usual + USUAL * (np.minimum(gap, 3 * usual) - usual))
        state["gap"][rows] = np.where(gap > 0, moved, usual)
        # a sample speaks for the time since the last, but not for a gap
        lasted = np.minimum(np.nan_to_num(gap), np.nan_to_num(2 * usual, nan=np.inf))
        self._turn(rows, now)
        state["total"][rows] += self._share(values) * np.maximum(lasted, 0.0)
        state["last"][rows] = np.fmax(state["last"][rows], now)
        return slots

    def _share(self, values: Floats) -> Floats:
        if self.rule.share:
            return np.clip(values, 0.0, 1.0)
        return ((values - self.rule.bound) * self.rule.sign > 0).astype(float)

    def _turn(self, rows: Slots, now: float) -> None:
        """Keep the sum at the start of each step that has begun since."""
        state = self.dense.rows
        for name, steps, kept in (("fine", FINE, KEPT), ("coarse", COARSE, COARSE + 1)):
            step = int(now / (self.rule.window / steps))
            last = state[f"{name}_step"][rows]
            if not (last < step).any():
                continue
            for begun in range(max(int(last.min()) + 1, step - kept + 1), step + 1):
                late = rows[last < begun]
                state[name][late, begun % kept] = state["total"][late]
            state[f"{name}_step"][rows] = np.maximum(last, step)

    def _bad(self, rows: Slots, now: float, steps: int, *, fine: bool) -> tuple[Floats, float]:
        """Bad seconds ``[S]`` in the last so many steps, the present one included; and how long they are."""
        name, kept = ("fine", KEPT) if fine else ("coarse", COARSE + 1)
        size = self.rule.window / (FINE if fine else COARSE)
        begun = int(now / size) - steps + 1
        bad: Floats = self.dense.rows["total"][rows] - self.dense.rows[name][rows, begun % kept]
        return bad, now - begun * size

    def _pace(self, rows: Slots, now: float, steps: int, *, fine: bool) -> Floats:
        """Share of the last so many steps that was bad, ``[S]``; of a sample's time at least."""
        bad, length = self._bad(rows, now, steps, fine=fine)
        out: Floats = bad / np.maximum(length, np.nan_to_num(self.dense.rows["gap"][rows]))
        return out

    def _burning(self, rows: Slots, now: float) -> NDArray[np.bool_]:
        """Which of `BURNS` holds, ``[BURNS, S]``; and remember since when each series burns at all."""
        allowed = 1 - self.rule.target
        over = np.zeros((len(BURNS), len(rows)), bool)
        for place, burn in enumerate(BURNS):
            long = self._pace(rows, now, burn.long, fine=burn.fine)
            short = self._pace(rows, now, burn.short, fine=True)
            over[place] = np.minimum(long, short) >= burn.rate * allowed
        state = self.dense.rows
        burns = self._pace(rows, now, BURNS[0].short, fine=True) >= allowed
        bad, length = self._bad(rows, now, BURNS[0].short, fine=True)
        new = burns & np.isnan(state["since"][rows])
        state["since"][rows[new]], state["before"][rows[new]] = (
            now - length,
            (state["total"][rows] - bad)[new],
        )
        state["since"][rows[~burns & ~over.any(0)]] = np.nan
        return over

    def _signal(self, slot: int, row: int, now: float, spent: float, over: NDArray[np.bool_]) -> Signal:
        fired = [burn for burn, holds in zip(BURNS, over, strict=True) if holds]
        pages = spent >= 1 or any(burn.pages for burn in fired)
        slow = min(self.rule.severity, Severity.MAJOR, key=lambda one: Severity(one).level)
        return Signal(
            labels=self._index.labels(slot),
            kind=AlertKind.BURN,
            rule=self.rule.name,
            fires=True,
            severity=self.rule.severity if pages else slow,
            observed=spent,
            bound=1.0,
            breach=self._gone(np.array([row], np.int32), now, spent, fired),
            because=self._because(fired[0]) if fired else "",
        )

    def _because(self, burn: Burn) -> str:
        minute, hour = self.rule.window / FINE, self.rule.window / COARSE
        long = words.duration(burn.long * (minute if burn.fine else hour))
        short = words.duration(burn.short * minute)
        return f"over {long}, and still over {short}, it is spent {burn.rate:g} times as fast as it lasts"

    def _gone(self, row: Slots, now: float, spent: float, fired: Sequence[Burn]) -> Breach:
        """When nothing of the budget is left if it goes on burning.

        What has burnt for an age A burns for a further time t with odds A / (A + t), as ramps do
        (`aiops.core.forecast`): so likely it is, and `latest` is damped by it.
        """
        within = self.rule.window
        if spent >= 1 or not fired:
            return Breach(now, now, now, 1.0, within) if spent >= 1 else Breach()
        state = self.dense.rows
        since = float(state["since"][row[0]])
        if np.isnan(since):
            bad, age = self._bad(row, now, fired[0].long, fine=fired[0].fine)
            pace = float(bad[0]) / age
        else:
            age = now - since
            pace = float(state["total"][row[0]] - state["before"][row[0]]) / age
        apart = abs(float(self._pace(row, now, BURNS[0].short, fine=True)[0]) - pace)
        expected = self._until(row, now, pace)
        if not np.isfinite(expected):
            return Breach()
        earliest = self._until(row, now, pace + apart)
        slowest = self._until(row, now, max(pace - apart, pace / 4))
        latest = min(age * float(np.expm1(min(slowest / age, 50.0))), within)
        chance = age / (age + expected)
        return Breach(now + earliest, now + expected, now + max(latest, expected), chance, within)

    def _until(self, row: Slots, now: float, pace: float) -> float:
        """Seconds until the budget is gone while so large a share of the time is bad; inf: it never is.

        What is bad at the window's beginning leaves it meanwhile.
        """
        size = self.rule.window / COARSE
        begun = int(now / size) - COARSE + 1
        sums = self.dense.rows["coarse"][row[0], (begun + np.arange(COARSE)) % (COARSE + 1)]
        ahead = np.arange(COARSE) * size
        bad = float(self.dense.rows["total"][row[0]]) - sums + pace * ahead
        over = np.flatnonzero(bad >= self.rule.budget)
        if not len(over) or over[0] == 0:
            return float("inf") if not len(over) else 0.0
        at = int(over[0])
        part = (self.rule.budget - bad[at - 1]) / (bad[at] - bad[at - 1])
        return float(ahead[at - 1] + part * size)

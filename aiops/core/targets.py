"""What reports to us, target by target: since when, how often, and which have fallen silent."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiops.model.series import Labels, labels_of
from aiops.model.signal import Severity
from aiops.plugin import Column, Columns

MISSED = 4.0
"""Usual gaps for which nothing came: then a target, or a source, is silent."""
LEAST = 15.0
"""Seconds that it takes at least: a slow scrape is no outage."""
ROWS = 10
"""Rows after which the usual gap of a target, or of a source that pushes, is known."""
REPLACED = 300.0
"""Seconds around a target's end in which another of its job began: a rollout, no outage."""
REMEMBERED = 86400.0
"""Seconds for which a snapshot has a target that nothing was heard of."""
_TIMES = ("first", "last", "up_last", "down")

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Target:
    """What is scraped, or pushes: the instance, else the host, else the component."""

    source: str
    name: str
    labels: Labels
    job: str = ""


class Targets:
    """By number. Times are seconds since the epoch; ``newest``: of each source, the time of its last row."""

    def __init__(self) -> None:
        self.known: list[Target] = []
        self._number: dict[tuple[str, str], int] = {}
        self._jobs: dict[tuple[str, str], int] = {}
        self._seen = Columns(
            first=Column(np.float64, np.inf),
            last=Column(np.float64, -np.inf),
            gap=Column(np.float64, np.nan),
            rows=Column(np.int32),
            up_last=Column(np.float64, -np.inf),
            down=Column(np.float64, np.nan),
            job=Column(np.int32, -1),
        )

    def __len__(self) -> int:
        return len(self.known)

    def knows(self, source: str, name: str) -> bool:
        return (source, name) in self._number

    def number(self, target: Target) -> int:
        """Its number, given when it is new."""
        key = target.source, target.name
        number = self._number.get(key)
        if number is None:
            number = self._number[key] = len(self.known)
            self.known.append(target)
            self._seen.ensure(number + 1)
            if target.job:
                self._seen["job"][number] = self._jobs.setdefault(
                    (target.source, target.job), len(self._jobs)
                )
        return number

    def mark(self, numbers: NDArray[np.int32], up: NDArray[np.bool_], values: Floats, time: float) -> None:
        """Samples of targets at `time`; where `up`, what a sample says is whether its scrape succeeded."""
        seen = self._seen
        told, down = numbers[up], values[up] == 0
        seen["up_last"][told] = time
        seen["down"][told] = np.where(down, np.fmin(seen["down"][told], time), np.nan)
        heard = np.zeros(len(self.known), np.bool_)
        heard[numbers[~up]] = True
        spoke = np.flatnonzero(heard)
        last = seen["last"][spoke]
        gap, more = time - last, np.isfinite(last) & (time > last)
        before = seen["gap"][spoke]
        seen["gap"][spoke] = np.where(more, usual(before, gap), before)
        seen["first"][spoke] = np.minimum(seen["first"][spoke], time)
        seen["last"][spoke] = np.maximum(last, time)
        seen["rows"][spoke] += 1

    def silent(self, newest: Mapping[str, float], sources: set[str]) -> list[int]:
        """Those of `sources` that should report, and do not."""
        count = len(self.known)
        if not count:
            return []
        seen = {name: self._seen[name][:count] for name in ("gap", "rows", "last", "up_last", "down")}
        now = np.array([newest[one.source] for one in self.known])
        asked = np.array([one.source in sources for one in self.known], bool)
        limit = np.fmax(LEAST, MISSED * seen["gap"])
        told = np.isfinite(seen["up_last"])
        # its scrapes are told of: while they succeed, or are no longer tried, it is not silent
        failing = told & (now - seen["up_last"] <= limit) & (now - seen["down"] >= limit)
        gone = ~told & (seen["rows"] >= ROWS) & (now - seen["last"] >= limit)
        found = np.flatnonzero(asked & (failing | gone)).tolist()
        return [number for number in found if failing[number] or not self._replaced(number)]

    def last(self, number: int) -> float:
        """When it was heard of last."""
        return float(self._seen["last"][number])

    def gravity(self, number: int, newest: float) -> Severity:
        """One of several of a job, of which nothing says that it is still there, may have been let go."""
        if np.isfinite(self._seen["up_last"][number]):
            return Severity.MAJOR
        alive = newest - self._seen["last"][self._others(number)] <= LEAST
        return Severity.MINOR if alive.any() else Severity.MAJOR

    def put_off(self, source: str, seconds: float) -> None:
        """As if all that was heard of `source` had been heard so much later."""
        own = np.array([one.source == source for one in self.known], np.bool_)
        for name in _TIMES:
            self._seen[name][: len(own)][own] += seconds

    def snapshot(self, newest: Mapping[str, float]) -> dict[str, Any]:
        """JSON-able: those that were heard of within a day, and those that are silent."""
        count, silent = len(self.known), set(self.silent(newest, set(newest)))
        heard = np.maximum(self._seen["last"][:count], self._seen["up_last"][:count])
        kept = [
            number
            for number, (one, at) in enumerate(zip(self.known, heard.tolist(), strict=True))
            if newest[one.source] - at <= REMEMBERED or number in silent
        ]
        seen = {name: self._seen[name][kept] for name in (*_TIMES, "gap", "rows")}
        known = [self.known[number] for number in kept]
        return {
            "known": [[one.source, one.name, [list(pair) for pair in one.labels], one.job] for one in known],
            "seen": {
                name: [value if np.isfinite(value) else None for value in column.tolist()]
                for name, column in seen.items()
            },
        }

    @classmethod
    def restore(cls, data: Mapping[str, Any]) -> "Targets":
        """From `snapshot`. Raises ValueError when it is none."""
        made = cls()
        try:
            for source, name, labels, job in data["known"]:
                made.number(Target(str(source), str(name), labels_of(dict(labels)), str(job)))
            for name in (*_TIMES, "gap", "rows"):
                column = data["seen"][name]
                if not len(column) == len(made) == len(data["known"]):
                    raise ValueError("the times of the targets are not those of the targets")
                fill = made._seen.spec[name].fill
                made._seen[name][: len(made)] = [fill if value is None else value for value in column]
        except (TypeError, KeyError) as why:
            raise ValueError(f"no snapshot of targets: {why!r}") from why
        return made

    def _replaced(self, number: int) -> bool:
        """Whether another of its job began about when it ended."""
        others = self._others(number)
        first, last = self._seen["first"], self._seen["last"][number]
        near = abs(first[others] - last) <= REPLACED
        return bool((near & (first[others] > first[number] + LEAST)).any())

    def _others(self, number: int) -> NDArray[np.intp]:
        """The other targets of its job."""
        job = self._seen["job"][: len(self.known)]
        found: NDArray[np.intp] = np.zeros(0, np.intp)
        if job[number] >= 0:
            found = np.flatnonzero(job == job[number])
        same: NDArray[np.intp] = found[found != number]
        return same


def usual(known: Floats, gap: Floats) -> Floats:
    """The usual gap, another one seen: it shortens at once and grows slowly: that may be an outage."""
    shorter, longer = (known + gap) / 2, 0.8 * known + 0.2 * np.minimum(gap, 2 * known)
    return np.where(np.isnan(known), gap, np.where(gap < known, shorter, longer))

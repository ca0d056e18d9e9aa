"""Is it the system, or what watches it? Silent targets and sources, new labels, clocks that differ."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from aiops.core.components import entity_of
from aiops.model.frame import Frame
from aiops.model.lifecycle import AlertState
from aiops.model.problem import Problem
from aiops.model.selector import Matcher, Selector
from aiops.model.series import NAME, Labels, SeriesIndex, labels_of
from aiops.model.signal import AlertKind, Severity, Signal
from aiops.plugin import Column, Columns

_SCRAPE = (
    "duration_seconds samples_scraped samples_post_metric_relabeling series_added timeout_seconds"
    " sample_limit samples_limit body_size_bytes response_size_bytes series_current series_limit"
    " series_limit_samples_dropped"
)
META = frozenset({"up", *(f"scrape_{one}" for one in _SCRAPE.split())})
"""What Prometheus, and vmagent, say of their own scraping: never the system's."""
OWN = ("log_", "forewarn_", "scrape_")
"""How metrics begin that no target says of itself."""
KEPT = ("instance", "host", "job", "team", "namespace")
"""What is told of a target, beside the labels that problems are grouped by."""
SILENT_TARGET, SILENT_SOURCE, CHURN, CLOCK = "silent target", "silent source", "new labels", "clock"
TARGET_AGE, SOURCE_AGE = "forewarn_target_age_seconds", "forewarn_source_age_seconds"
NEW_SERIES, SKEW = "forewarn_source_new_series_ratio", "forewarn_source_clock_skew_seconds"

MISSED = 4.0
"""Usual gaps for which nothing came: then a target, or a source, is silent."""
LEAST_TARGET, LEAST_SOURCE = 15.0, 30.0
"""Seconds that it takes at least: a slow scrape is no outage."""
ROWS = 10
"""Rows after which the usual gap of a target, or of a source that pushes, is known."""
REPLACED = 300.0
"""Seconds around a target's end in which another of its job began: a rollout, no outage."""
MOST_TARGETS = 50_000
"""Targets that are remembered, gone ones among them."""
AHEAD = 10.0
"""Seconds that samples may be ahead of our clock."""
WINDOW, SETTLED, MANY, SHARE = 600.0, 900.0, 50, 0.5
"""New series of so many seconds, once a source is known for so long, are churn from a number and a share of
all it has: after a relabelling every model begins anew, and nothing that is found then means much."""
Floats = NDArray[np.float64]
_UP = Selector((Matcher(NAME, "=", "up"),))


@dataclass(frozen=True, slots=True)
class Finding:
    """A value of one of our own series about a source, and whether it is too high."""

    signal: Signal
    wrong: bool


@dataclass(slots=True)
class Heard:
    """What one source has sent. Times are seconds since the epoch."""

    since: float
    last: float
    newest: float = -np.inf
    rows: int = 0
    gap: float = np.nan
    live: int = 0
    fresh: deque[tuple[float, int]] = field(default_factory=deque)
    ahead: float = 0.0


@dataclass(frozen=True, slots=True)
class Target:
    """What is scraped, or pushes: the instance, else the host, else the component."""

    source: str
    name: str
    labels: Labels


class Telemetry:
    """Watches the watching. Of very many series only those with a recent past, and ``up``, are looked at."""

    def __init__(self, index: SeriesIndex, by: Sequence[str], most: int) -> None:
        self._index, self._by, self._most = index, list(by), most
        self._target = Columns(target=Column(np.int32, -1), up=Column(np.bool_), fresh=Column(np.bool_))
        self._targets: list[Target] = []
        self._number: dict[tuple[str, str], int] = {}
        self._seen = Columns(
            first=Column(np.float64, np.inf),
            last=Column(np.float64, -np.inf),
            gap=Column(np.float64, np.nan),
            rows=Column(np.int32),
            up_last=Column(np.float64, -np.inf),
            down=Column(np.float64, np.nan),
            job=Column(np.int32, -1),
        )
        self._jobs: dict[tuple[str, str], int] = {}
        self._sources: dict[str, Heard] = {}
        self.silent: set[str] = set()
        """Components of which a target is silent now."""
        self.welcome(index.live())

    def welcome(self, fresh: NDArray[np.int32]) -> None:
        """New or reused slots: which target they belong to is asked when their source is known."""
        self._target.ensure(self._index.capacity)
        self._target.reset(fresh)
        self._target["fresh"][fresh] = True

    def hear(self, source: str, now: float) -> Heard:
        """`source` has said something, be it that there is nothing."""
        heard = self._sources.setdefault(source, Heard(now, now))
        heard.last = max(heard.last, now)
        return heard

    def see(self, source: str, row: Frame, now: float) -> None:
        """One row (T = 1) of `source`, which came at `now` by our clock."""
        time, heard = float(row.times[0]), self.hear(source, now)
        if heard.rows and time > heard.newest:
            heard.gap = float(_usual(np.array(heard.gap), np.array(time - heard.newest)))
        heard.rows, heard.newest, heard.ahead = heard.rows + 1, max(heard.newest, time), time - now
        have = ~np.isnan(row.values[0])
        slots = row.slots[have]
        heard.live = max(len(slots), int(0.99 * heard.live))
        self._meet(source, heard, slots, now)
        self._mark(slots, row.values[0][have], time)

    def judge(self, now: float, every: Mapping[str, float]) -> dict[str, list[Finding]]:
        """Per source what is wrong, or was; `every`: how often each is pulled, 0 where it pushes."""
        out = {source: self._of_source(source, now, pace) for source, pace in every.items()}
        self.silent = set()
        for number in self._silent_targets(set(every)):
            target = self._targets[number]
            self.silent.add(entity_of(target.labels, self._by))
            age = max(0.0, self._sources[target.source].newest - self._seen["last"][number])
            out[target.source].append(
                _finding(TARGET_AGE, SILENT_TARGET, target.labels, age, self._gravity(number))
            )
        return out

    # -- parts

    def _meet(self, source: str, heard: Heard, slots: NDArray[np.int32], now: float) -> None:
        new = slots[self._target["fresh"][slots]]
        if not len(new):
            return
        self._target["fresh"][new] = False
        heard.fresh.append((now, len(new)))
        up = self._index.matches(new, _UP)
        self._target["up"][new] = up
        known = new[up | (new < self._most)]
        metrics, metric = self._index.alike(known, [NAME])
        own = np.array([dict(one).get(NAME, "").startswith(OWN) for one in metrics], np.bool_)
        known = known[~own[metric]]
        found, which = self._index.alike(known, sorted({*KEPT, "service", *self._by}))
        names = [self._name_of(labels) for labels in found]
        if len(self._targets) + len({(source, name) for name in names} - self._number.keys()) > MOST_TARGETS:
            self._begin_anew()
        pairs = zip(names, found, strict=True)
        numbers = [self._numbered(source, name, labels) if name else -1 for name, labels in pairs]
        self._target["target"][known] = np.array(numbers, np.int32)[which]

    def _name_of(self, labels: Labels) -> str:
        named = dict(labels)
        return named.get("instance") or named.get("host") or entity_of(labels, self._by)

    def _numbered(self, source: str, name: str, labels: Labels) -> int:
        number = self._number.get((source, name))
        if number is None:
            number = self._number[source, name] = len(self._targets)
            named = dict(labels)
            own = {k: v for k, v in labels if k in KEPT or k in self._by}
            self._targets.append(Target(source, name, labels_of(own)))
            self._seen.ensure(number + 1)
            if job := named.get("job") or named.get("service"):
                self._seen["job"][number] = self._jobs.setdefault((source, job), len(self._jobs))
        return number

    def _begin_anew(self) -> None:
        """After so many targets most are long gone: those that report are met again with their next row."""
        self._targets, self._number, self._jobs = [], {}, {}
        everything = np.arange(self._seen.capacity, dtype=np.int32)
        self._seen.reset(everything)
        self.welcome(self._index.live())

    def _mark(self, slots: NDArray[np.int32], values: NDArray[np.float64], time: float) -> None:
        known = self._target["target"][slots]
        mine = known >= 0
        known, up, values = known[mine], self._target["up"][slots[mine]], values[mine]
        seen = self._seen
        told, down = known[up], values[up] == 0
        seen["up_last"][told] = time
        seen["down"][told] = np.where(down, np.fmin(seen["down"][told], time), np.nan)
        heard = np.zeros(len(self._targets), np.bool_)
        heard[known[~up]] = True
        spoke = np.flatnonzero(heard)
        last = seen["last"][spoke]
        gap, more = time - last, np.isfinite(last) & (time > last)
        usual = seen["gap"][spoke]
        seen["gap"][spoke] = np.where(more, _usual(usual, gap), usual)
        seen["first"][spoke] = np.minimum(seen["first"][spoke], time)
        seen["last"][spoke] = np.maximum(last, time)
        seen["rows"][spoke] += 1

    def _silent_targets(self, sources: set[str]) -> list[int]:
        count = len(self._targets)
        if not count:
            return []
        seen = {name: self._seen[name][:count] for name in ("gap", "rows", "last", "up_last", "down")}
        newest = np.array([self._sources[one.source].newest for one in self._targets])
        asked = np.array([one.source in sources for one in self._targets], bool)
        limit = np.fmax(LEAST_TARGET, MISSED * seen["gap"])
        told = np.isfinite(seen["up_last"])
        # its scrapes are told of: while they succeed, or are no longer tried, it is not silent
        failing = told & (newest - seen["up_last"] <= limit) & (newest - seen["down"] >= limit)
        gone = ~told & (seen["rows"] >= ROWS) & (newest - seen["last"] >= limit)
        return [
            i
            for i in np.flatnonzero(asked & (failing | gone)).tolist()
            if failing[i] or not self._replaced(i)
        ]

    def _replaced(self, number: int) -> bool:
        """Whether another of its job began about when it ended."""
        others = self._others(number)
        first, last = self._seen["first"], self._seen["last"][number]
        near = abs(first[others] - last) <= REPLACED
        return bool((near & (first[others] > first[number] + LEAST_TARGET)).any())

    def _others(self, number: int) -> NDArray[np.intp]:
        """The other targets of its job."""
        job = self._seen["job"][: len(self._targets)]
        found: NDArray[np.intp] = np.zeros(0, np.intp)
        if job[number] >= 0:
            found = np.flatnonzero(job == job[number])
        same: NDArray[np.intp] = found[found != number]
        return same

    def _gravity(self, number: int) -> Severity:
        """One of several of a job, of which nothing says that it is still there, may have been let go."""
        if np.isfinite(self._seen["up_last"][number]):
            return Severity.MAJOR
        newest = self._sources[self._targets[number].source].newest
        alive = newest - self._seen["last"][self._others(number)] <= LEAST_TARGET
        return Severity.MINOR if alive.any() else Severity.MAJOR

    def _of_source(self, source: str, now: float, every: float) -> list[Finding]:
        heard = self._sources.setdefault(source, Heard(now, now))
        pace = every or (heard.gap if heard.rows >= ROWS else np.inf)
        limit, age = max(LEAST_SOURCE, MISSED * pace), now - heard.last
        while heard.fresh and heard.fresh[0][0] < now - WINDOW:
            heard.fresh.popleft()
        new = sum(count for at, count in heard.fresh if at - heard.since > SETTLED)
        share = new / max(1, heard.live)
        labels = labels_of({"source": source})
        return [
            _finding(SOURCE_AGE, SILENT_SOURCE, labels, age, Severity.MAJOR, limit),
            _finding(NEW_SERIES, CHURN, labels, share if new >= MANY else 0.0, Severity.MINOR, SHARE),
            _finding(SKEW, CLOCK, labels, max(0.0, heard.ahead), Severity.MAJOR, AHEAD),
        ]


def of_telemetry(signal: Signal) -> Signal:
    """An anomaly of what Prometheus says of its own scraping is none of the system's."""
    if signal.kind is not AlertKind.ANOMALY or dict(signal.labels).get(NAME) not in META:
        return signal
    return replace(signal, kind=AlertKind.SILENCE)


def only_telemetry(problem: Problem, silent: set[str], by: Sequence[str]) -> bool:
    """Whether all that fires may come from the watching: then nothing is done to the system.

    Beside alerts of telemetry itself these are anomalies of components that are silent now. What people
    declared, limits and SLIs, always counts as the system's.
    """
    firing = [a for a in problem.alerts if a.state is AlertState.FIRING]
    return bool(firing) and all(
        a.kind is AlertKind.SILENCE or (a.kind is AlertKind.ANOMALY and entity_of(a.labels, by) in silent)
        for a in firing
    ) and any(a.kind is AlertKind.SILENCE for a in firing)  # fmt: skip


def _finding(
    metric: str, rule: str, labels: Labels, value: float, severity: Severity, bound: float = 0.0
) -> Finding:
    named = labels_of({**dict(labels), NAME: metric})
    signal = Signal(named, AlertKind.SILENCE, rule, True, severity, float(value), bound=bound)
    return Finding(signal, value > bound)


def _usual(known: Floats, gap: Floats) -> Floats:
    """The usual gap, another one seen: it shortens at once and grows slowly: that may be an outage."""
    shorter, longer = (known + gap) / 2, 0.8 * known + 0.2 * np.minimum(gap, 2 * known)
    return np.where(np.isnan(known), gap, np.where(gap < known, shorter, longer))

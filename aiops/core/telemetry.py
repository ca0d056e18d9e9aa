"""Is it the system, or what watches it? Silent targets and sources, new labels, clocks that differ."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiops.core.components import entity_of
from aiops.core.targets import MISSED, ROWS, Target, Targets, usual
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

LEAST_SOURCE = 30.0
"""Seconds for which a source is silent at least before that is told."""
AWAY = 3600.0
"""Seconds without us after which what reports is met anew: too much may have changed."""
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
    silent: bool = False
    resumed: bool = False
    """Taken up from a snapshot, and no row came since."""


class Telemetry:
    """Watches the watching. Of very many series only those with a recent past, and ``up``, are looked at."""

    def __init__(self, index: SeriesIndex, by: Sequence[str], most: int) -> None:
        self._index, self._by, self._most = index, list(by), most
        self._target = Columns(target=Column(np.int32, -1), up=Column(np.bool_), fresh=Column(np.bool_))
        self._targets = Targets()
        self._sources: dict[str, Heard] = {}
        self._restored: dict[str, Heard] = {}
        """Sources of a snapshot that were not asked about since."""
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
        heard = self._heard(source, now)
        heard.last = max(heard.last, now)
        return heard

    def see(self, source: str, row: Frame, now: float) -> None:
        """One row (T = 1) of `source`, which came at `now` by our clock."""
        time, heard = float(row.times[0]), self.hear(source, now)
        if heard.resumed:
            self._resume(source, heard, time)
        if heard.rows and time > heard.newest:
            heard.gap = float(usual(np.array(heard.gap), np.array(time - heard.newest)))
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
        newest = self._newest()
        for number in self._targets.silent(newest, set(every)):
            target = self._targets.known[number]
            self.silent.add(entity_of(target.labels, self._by))
            now_there = newest[target.source]
            age = max(0.0, now_there - self._targets.last(number))
            gravity = self._targets.gravity(number, now_there)
            out[target.source].append(_finding(TARGET_AGE, SILENT_TARGET, target.labels, age, gravity))
        return out

    def knows(self, source: str, labels: Labels) -> bool:
        """Whether it could be told by now if what `labels` name, a finding's, were well again."""
        if (NAME, TARGET_AGE) not in labels:
            return True
        named = {**dict(labels), NAME: ""}
        return any(
            one.source == source and {**dict(one.labels), NAME: ""} == named for one in self._targets.known
        )

    def snapshot(self) -> dict[str, Any]:
        """JSON-able."""
        sources = self._restored | self._sources
        told = {
            name: {
                "last": heard.last,
                "newest": heard.newest,
                "rows": heard.rows,
                "gap": None if np.isnan(heard.gap) else heard.gap,
                "silent": heard.silent,
            }
            for name, heard in sources.items()
            if heard.rows
        }
        return {"sources": told, "targets": self._targets.snapshot(self._newest())}

    def restore(self, data: Mapping[str, Any]) -> None:
        """Take up what `snapshot` gave. Raises ValueError, changing nothing, when it is none.

        The time for which nobody watched is nobody's silence.
        """
        try:
            sources = {
                str(name): Heard(
                    np.inf,
                    float(one["last"]),
                    float(one["newest"]),
                    int(one["rows"]),
                    np.nan if one["gap"] is None else float(one["gap"]),
                    silent=bool(one["silent"]),
                    resumed=True,
                )
                for name, one in data["sources"].items()
            }
            targets = Targets.restore(data["targets"])
        except (TypeError, KeyError, AttributeError, ValueError) as why:
            raise ValueError(f"no snapshot of what reports: {why!r}") from why
        if not {one.source for one in targets.known} <= sources.keys():
            raise ValueError("targets of sources that are not there")
        self._restored, self._targets = sources, targets

    # -- parts

    def _heard(self, source: str, now: float) -> Heard:
        if source not in self._sources:
            heard = self._restored.pop(source, None) or Heard(now, now)
            heard.since, heard.last = now, heard.last if heard.silent else now
            self._sources[source] = heard
        return self._sources[source]

    def _resume(self, source: str, heard: Heard, time: float) -> None:
        """The first row after a snapshot was taken up."""
        heard.resumed, away = False, time - heard.newest - np.nan_to_num(heard.gap)
        if away > AWAY:
            self._begin_anew()
        elif away > 0:
            self._targets.put_off(source, away)
            heard.newest += away

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
        new_names = {name for name in names if not self._targets.knows(source, name)}
        if len(self._targets) + len(new_names) > MOST_TARGETS:
            self._begin_anew()
        pairs = zip(names, found, strict=True)
        numbers = [self._numbered(source, name, labels) if name else -1 for name, labels in pairs]
        self._target["target"][known] = np.array(numbers, np.int32)[which]

    def _name_of(self, labels: Labels) -> str:
        named = dict(labels)
        return named.get("instance") or named.get("host") or entity_of(labels, self._by)

    def _numbered(self, source: str, name: str, labels: Labels) -> int:
        named = dict(labels)
        own = {k: v for k, v in labels if k in KEPT or k in self._by}
        job = named.get("job") or named.get("service") or ""
        return self._targets.number(Target(source, name, labels_of(own), job))

    def _begin_anew(self) -> None:
        """After so many targets most are long gone: those that report are met again with their next row."""
        self._targets = Targets()
        self.welcome(self._index.live())

    def _mark(self, slots: NDArray[np.int32], values: NDArray[np.float64], time: float) -> None:
        known = self._target["target"][slots]
        mine = known >= 0
        known, up, values = known[mine], self._target["up"][slots[mine]], values[mine]
        self._targets.mark(known, up, values, time)

    def _newest(self) -> dict[str, float]:
        return {source: heard.newest for source, heard in (self._restored | self._sources).items()}

    def _of_source(self, source: str, now: float, every: float) -> list[Finding]:
        heard = self._heard(source, now)
        pace = every or (heard.gap if heard.rows >= ROWS else np.inf)
        limit, age = max(LEAST_SOURCE, MISSED * pace), now - heard.last
        heard.silent = age > limit
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

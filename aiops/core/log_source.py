"""One source's logs, step by step: its streams, their templates' rates, and what stands out."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from aiops.core.log_bursts import MOST_SERIES, Burst, Bursts, Key, Voices
from aiops.core.log_news import LATER, News, Novelty, Silent, is_grave
from aiops.core.log_sessions import Sessions
from aiops.model.series import Labels, labels_of
from aiops.model.signal import Severity
from aiops.plugin import Miner

Counts: TypeAlias = dict[int, dict[Labels, Counter[int]]]
"""Step (epoch s // every) -> stream -> template -> lines."""

TOTAL, ERRORS, ODD = -1, -2, -3
"""In the place of a template: all lines of a stream, all that say that something went wrong; and, counted
instead of lines, the sessions that were odd."""
PATTERN = "log_pattern_lines_per_second"

SILENCE, SESSION = "log silence", "odd session"

ESTABLISHED = 50
"""Lines after which a template's rate is watched."""
_BURSTS = {TOTAL: "burst of log lines", ERRORS: "burst of errors", ODD: "burst of odd sessions"}
MOST_STREAMS = 1000
MOST_NEWS = 20
"""New patterns told of at one time, the gravest; a release brings hundreds."""
GREAT_BURST = 12.0
"""Score (-log10 p) of a burst of errors that opens a problem by itself."""
NEWS_BAR = 4.0
"""A new pattern that is not grave is told of where new ones are rarer than this."""


class Settings(Protocol):
    every: float
    warm_up_lines: int
    warm_up_time: float
    hold: float
    session: str
    session_idle: float


@dataclass(frozen=True, slots=True)
class Finding:
    """What stands out in this step. `observed` and `expected` in lines a step."""

    labels: Labels
    ident: int
    rule: str
    severity: Severity
    score: float
    observed: float
    expected: float
    example: int = -1
    """Of which template lines are shown, where the finding is about none."""
    session: str = ""
    """Its key, where it is about one: then `observed` and `expected` are lines of a session."""


class LogSource:
    """What is learnt about one source."""

    def __init__(self, settings: Settings, miner: Miner) -> None:
        self._settings = settings
        self._miner = miner
        self.open: Counts = {}
        """Committed, and not judged yet."""
        self.closed = 0
        """The first step that is not over."""
        self.novelty = Novelty()
        self._lines: Counter[tuple[Labels, int]] = Counter()
        self._bursts = Bursts(settings.every)
        self._burst_voices, self._rate_voices = Voices(), Voices()
        self.sessions = Sessions(math.ceil(settings.session_idle / settings.every), 86400.0 / settings.every)
        self._silent: dict[Labels, Silent] = {}
        self._news: dict[tuple[Labels, int], News] = {}
        self._grave: dict[int, bool] = {}
        self._now: dict[tuple[Labels, int], float] = {}

    def step(self, counts: dict[Labels, Counter[int]], now: float) -> list[Finding]:
        """Judge one step that ended at `now` (epoch s), then learn it."""
        counts = self._within_bounds(counts)
        self._now = self._counted(counts)
        sessions = self._ended(now)
        warm = self.novelty.warm(now, self._settings.warm_up_lines, self._settings.warm_up_time)
        found = self._new(counts, now, warm) + (sessions if warm else [])
        bursts = self._bursts.step(self._now)
        found += [self._of_burst(burst) for burst in self._spoken(bursts)] if warm else []
        for labels in self._silent.keys() | counts.keys():
            silent = self._silent.setdefault(labels, Silent())
            silent.step(sum(counts.get(labels, Counter()).values()))
            if silent.score and warm:
                gone = Finding(labels, TOTAL, SILENCE, Severity.MAJOR, silent.score, 0.0, silent.mean)
                found.append(gone)
        self.novelty.count(sum(sum(c.values()) for c in counts.values()), now, warm)
        return found

    def rates(self) -> dict[tuple[Labels, int], float]:
        """Lines of each watched stream and template in the step that was judged last."""
        return {
            key: self._now.get(key, 0.0)
            for key in (*self._bursts.rows, *(k for k in self._news if k not in self._bursts.rows))
        }

    @property
    def credible(self) -> set[Key]:
        """What of `rates` is out of the ordinary by its counts, in streams that are not told of already."""
        return {key for key in self._bursts.credible if key[0] not in self._burst_voices.of}

    def believed(self, scores: Mapping[Key, float]) -> list[Key]:
        """Of anomalies in rates with these scores, one a stream."""
        weights = {key: (self._is_grave(key[1]), key[1] >= 0, score) for key, score in scores.items()}
        return self._rate_voices.choose(weights)

    def merged(self, gone: int, into: int) -> None:
        """Template `gone` is part of `into` from now on."""
        self.novelty.merged(gone, into)
        self._grave.pop(gone, None)
        for streams in self.open.values():
            for counts in streams.values():
                if gone in counts:
                    counts[into] += counts.pop(gone)
        for table in (self._lines, self._news):
            for labels, _ in [key for key in table if key[1] == gone]:
                table.pop((labels, gone))
        self._bursts.drop(gone)
        self.sessions.forget(gone, into)

    def forget(self, ident: int) -> None:
        self.novelty.known.pop(ident, None)
        self.merged(ident, ident)

    # -- parts

    def _within_bounds(self, counts: dict[Labels, Counter[int]]) -> dict[Labels, Counter[int]]:
        """Streams beyond the most are taken as one without labels."""
        out: dict[Labels, Counter[int]] = {}
        for labels, templates in counts.items():
            known = labels in self._silent or len(self._silent) + len(out) < MOST_STREAMS
            out.setdefault(labels if known else labels_of({}), Counter()).update(templates)
        return out

    def _counted(self, counts: dict[Labels, Counter[int]]) -> dict[tuple[Labels, int], float]:
        now: dict[tuple[Labels, int], float] = {}
        for labels, templates in counts.items():
            now[labels, TOTAL] = float(sum(templates.values()))
            errors = sum(lines for ident, lines in templates.items() if self._is_grave(ident))
            now[labels, ERRORS] = float(errors)
            for ident, lines in templates.items():
                now[labels, ident] = float(lines)
                self._lines[labels, ident] += lines
                if self._lines[labels, ident] >= ESTABLISHED:
                    self._bursts.watch((labels, ident))
            self._bursts.watch((labels, TOTAL))
            self._bursts.watch((labels, ERRORS))
        if len(self._lines) > 4 * MOST_SERIES:
            self._lines = Counter({key: n for key, n in self._lines.items() if key in self._bursts.rows})
        return now

    def _new(self, counts: dict[Labels, Counter[int]], now: float, warm: bool) -> list[Finding]:
        for labels, templates in counts.items():
            for ident, lines in templates.items():
                key = labels, ident
                if key in self._news:
                    self._news[key].last = now
                template = self._miner.find(ident)
                news = self.novelty.take(template, lines, now, warm) if template else None
                if news and (news.severity is Severity.MAJOR or news.score >= NEWS_BAR):
                    self._news[key] = news
        self._news = {
            key: one
            for key, one in self._news.items()
            if now - one.last <= self._settings.hold and now - one.since <= LATER
        }
        worst = sorted(self._news.items(), key=lambda item: (-item[1].severity.level, -item[1].score))
        return [
            Finding(
                labels, ident, one.rule, one.severity, one.score, self._now.get((labels, ident), 0.0), 0.0
            )
            for (labels, ident), one in worst[:MOST_NEWS]
        ]

    def _spoken(self, bursts: list[Burst]) -> list[Burst]:
        """One burst a stream, and every template's that is grave."""
        weights = {b.key: (self._is_grave(b.key[1]), b.key[1] >= 0, b.score) for b in bursts}
        voices = set(self._burst_voices.choose(weights))
        return [b for b in bursts if b.key in voices or (b.key[1] >= 0 and self._is_great(b))]

    def _is_great(self, burst: Burst) -> bool:
        ident = burst.key[1]
        return burst.score >= GREAT_BURST and (ident == ERRORS or self._is_grave(ident))

    def _ended(self, now: float) -> list[Finding]:
        """Sessions that stand out by themselves; of the others that are odd, how many there are is judged."""
        found = []
        for one in self.sessions.end(round(now / self._settings.every)):
            key = one.labels, ODD
            self._bursts.watch(key)
            self._now[key] = self._now.get(key, 0.0) + one.odd
            if one.score:
                great = one.score >= GREAT_BURST and self._is_grave(one.ident)
                severity = Severity.MAJOR if great else Severity.MINOR
                counts = one.observed, one.expected
                found.append(
                    Finding(one.labels, one.ident, SESSION, severity, one.score, *counts, session=one.key)
                )
        return sorted(found, key=lambda one: -one.score)[:MOST_NEWS]

    def _of_burst(self, burst: Burst) -> Finding:
        labels, ident = burst.key
        rule = _BURSTS.get(ident, "burst of a log pattern")
        severity = Severity.MAJOR if self._is_great(burst) else Severity.MINOR
        example = self._loudest(labels, ident)
        return Finding(labels, ident, rule, severity, burst.score, burst.observed, burst.expected, example)

    def _loudest(self, labels: Labels, ident: int) -> int:
        """The template with most lines in this step, of those that a finding about many is about."""
        most = [
            (lines, other)
            for (stream, other), lines in self._now.items()
            if stream == labels and other >= 0 and (ident != ERRORS or self._is_grave(other))
        ]
        return max(most, default=(0.0, -1))[1]

    def _is_grave(self, ident: int) -> bool:
        if ident < 0:
            return False
        found = self._grave.get(ident)
        if found is None:
            template = self._miner.find(ident)
            found = self._grave[ident] = template is not None and is_grave(template)
        return found

    # -- checkpoint

    def snapshot(self) -> dict[str, Any]:
        return {
            "closed": self.closed,
            "novelty": self.novelty.snapshot(),
            "open": [[s, labels, list(c.items())] for s, by in self.open.items() for labels, c in by.items()],
            "lines": [[labels, ident, n] for (labels, ident), n in self._lines.items()],
            **self._bursts.snapshot(),
            "sessions": self.sessions.snapshot(),
            "voices": list(self._burst_voices.of.items()),
            "silent": [[labels, s.mean, s.steps, s.quiet, s.longest] for labels, s in self._silent.items()],
            "news": [
                [labels, ident, n.rule, n.severity.value, n.score, n.since, n.last]
                for (labels, ident), n in self._news.items()
            ],
        }

    @classmethod
    def restore(cls, settings: Settings, miner: Miner, data: Mapping[str, Any]) -> "LogSource":
        """Raises KeyError, TypeError or ValueError when it is no snapshot."""
        made = cls(settings, miner)
        made.closed = int(data["closed"])
        known = (miner.find(int(ident)) for ident, *_ in data["novelty"]["known"])
        made.novelty = Novelty.restore(data["novelty"], [t for t in known if t is not None])
        for step, labels, counts in data["open"]:
            made.open.setdefault(int(step), {})[labels_of(labels)] = Counter({int(i): n for i, n in counts})
        made._lines = Counter({(labels_of(labels), int(i)): int(n) for labels, i, n in data["lines"]})
        made._bursts.restore(data)
        if "sessions" in data:
            made.sessions.restore(data["sessions"])
        voices = data.get("voices", ())
        made._burst_voices.of = {labels_of(labels): int(ident) for labels, ident in voices}
        for labels, mean, steps, quiet, longest in data["silent"]:
            made._silent[labels_of(labels)] = Silent(mean, int(steps), int(quiet), longest)
        for labels, ident, rule, severity, score, since, last in data["news"]:
            made._news[labels_of(labels), int(ident)] = News(rule, Severity(severity), score, since, last)
        return made

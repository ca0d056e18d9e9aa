"""One source's logs, step by step: its streams, their templates' rates, and what stands out."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np

from aiops.core.log_news import LATER, News, Novelty, Silent, is_grave
from aiops.core.log_surge import Surges
from aiops.model.series import Labels, labels_of
from aiops.model.signal import Severity
from aiops.plugin import Miner

Counts: TypeAlias = dict[int, dict[Labels, Counter[int]]]
"""Step (epoch s // every) -> stream -> template -> lines."""

TOTAL, ERRORS = -1, -2
"""In the place of a template: all lines of a stream, and all that say that something went wrong."""
PATTERN = "log_pattern_lines_per_second"

ESTABLISHED = 50
"""Lines after which a template's rate is watched."""
MOST_SERIES = 5000
"""Rates watched of one source; beyond it templates are only watched for being new."""
MOST_STREAMS = 1000
MOST_NEWS = 20
"""New patterns told of at one time, the gravest; a release brings hundreds."""
WINDOWS = (3, 12)
"""Steps over which lines are summed: the short sees great bursts soon, the long sees them in what is rare."""
BURST, GREAT_BURST = 9.0, 12.0
"""Scores (-log10 p) of a burst, and of one that opens a problem by itself."""
NEWS_BAR = 4.0
"""A new pattern that is not grave is told of where new ones are rarer than this."""


class Settings(Protocol):
    every: float
    warm_up_lines: int
    warm_up_time: float
    hold: float


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
        self._rows: dict[tuple[Labels, int], int] = {}
        self._surges = {window: Surges(window) for window in WINDOWS}
        self._silent: dict[Labels, Silent] = {}
        self._news: dict[tuple[Labels, int], News] = {}
        self._grave: dict[int, bool] = {}
        self._now: dict[tuple[Labels, int], float] = {}

    def step(self, counts: dict[Labels, Counter[int]], now: float) -> list[Finding]:
        """Judge one step that ended at `now` (epoch s), then learn it."""
        counts = self._within_bounds(counts)
        self._now = self._counted(counts)
        warm = self.novelty.warm(now, self._settings.warm_up_lines, self._settings.warm_up_time)
        found = self._new(counts, now, warm)
        found += self._bursts(warm)
        for labels in self._silent.keys() | counts.keys():
            silent = self._silent.setdefault(labels, Silent())
            silent.step(sum(counts.get(labels, Counter()).values()))
            if silent.score and warm:
                gone = Finding(labels, TOTAL, "log silence", Severity.MAJOR, silent.score, 0.0, silent.mean)
                found.append(gone)
        self.novelty.count(sum(sum(c.values()) for c in counts.values()), now, warm)
        return found

    def rates(self) -> dict[tuple[Labels, int], float]:
        """Lines of each watched stream and template in the step that was judged last."""
        return {
            key: self._now.get(key, 0.0)
            for key in (*self._rows, *(k for k in self._news if k not in self._rows))
        }

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
        self._drop_rows({gone})

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
                    self._watch((labels, ident))
            self._watch((labels, TOTAL))
            self._watch((labels, ERRORS))
        if len(self._lines) > 4 * MOST_SERIES:
            self._lines = Counter({key: n for key, n in self._lines.items() if key in self._rows})
        return now

    def _watch(self, key: tuple[Labels, int]) -> None:
        if key not in self._rows and len(self._rows) < MOST_SERIES:
            self._rows[key] = len(self._rows)
            for surges in self._surges.values():
                surges.grow(len(self._rows))

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

    def _bursts(self, warm: bool) -> list[Finding]:
        keys = list(self._rows)
        counts = np.array([self._now.get(key, 0.0) for key in keys])
        if not keys:
            return []
        judged = [(window, *surges.step(counts, BURST)) for window, surges in self._surges.items()]
        if not warm:
            return []
        score = np.max([scores for _, scores, _, _ in judged], axis=0)
        by = np.argmax([scores for _, scores, _, _ in judged], axis=0)
        found = []
        for place in np.flatnonzero(score >= BURST).tolist():
            labels, ident = keys[place]
            rule = {TOTAL: "burst of log lines", ERRORS: "burst of errors"}.get(
                ident, "burst of a log pattern"
            )
            great = score[place] >= GREAT_BURST and (ident == ERRORS or self._is_grave(ident))
            severity = Severity.MAJOR if great else Severity.MINOR
            window, _, total, expected = judged[by[place]]
            lines, usual = float(total[place]) / window, float(expected[place]) / window
            found.append(
                Finding(
                    labels,
                    ident,
                    rule,
                    severity,
                    float(score[place]),
                    lines,
                    usual,
                    self._loudest(labels, ident),
                )
            )
        return found

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

    def _drop_rows(self, idents: set[int]) -> None:
        kept = [key for key in self._rows if key[1] not in idents]
        if len(kept) < len(self._rows):
            for surges in self._surges.values():
                surges.keep(np.array([self._rows[key] for key in kept], np.int64))
            self._rows = {key: place for place, key in enumerate(kept)}

    # -- checkpoint

    def snapshot(self) -> dict[str, Any]:
        return {
            "closed": self.closed,
            "novelty": self.novelty.snapshot(),
            "open": [[s, labels, list(c.items())] for s, by in self.open.items() for labels, c in by.items()],
            "lines": [[labels, ident, n] for (labels, ident), n in self._lines.items()],
            "rows": [[labels, ident] for labels, ident in self._rows],
            "surges": {str(window): surges.snapshot() for window, surges in self._surges.items()},
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
        made._rows = {(labels_of(labels), int(i)): place for place, (labels, i) in enumerate(data["rows"])}
        for window, surges in made._surges.items():
            surges.restore(data["surges"][str(window)])
        for labels, mean, steps, quiet, longest in data["silent"]:
            made._silent[labels_of(labels)] = Silent(mean, int(steps), int(quiet), longest)
        for labels, ident, rule, severity, score, since, last in data["news"]:
            made._news[labels_of(labels), int(ident)] = News(rule, Severity(severity), score, since, last)
        return made

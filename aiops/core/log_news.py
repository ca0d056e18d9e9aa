"""What is new or rare in one source's logs, and which of its streams has fallen silent."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiops.model.signal import Severity
from aiops.plugin import Template

GRAVE = frozenset({"error", "critical", "fatal"})
_BAD = re.compile(
    r"(?i)\b(?:err(?:or)?s?|fail(?:ed|ure|ures|s|ing)?|fatal|panic|crash(?:ed)?|exception|traceback|denied"
    r"|refused|timed? ?out|timeout|unreachable|unavailable|corrupt(?:ed|ion)?|out of (?:memory|space)|oom"
    r"|abort(?:ed|ing)?|cannot|could not|unable|no such|no space|not permitted|segfault|deadlock|killed|lost"
    r"|broken|rejected|overflow)\b"
    r"|\w(?:Error|Exception)\b"
)
RARE_AFTER = 86400.0
"""Seconds unseen after which a rare pattern counts as news again."""
RARE_SHARE = 1e-4
LATER = 3600.0
"""A new pattern that goes on for so long has become normal."""


def is_grave(template: Template) -> bool:
    """Whether the line says that something went wrong: by its level or, where it has none, in words."""
    if template.level:
        return template.level in GRAVE or (template.level == "warning" and bool(_BAD.search(template.text)))
    return bool(_BAD.search(template.text))


HABIT = 360
"""Steps of silence after which it is taken for a habit of the stream, once lines come again."""


@dataclass(slots=True)
class Seen:
    """A template in one source. Times in epoch s."""

    first: float
    last: float
    lines: int = 0


@dataclass(slots=True)
class News:
    """Something new, for as long as it stays news."""

    rule: str
    severity: Severity
    score: float
    since: float
    last: float


@dataclass(slots=True)
class Silent:
    """How one stream falls silent. Counts are in steps."""

    mean: float = 0.0
    steps: int = 0
    quiet: int = 0
    longest: float = 0.0

    def step(self, lines: int) -> None:
        if lines:
            # an outage is not learnt from; a night or a weekend is, as it is long
            if not self.score or self.quiet >= HABIT:
                self.longest = max(self.longest * 0.999, float(self.quiet))
            self.quiet = 0
        else:
            self.quiet += 1
        self.steps += 1
        if self.quiet <= self.longest:
            self.mean += (lines - self.mean) / min(self.steps, 720)

    @property
    def score(self) -> float:
        """-log10 of the chance of so long a quiet, were lines independent; 0 while it is no surprise."""
        if self.steps < 60 or self.quiet < max(6.0, 4 * self.longest):
            return 0.0
        return self.mean * self.quiet / math.log(10) if self.mean * self.quiet >= 30 else 0.0


@dataclass
class Novelty:
    """Which templates a source is known to print."""

    known: dict[int, Seen] = field(default_factory=dict)
    begun: float = math.nan
    lines: int = 0
    novel: float = 0.0
    """New templates since the warm-up, fading."""
    since_warm: float = 0.0
    _likes: set[int] = field(default_factory=set)
    """Hashes of grave templates with one word left out."""

    def warm(self, now: float, lines: int, time: float) -> bool:
        return self.lines >= lines and now - self.begun >= time

    def take(self, template: Template, count: int, now: float, warm: bool) -> News | None:
        """News, if `count` lines of the template are."""
        seen = self.known.get(template.id)
        if seen is None:
            self.known[template.id] = Seen(now, now, count)
            if warm:
                return self._new(template, now)
            self._learn(template)
            return None
        gap, seen.last = now - seen.last, now
        rare = gap >= RARE_AFTER and seen.lines < RARE_SHARE * self.lines and is_grave(template)
        seen.lines += count
        if not (warm and rare):
            return None
        score = -math.log10((seen.lines + 1) / (self.lines + 2))
        return News("rare log pattern", Severity.MINOR, score, now, now)

    def count(self, lines: int, now: float, warm: bool) -> None:
        if math.isnan(self.begun):
            self.begun = now
        self.lines += lines
        if warm:
            self.since_warm += lines

    def merged(self, gone: int, into: int) -> None:
        old = self.known.pop(gone, None)
        if old is not None:
            new = self.known.setdefault(into, Seen(old.first, old.last))
            new.first, new.last = min(old.first, new.first), max(old.last, new.last)
            new.lines += old.lines

    def _new(self, template: Template, now: float) -> News:
        likely = (self.novel + 1.0) / (self.since_warm + 2.0)
        self.novel = self.novel * 0.98 + 1.0
        grave, like = is_grave(template), self._is_like_a_known_one(template)
        self._learn(template)
        severity = Severity.MAJOR if grave and not like else Severity.MINOR
        return News("new log pattern", severity, max(0.0, -math.log10(likely)), now, now)

    def _learn(self, template: Template) -> None:
        if is_grave(template):
            if len(self._likes) > 200_000:
                self._likes.clear()
            self._likes.update(_with_a_gap(template.text))

    def _is_like_a_known_one(self, template: Template) -> bool:
        """One word aside, the same trouble was there before: probably the word is a value."""
        return not self._likes.isdisjoint(_with_a_gap(template.text))

    def snapshot(self) -> dict[str, Any]:
        known = [[ident, s.first, s.last, s.lines] for ident, s in self.known.items()]
        begun = None if math.isnan(self.begun) else self.begun
        return {
            "known": known,
            "begun": begun,
            "lines": self.lines,
            "novel": self.novel,
            "since": self.since_warm,
        }

    @classmethod
    def restore(cls, data: Mapping[str, Any], templates: Iterable[Template]) -> "Novelty":
        known = {int(i): Seen(first, last, int(lines)) for i, first, last, lines in data["known"]}
        begun = math.nan if data["begun"] is None else float(data["begun"])
        made = cls(known, begun, int(data["lines"]), float(data["novel"]), float(data["since"]))
        for template in templates:
            made._learn(template)
        return made


def _with_a_gap(text: str) -> list[int]:
    words = text.split()
    if len(words) < 4:
        return []
    # str hashes differ from process to process, but these never leave it
    return [hash((place, *words[:place], *words[place + 1 :])) for place in range(len(words))]


def top(counts: Counter[int], most: int) -> Counter[int]:
    """The `most` frequent, when there are more."""
    return counts if len(counts) <= most else Counter(dict(counts.most_common(most)))

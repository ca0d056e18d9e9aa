"""Counts a session: requests, blocks, jobs whose lines share a key, and which are unlike the others."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiops.core.log_surge import tail
from aiops.model.series import Labels, labels_of

MOST = 50_000
"""Sessions at one time; beyond it those begun first are taken as over."""
LEAST = 200
"""Sessions before any is judged."""
MEMORY = 100_000
"""Sessions over which counts are learnt."""
RARE = 0.01
"""Share of sessions: a number of lines that fewer have had makes a session odd (rare events of Landauer et
al., FSE 2024)."""
BY_CHANCE = 0.01
"""Sessions a day that chance alone may make stand out by themselves."""


@dataclass(slots=True)
class Open:
    """A session under way: its stream, the step of its last line, lines by template."""

    labels: Labels
    last: int
    lines: Counter[int] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Session:
    """One that is over. ``ident``: the template of which it has an unusual number of lines, `observed`, where
    `expected` are usual; ``score``: -log10 p of that many or more; ``odd``: few sessions had that many."""

    key: str
    labels: Labels
    ident: int
    observed: float
    expected: float
    score: float
    odd: bool


class Sessions:
    """The sessions of one source."""

    def __init__(self, idle: int, a_day: float) -> None:
        """`idle`: steps without a line after which a session is over; `a_day`: steps a day."""
        self._idle = idle
        self._a_day = a_day
        self._open: dict[str, Open] = {}
        self._count = 0.0
        self._steps = 0
        self._sums: dict[int, list[float]] = {}
        """Template -> sum of lines, sum of their squares, over sessions."""
        self._had: Counter[tuple[int, int]] = Counter()
        """(template, lines) -> sessions."""

    def take(self, more: Mapping[str, Open]) -> None:
        """Lines of sessions, by key."""
        for key, new in more.items():
            known = self._open.setdefault(key, Open(new.labels, new.last))
            known.last = max(known.last, new.last)
            known.lines.update(new.lines)

    def end(self, step: int) -> list[Session]:
        """The sessions that are over by `step`, judged, then learnt."""
        self._steps += 1
        ready = self._count >= LEAST
        over = [key for key, one in self._open.items() if step - one.last >= self._idle]
        over += list(self._open)[: max(0, len(self._open) - len(over) - MOST)]
        judged = [self._judge(key, self._open[key]) for key in over]
        bar = math.log10(max(1.0, self._count / max(1, self._steps)) * self._a_day / BY_CHANCE)
        for key, one in zip(over, judged, strict=True):
            if one.score < bar or not ready:
                self._learn(self._open[key].lines)
            del self._open[key]
        return [self._told(one, bar) for one in judged] if ready else []

    @staticmethod
    def _told(one: Session, bar: float) -> Session:
        score = one.score if one.score >= bar else 0.0
        return Session(one.key, one.labels, one.ident, one.observed, one.expected, score, one.odd)

    def _judge(self, key: str, session: Open) -> Session:
        idents = list(session.lines)
        seen = max(self._count, 1.0)
        sums = np.array([self._sums.get(ident, (0.0, 0.0)) for ident in idents])
        mean = (sums[:, 0] + 1) / (seen + 1)
        variance = np.maximum(mean, sums[:, 1] / seen - (sums[:, 0] / seen) ** 2)
        counts = np.array(list(session.lines.values()), float)
        # a template never seen in any session is news in itself, and told as such
        score = np.where((counts > mean) & (sums[:, 0] > 0), tail(counts, mean, variance), 0.0)
        most = int(np.argmax(score))
        odd = any(self._had[ident, _size(n)] < RARE * seen for ident, n in session.lines.items())
        numbers = float(counts[most]), float(mean[most]), float(score[most])
        return Session(key, session.labels, idents[most], *numbers, odd)

    def _learn(self, lines: Mapping[int, int]) -> None:
        self._count += 1
        for ident, count in lines.items():
            sums = self._sums.setdefault(ident, [0.0, 0.0])
            sums[0] += count
            sums[1] += count * count
            self._had[ident, _size(count)] += 1
        if self._count >= MEMORY:
            self._count /= 2
            self._sums = {ident: [one / 2, square / 2] for ident, (one, square) in self._sums.items()}
            self._had = Counter({key: n // 2 for key, n in self._had.items() if n > 1})

    def forget(self, ident: int, into: int) -> None:
        """Template `ident` has become part of `into`; of itself, when it is gone."""
        sums = self._sums.pop(ident, None)
        for key in [key for key in self._had if key[0] == ident]:
            count = self._had.pop(key)
            if into != ident:
                self._had[into, key[1]] += count
        if sums and into != ident:
            self._sums[into] = [a + b for a, b in zip(self._sums.get(into, (0.0, 0.0)), sums, strict=True)]
        for session in self._open.values():
            if into != ident and ident in session.lines:
                session.lines[into] += session.lines.pop(ident)

    def snapshot(self) -> dict[str, Any]:
        return {
            "open": [[k, s.labels, s.last, list(s.lines.items())] for k, s in self._open.items()],
            "count": self._count,
            "steps": self._steps,
            "sums": [[ident, *sums] for ident, sums in self._sums.items()],
            "had": [[*key, n] for key, n in self._had.items()],
        }

    def restore(self, data: Mapping[str, Any]) -> None:
        """Raises KeyError, TypeError or ValueError when it is no snapshot."""
        self._open = {
            key: Open(labels_of(labels), int(last), Counter({int(i): n for i, n in lines}))
            for key, labels, last, lines in data["open"]
        }
        self._count, self._steps = float(data["count"]), int(data["steps"])
        self._sums = {int(ident): [one, square] for ident, one, square in data["sums"]}
        self._had = Counter({(int(ident), int(size)): n for ident, size, n in data["had"]})


class SessionKeys:
    """Finds the key of the session that a line belongs to."""

    def __init__(self, pattern: str) -> None:
        self._search = re.compile(pattern).search if pattern else None

    def of(
        self, labels: Labels, steps: NDArray[np.float64], ids: Iterable[int], lines: Iterable[str]
    ) -> dict[str, Open]:
        """Key -> what these lines add to it; `steps` is that of each line."""
        found: dict[str, Open] = {}
        if self._search is None:
            return found
        for step, ident, line in zip(steps.astype(int).tolist(), ids, lines, strict=True):
            match = self._search(line)
            if match:
                key = match[match.lastindex or 0] or ""
                one = found.setdefault(key, Open(labels, step))
                one.last = max(one.last, step)
                one.lines[ident] += 1
        return found


def _size(lines: int) -> int:
    """Numbers of lines told apart: each up to 8, then each doubling."""
    return lines if lines <= 8 else 5 + lines.bit_length()

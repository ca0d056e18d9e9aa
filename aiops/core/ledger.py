"""The lead-time ledger: how early each problem was told, what came unannounced, what was foretold in vain."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

_MOMENTS = ("first_anomaly", "opened", "breached", "resolved", "expected")


class Outcome(StrEnum):
    """How a problem's warning turned out."""

    WARNED = "warned"
    """Opened before its SLI was breached."""
    SILENT = "silent"
    """The breach came first, or at once."""
    AVERTED = "averted"
    """Foretold, and repaired before any breach."""
    EMPTY = "empty"
    """Foretold; over without a breach and without a repair."""
    HARMLESS = "harmless"
    """Neither foretold nor breached: users noticed nothing."""
    PENDING = "pending"
    """Not over, and not breached so far."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One problem. Epoch seconds; NaN: it never happened. `expected`: when a breach was foretold for."""

    key: str
    title: str
    first_anomaly: float
    opened: float
    breached: float
    resolved: float
    expected: float
    repaired: bool

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Entry":
        """From a row of the store, where None is *never*."""
        moments = {name: math.nan if row[name] is None else float(row[name]) for name in _MOMENTS}
        return cls(key=row["key"], title=row["title"], repaired=bool(row["repaired"]), **moments)

    @property
    def lead(self) -> float:
        """Seconds of warning before the breach: 0 without one, NaN without a breach."""
        return max(0.0, self.breached - self.opened) if not math.isnan(self.breached) else math.nan

    @property
    def outcome(self) -> Outcome:
        if not math.isnan(self.breached):
            return Outcome.WARNED if self.lead > 0 else Outcome.SILENT
        if math.isnan(self.resolved):
            return Outcome.PENDING
        if math.isnan(self.expected):
            return Outcome.HARMLESS
        return Outcome.AVERTED if self.repaired else Outcome.EMPTY


@dataclass(frozen=True, slots=True)
class Summary:
    """Seconds of lead time over all breaches (a silent one counts 0), and how many ended how.

    ``p10`` is the bad day: nine of ten breaches were told at least that early. NaN without a breach.
    """

    p10: float
    p50: float
    p90: float
    outcomes: dict[Outcome, int]

    @property
    def foretold(self) -> int:
        """Predictions that are over: true, averted or empty."""
        return sum(self.outcomes[one] for one in (Outcome.WARNED, Outcome.AVERTED, Outcome.EMPTY))

    @property
    def precision(self) -> float:
        """The share of predictions that were worth making; NaN without one."""
        return 1.0 - self.outcomes[Outcome.EMPTY] / self.foretold if self.foretold else math.nan

    @property
    def recall(self) -> float:
        """The share of breaches that were told before; NaN without one."""
        breaches = self.outcomes[Outcome.WARNED] + self.outcomes[Outcome.SILENT]
        return self.outcomes[Outcome.WARNED] / breaches if breaches else math.nan


def summarise(entries: Sequence[Entry]) -> Summary:
    """What the ledger comes to."""
    leads = np.array([entry.lead for entry in entries if not math.isnan(entry.lead)])
    p10, p50, p90 = np.percentile(leads, [10, 50, 90]) if len(leads) else (math.nan,) * 3
    counted = Counter(entry.outcome for entry in entries)
    outcomes = {outcome: counted[outcome] for outcome in Outcome}
    return Summary(float(p10), float(p50), float(p90), outcomes)

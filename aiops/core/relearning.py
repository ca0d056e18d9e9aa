"""How long a series in a confirmed anomaly is kept from being learnt: less after a deploy, which explains it.

A deploy or a config change is a hint that a new level is meant to be. It never silences: the anomaly fires
as ever, and where a limit, an objective or another system speaks in the same problem, the hint counts for
nothing. When the component is changed again, as by a rollback, it counts for nothing either.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from math import isnan

from aiops.core.alerting import Key
from aiops.core.changes import Changes, words_of
from aiops.core.words import duration
from aiops.model.frame import Change
from aiops.model.lifecycle import AlertState
from aiops.model.series import Labels
from aiops.model.signal import Alert, AlertKind

STANDING = frozenset({AlertKind.LIMIT, AlertKind.FORECAST, AlertKind.SLI, AlertKind.BURN, AlertKind.FOREIGN})
"""What says by itself that something is wrong, whatever was learnt."""


@dataclass(slots=True)
class Sooner:
    """What hints say at one moment."""

    after: dict[Key, float] = field(default_factory=dict)
    """Seconds of holding, of those firing alerts that are held for less than usual."""
    due: dict[tuple[str, str], int] = field(default_factory=dict)
    """(key of a problem, what to say of it) -> series of it that are learnt again from now on."""


class Relearning:
    """`usual` and `hinted`: seconds for which a firing anomaly is held without and with a hint."""

    def __init__(self, changes: Changes, usual: float, hinted: float) -> None:
        self._changes = changes
        self._usual, self._hinted = usual, hinted
        self._looked = float("nan")
        """Up to here (epoch s) it was said what is learnt again."""

    def adopt(self, old: "Relearning") -> None:
        self._looked = old._looked

    def hint(self, labels: Labels, began: float) -> str:
        """What an anomaly that began then (epoch s) says of it; empty without one."""
        change = self._change(labels, began)
        if change is None:
            return ""
        after, usual = duration(self._hinted), duration(self._usual)
        why = words_of(change)
        return f"to be learnt after {after} instead of {usual} unless more is wrong, as it follows {why}"

    def look(self, live: Collection[Alert], now: float) -> Sooner:
        """The hints for `live` at `now` (epoch s); each series that is learnt again is in `due` once."""
        sooner, since = Sooner(), now if isnan(self._looked) else self._looked
        self._looked = max(since, now)
        found = [(alert, self._change(alert.labels, alert.started)) for alert in live if _odd(alert)]
        hinted = [(alert, change) for alert, change in found if change]
        if not hinted:
            return sooner
        standing = {a.problem_key for a in live if a.kind in STANDING and a.state is AlertState.FIRING}
        for alert, change in hinted:
            if alert.problem_key and alert.problem_key in standing:
                continue
            sooner.after[alert.key] = self._hinted
            if since < alert.fired + self._hinted <= now:
                told = alert.problem_key, words_of(change)
                sooner.due[told] = sooner.due.get(told, 0) + 1
        return sooner

    def said(self, series: int, change: str) -> str:
        after = duration(self._hinted)
        return f"series that are learnt from now on: {series}, {after} after they fired, following {change}"

    def _change(self, labels: Labels, began: float) -> Change | None:
        return self._changes.explaining(labels, began) if self._hinted < self._usual else None


def _odd(alert: Alert) -> bool:
    return alert.kind is AlertKind.ANOMALY and alert.state is AlertState.FIRING

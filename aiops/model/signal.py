"""What detection says: scores, anomalies, forecast breaches and the alerts they become."""

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from aiops.model.lifecycle import AlertState
from aiops.model.series import Labels, fingerprint

FloatMatrix = NDArray[np.float32] | NDArray[np.float64]


class Severity(StrEnum):
    """Ordered by `level`: words do not compare in the order people mean."""

    INFO = "info"
    MINOR = "minor"
    MAJOR = "major"
    CRITICAL = "critical"

    @property
    def level(self) -> int:
        return list(Severity).index(self)


@dataclass(frozen=True, slots=True)
class Scores:
    """A detector's answer to a frame; all arrays ``[T, S]``, in the frame's order.

    ``score``: -log10 p of the sample under the model learnt so far; 0 where unready or no sample.
    ``expected``, ``lower``, ``upper``: the band in the metric's unit; NaN where unready.
    """

    score: FloatMatrix
    expected: FloatMatrix
    lower: FloatMatrix
    upper: FloatMatrix


class AlertKind(StrEnum):
    ANOMALY = "anomaly"
    """A score above the series' bar."""
    FORECAST = "forecast"
    """A predicted crossing of a declared limit."""
    LIMIT = "limit"
    """A declared limit crossed now."""
    SLI = "sli"
    """A declared objective breached: users notice."""
    BURN = "burn"
    """The error budget of an objective is spent too fast, or gone."""
    SILENCE = "silence"
    """A series stopped: a telemetry fault, never the system's."""
    LOG = "log"
    """Log lines of a kind or in a number not known before."""
    FOREIGN = "foreign"
    """Another system says so."""


def key_of(labels: Labels, kind: AlertKind, rule: str) -> tuple[Labels, AlertKind, str]:
    """What makes two signals one alert: an odd series is odd once, whichever detector says so."""
    return labels, kind, "" if kind is AlertKind.ANOMALY else rule


NAN = float("nan")


@dataclass(frozen=True, slots=True)
class Breach:
    """A predicted crossing, at ``expected``, between ``earliest`` and ``latest`` (epoch s)."""

    earliest: float = NAN
    expected: float = NAN
    latest: float = NAN
    chance: float = NAN
    """P(it comes within the next ``within`` seconds)."""
    within: float = NAN


@dataclass(frozen=True, slots=True)
class Signal:
    """One series is over its bar or limit in this step: an anomaly, or a breach now or ahead.

    ``fires``: it has been so for long enough to count; else the alert is only pending.
    """

    labels: Labels
    kind: AlertKind
    rule: str
    fires: bool
    severity: Severity
    observed: float
    score: float = 0.0
    expected: float = NAN
    lower: float = NAN
    upper: float = NAN
    bound: float = NAN
    breach: Breach = Breach()
    examples: tuple[str, ...] = ()
    """Of log lines: the pattern, then lines of it, without secrets."""
    because: str = ""
    """Of an anomaly that begins to fire: what was expected and why, and what would have kept it quiet."""

    @property
    def key(self) -> tuple[Labels, AlertKind, str]:
        return key_of(self.labels, self.kind, self.rule)


@dataclass(frozen=True, slots=True)
class Report:
    """An alert of another system, as it stands. Times are seconds since the epoch."""

    ident: str
    """Its own system's name for it, of at most 200 characters: the same whenever it is spoken of."""
    firing: bool
    labels: Labels = ()
    """With what it is called there as its name; not needed when it is over."""
    at: float = NAN
    """Since when it fires, or when it was over."""
    severity: Severity = Severity.MINOR
    text: str = ""
    """What it says, in words."""
    url: str = ""
    observed: float = NAN
    lasts: float = float("inf")
    """Seconds after which it is taken for over if nothing more is heard of it."""


@dataclass(slots=True)
class Alert:
    """A debounced anomaly or breach on one series. Times are seconds since the epoch.

    Identity while it lives: (``labels``, ``kind``, ``rule``), of anomalies without the rule. ``id`` is 0
    until it is stored.
    """

    kind: AlertKind
    labels: Labels
    started: float
    rule: str = ""
    """The detector, limit or SLI that speaks."""
    state: AlertState = AlertState.PENDING
    severity: Severity = Severity.MINOR
    source: str = ""
    team: str = "default"
    score: float = 0.0
    peak: float = 0.0
    """The highest score so far."""
    observed: float = float("nan")
    expected: float = float("nan")
    lower: float = float("nan")
    upper: float = float("nan")
    bound: float = float("nan")
    """The limit, for kinds that have one."""
    breach_earliest: float = float("nan")
    breach_expected: float = float("nan")
    breach_latest: float = float("nan")
    breach_chance: float = float("nan")
    """P(the breach comes within `breach_within` seconds from `updated`)."""
    breach_within: float = float("nan")
    fired: float = float("nan")
    resolved: float = float("nan")
    updated: float = float("nan")
    flaps: int = 0
    """Firings within the flap window; each one lengthens the quiet that a resolve needs."""
    silenced_by: str = ""
    reason: str = ""
    problem_key: str = ""
    joined: str = ""
    """Why it is in its problem, in words."""
    id: int = 0
    examples: list[str] = field(default_factory=list)

    @property
    def key(self) -> tuple[Labels, AlertKind, str]:
        return key_of(self.labels, self.kind, self.rule)

    @property
    def fingerprint(self) -> str:
        labels, kind, rule = self.key
        return fingerprint((*labels, ("__kind__", kind.value), ("__rule__", rule)))

    @property
    def metric(self) -> str:
        return dict(self.labels).get("__name__", "")

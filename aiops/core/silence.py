"""Silences and maintenance windows: alerts seen, kept, and held back from problems."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from aiops.model.selector import Selector
from aiops.model.series import Labels

EVERYBODY = "*"


@dataclass(frozen=True, slots=True)
class Silence:
    """Holds back what matches between ``starts`` and ``ends`` (epoch s; infinities for open ends)."""

    selector: Selector
    starts: float
    ends: float
    reason: str
    team: str = EVERYBODY
    """Whose alerts."""


class Window(Protocol):
    """A recurring maintenance window."""

    match: Selector
    reason: str

    def covers(self, at: datetime) -> bool: ...


class Silences:
    """All that is in force: declared, asked for by API, and recurring."""

    def __init__(self, declared: Sequence[Silence] = (), windows: Sequence[Window] = ()) -> None:
        self._declared = tuple(declared)
        self._windows = tuple(windows)
        self._asked: tuple[Silence, ...] = ()

    def asked(self, silences: Sequence[Silence]) -> None:
        """The silences that people made by API; replaces the former ones."""
        self._asked = tuple(silences)

    def adopt(self, old: "Silences") -> None:
        """What people asked for holds beside other declared ones."""
        self._asked = old._asked

    def why(self, labels: Labels, now: float, team: str = EVERYBODY) -> str:
        """The reason for which the series of `team` is silenced at `now`; empty when it is not."""
        named = dict(labels)
        for silence in (*self._declared, *self._asked):
            if silence.team not in (EVERYBODY, team):
                continue
            if silence.starts <= now < silence.ends and silence.selector.matches(named):
                return silence.reason
        at = datetime.fromtimestamp(now, UTC) if self._windows else None
        for window in self._windows:
            if at is not None and window.match.matches(named) and window.covers(at):
                return window.reason
        return ""

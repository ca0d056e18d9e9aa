"""What one input brings about, handed from stage to stage."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from aiops.core.alerting import AlertChange
from aiops.core.detect import Scored
from aiops.core.drift import DriftKind
from aiops.core.problems import ProblemChange
from aiops.engine.messages import Message, RunEnded, RunStarted
from aiops.model.frame import Change, Frame
from aiops.model.problem import Problem, Run
from aiops.model.signal import Alert, Report, Signal


@dataclass(frozen=True, slots=True)
class Relearnt:
    """One series that is learnt anew, whose it is, and why."""

    series: str
    team: str
    kind: DriftKind
    reason: str
    at: float
    """Epoch s."""


@dataclass(slots=True)
class Work:
    """One row of samples of `source`, or one message, or neither (a tick); and its effects so far."""

    now: float
    """The engine's clock (epoch s); a row has its own time."""
    source: str = ""
    row: Frame | None = None
    stream: str = ""
    """What the row belongs to, where a source has rows of two kinds: its watermark bears this name."""
    message: Message | None = None
    plain: bool = False
    """A row about the watching: detectors and rules leave it alone."""
    changes: list[Change] = field(default_factory=list)
    """Deploys and the like that `source` told of."""
    reports: Sequence[Report] = ()
    """What another system says of its alerts."""
    scored: Scored | None = None
    signals: list[Signal] = field(default_factory=list)
    alert_changes: list[AlertChange] = field(default_factory=list)
    problem_changes: list[ProblemChange] = field(default_factory=list)
    runs: list[tuple[Problem, Run]] = field(default_factory=list)
    relearnt: list[Relearnt] = field(default_factory=list)
    """Series that had drifted and are learnt anew."""
    refresh: list[Alert] = field(default_factory=list)
    """Firing alerts whose row and evidence are to be brought up to date."""
    explained: list[Problem] = field(default_factory=list)
    """Problems whose likely causes were looked for."""

    @property
    def matters(self) -> bool:
        """Whether there is anything to write down. News of a run is, if only that it was heard."""
        effects = (self.alert_changes, self.problem_changes, self.runs, self.refresh)
        heard = isinstance(self.message, RunStarted | RunEnded)
        return any(effects) or heard or bool(self.explained or self.changes or self.relearnt)

    def problems(self) -> list[Problem]:
        """Every problem that this work touches, once."""
        seen: dict[str, Problem] = {c.problem.key: c.problem for c in self.problem_changes}
        seen |= {problem.key: problem for problem, _ in self.runs}
        return list(seen.values())

"""What a user may write. The configuration reference in docs/ is generated from these models."""

import re
from pathlib import Path

from pydantic import Field, field_validator, model_validator

from aiops.config.blocks import AnyDetector, AnyMiner, AnySink, AnySource, Block, Moment, build
from aiops.config.faults import broken_references, refusal
from aiops.config.limits import BreachRule as BreachRule
from aiops.config.limits import Limit as Limit
from aiops.config.objective import Objective
from aiops.config.operation import Retention, Spool, Telemetry, Watchdog
from aiops.config.ready import READY, Ready
from aiops.config.remediation import Maintenance, Remediation
from aiops.config.routing import HoursRule, RouteRule, Storm
from aiops.config.scale import Scale
from aiops.config.tickets import Tickets
from aiops.config.web import Web
from aiops.model.signal import Severity
from aiops.plugin import Detector, Duration, Miner, Secret, SelectorText
from aiops.plugin.egress import Egress


class SliOf(Block):
    """Where an SLI's value comes from: a query to a source, or series that a source already yields."""

    source: str = Field("", description="Name of the source that is asked.")
    query: str = Field("", description="The query, in the source's own language.")
    match: SelectorText | None = Field(None, description="Series that a source already yields.")

    @model_validator(mode="after")
    def _one_way(self) -> "SliOf":
        if bool(self.query) == (self.match is not None):
            raise ValueError("give either source and query, or match")
        if self.query and not self.source:
            raise ValueError("a query needs the source that answers it")
        return self


class Sli(Block):
    """A user-facing signal and its objective: what "users notice" means."""

    name: str = Field(description="In words, as it appears in problems and tickets.")
    of: SliOf
    breach: BreachRule
    labels: dict[str, str] = Field(default_factory=dict, description="Labels that tie it to a service.")
    horizon: Duration = Field(0.0, description="How far ahead a breach is announced; 0 = not at all.")
    severity: Severity = Field(Severity.CRITICAL, description="Of a problem that breaches it, or will.")
    objective: Objective | None = Field(
        None, description="What share is to be good over a window: told when its error budget burns."
    )


class Detection(Block):
    """How anomalies are found."""

    detectors: list[AnyDetector] = Field(
        default_factory=lambda: [build(Detector, {"kind": "adaptive"})],
        description="What scores the series; the columnar default when left out.",
    )
    false_pages_per_week: float = Field(2.0, gt=0, description="How many false problems a week are bearable.")
    false_pages_of: dict[str, float] = Field(
        {}, description="The same, of the teams for which it differs: `{payments: 0.5}`."
    )
    relearn_after: Duration = Field(
        3600.0, description="After this long, a new level is taken as the new normal."
    )
    relearn_after_change: Duration = Field(
        900.0,
        description="The same of what follows a deploy or config change of its component, if sooner.",
    )
    forget_after: Duration = Field(
        86400.0, description="A series unseen for this long is dropped with its model."
    )

    @field_validator("false_pages_of")
    @classmethod
    def _are_positive(cls, value: dict[str, float]) -> dict[str, float]:
        for team, pages in value.items():
            if not pages > 0:
                raise ValueError(f"{team}: {pages:g} is not more than 0")
        return value

    def pages_asked(self, team: str) -> float:
        """False pages a week that are bearable for `team`."""
        return self.false_pages_of.get(team, self.false_pages_per_week)


class Logs(Block):
    """How anomalies in log lines are found."""

    miner: AnyMiner = Field(
        default_factory=lambda: build(Miner, {"kind": "log_templates"}),
        description="What finds the patterns of lines.",
    )
    every: Duration = Field(10.0, ge=1, description="Step in which lines are counted and judged.")
    warm_up_lines: int = Field(
        1000, ge=0, description="Lines of a source before a pattern can be new, or anything else stand out."
    )
    warm_up_time: Duration = Field(600.0, description="Time that has to pass for that too.")
    hold: Duration = Field(300.0, description="A new pattern is news until it was quiet for this long.")
    session: str = Field(
        "", description="Regular expression of what the lines of one session share; its last group, if any."
    )
    session_idle: Duration = Field(60.0, description="A session is over when it was quiet for this long.")

    @field_validator("session")
    @classmethod
    def _is_pattern(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as bad:
            raise ValueError(f"bad regular expression {value!r}: {bad}") from bad
        return value


class Flapping(Block):
    """Damping of alerts that come and go."""

    count: int = Field(3, ge=2, description="Firings within the window that count as flapping.")
    window: Duration = Field(1800.0, description="The window.")
    max_hold: Duration = Field(
        900.0, description="Longest quiet that a flapping alert needs before it resolves."
    )


class Alerting(Block):
    """From anomaly to alert."""

    fire: int = Field(3, ge=1, description="Anomalous samples, of the last `of`, that make an alert fire.")
    of: int = Field(5, ge=1, le=64, description="How many samples are looked back.")
    resolve_after: Duration = Field(30.0, description="Quiet that resolves an alert.")
    stale_after: Duration = Field(
        300.0, description="An alert whose series stopped resolves after this long."
    )
    flapping: Flapping = Field(default_factory=Flapping)

    @model_validator(mode="after")
    def _reachable(self) -> "Alerting":
        if self.fire > self.of:
            raise ValueError(f"fire: {self.fire} can never be reached within of: {self.of} samples")
        return self


class Grouping(Block):
    """Which alerts are one problem."""

    by: list[str] = Field(
        ["service", "service_name", "host", "instance", "pod", "unit"],
        description="Labels of which one equal value joins.",
    )
    calls: dict[str, list[str]] = Field(
        {},
        description="What calls what, by the values of those labels, as in `{proxy: [app], app: [db]}`: "
        "alerts at most two calls apart join when they are near in time.",
    )
    call_labels: list[tuple[str, str]] = Field(
        [("client", "server"), ("source_workload", "destination_workload")],
        description="Labels of series that name caller and callee of a call, as service graphs and meshes "
        "do.",
    )
    need_labels: list[tuple[str, str]] = Field(
        [
            ("service", "workload"),
            ("service", "pod"),
            ("workload", "pod"),
            ("owner_name", "pod"),
            ("owner_name", "replicaset"),
            ("pod", "node"),
        ],
        description="Labels of series of which the first's value runs on, or needs, that of the second.",
    )
    window: Duration = Field(
        300.0, description="How long after a problem's last evidence an alert still joins."
    )
    open_at: int = Field(
        3, ge=1, description="This many minor alerts together open a problem; one major one does."
    )
    reopen_within: Duration = Field(600.0, description="The same alert this soon reopens a resolved problem.")
    resolve_after: Duration = Field(
        0.0,
        description="How long all alerts of a problem must have cleared before it resolves by itself; one "
        "that came back needs at least 1m, doubled with every return up to 1h.",
    )


class SilenceRule(Block):
    """Alerts that are not to become problems for a while."""

    match: SelectorText = Field(description="Which series.")
    from_: Moment | None = Field(None, alias="from", description="Start; at once when left out.")
    until: Moment | None = Field(None, description="End; never when left out.")
    reason: str = Field(description="Shown wherever an alert is held back.")


class Config(Block):
    """The whole file. ``sources: [{kind: host}]`` alone is a working installation."""

    store: str = Field("sqlite:///data/forewarn.db", description="SQLAlchemy URL: SQLite or PostgreSQL.")
    store_keys: list[Secret] = Field(
        default_factory=list,
        description="Seal what may be secret in the store: texts of playbooks, what steps register, what was "
        "pushed. The first seals, any opens; the same for all engines on it. Read at a start.",
    )
    data: Path = Field(Path("data"), description="Folder for checkpoints and generated secrets.")
    team: str = Field("default", description="Owner of whatever names no other team.")
    sources: list[AnySource] = Field(min_length=1, description="Where metrics and logs come from.")
    slis: list[Sli] = Field(default_factory=list, description="What users notice.")
    limits: list[Limit] = Field(default_factory=list, description="Hard limits, watched and forecast.")
    ready_limits: list[Ready] = Field(
        default_factory=list,
        description="Limits that are ready for the metrics of these; `limits` go before, by name.",
    )
    detection: Detection = Field(default_factory=Detection)
    logs: Logs = Field(default_factory=Logs)
    alerting: Alerting = Field(default_factory=Alerting)
    grouping: Grouping = Field(default_factory=Grouping)
    silences: list[SilenceRule] = Field(default_factory=list)
    maintenance: list[Maintenance] = Field(default_factory=list)
    sinks: list[AnySink] = Field(default_factory=list, description="Where tickets go.")
    routes: list[RouteRule] = Field(
        default_factory=list, description="Which problem goes to which sink; every one to all when empty."
    )
    hours: dict[str, HoursRule] = Field(
        default_factory=dict, description="Hours of the week by a name of your own, for routes."
    )
    storm: Storm = Field(default_factory=Storm)
    tickets: Tickets = Field(default_factory=Tickets)
    playbooks: list[Path] = Field(default_factory=list, description="Files, or folders of files.")
    remediation: Remediation = Field(default_factory=Remediation)
    egress: Egress = Field(default_factory=Egress)
    web: Web = Field(default_factory=Web)
    checkpoint_every: Duration = Field(30.0, description="How often learnt state is saved.", gt=0)
    scale: Scale = Field(default_factory=Scale)
    spool: Spool = Field(default_factory=Spool)
    retention: Retention = Field(default_factory=Retention)
    reload_every: Duration = Field(
        0.0, description="How often file and playbooks are looked at, to take up changes; 0: only when asked."
    )
    watchdogs: list[Watchdog] = Field(default_factory=list, description="Who hears that all is well.")
    telemetry: Telemetry = Field(default_factory=Telemetry)

    @field_validator("store")
    @classmethod
    def _known_store(cls, value: str) -> str:
        # The text may hold a password: it is never part of the message
        if value.split(":")[0].split("+")[0] not in ("sqlite", "postgresql") or "://" not in value:
            raise ValueError("expected sqlite:///FILE or postgresql+psycopg://USER@HOST/NAME")
        return value

    @property
    def all_limits(self) -> list[Limit]:
        """Those that are declared, and those that are ready."""
        named = {limit.name for limit in self.limits}
        ready = (Limit.model_validate(one) for kind in self.ready_limits for one in READY[kind])
        return [*self.limits, *(one for one in ready if one.name not in named)]

    @model_validator(mode="after")
    def _names(self) -> "Config":
        faults = broken_references(
            self.model_dump(include={"sources", "sinks", "routes", "slis", "hours", "tickets"})
        )
        if faults:
            raise refusal(faults)
        return self

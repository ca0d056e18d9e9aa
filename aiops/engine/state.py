"""All that the pipeline owns, built from one configuration. Nothing here is shared with another task."""

import uuid
from datetime import UTC, datetime
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiops.config import Config
from aiops.core import bars
from aiops.core.alerting import Alerting
from aiops.core.anomalies import AnomalyWatch
from aiops.core.changes import Changes
from aiops.core.components import Components
from aiops.core.detect import Detection, Scored
from aiops.core.drift import DriftWatch
from aiops.core.inquiry import Inquiry
from aiops.core.links import Links
from aiops.core.logs import Logs
from aiops.core.notify import Told
from aiops.core.objectives import ObjectiveWatch
from aiops.core.pages import Pages
from aiops.core.playbook import Playbook
from aiops.core.problems import Problems
from aiops.core.recent import Evidence, Recent
from aiops.core.relearning import Relearning
from aiops.core.remediate import Remediation
from aiops.core.restarts import Restarts
from aiops.core.rootcause_gather import Sight
from aiops.core.rules import RuleWatch, watch_all
from aiops.core.siblings import Siblings
from aiops.core.silence import Silence, Silences
from aiops.core.slis import SliSeries
from aiops.core.telemetry import Telemetry
from aiops.engine.rules import derived_of, named_slis, objectives_of, rules_of, slis_of
from aiops.engine.tell import router_of
from aiops.model.frame import Frame
from aiops.model.lifecycle import Stage
from aiops.model.problem import Verdict
from aiops.model.series import Labels, SeriesIndex
from aiops.model.signal import Alert, AlertKind
from aiops.plugin import Receiver


class State:
    """One installation's learnt and living state; `welcome` keeps every part in step with the index."""

    def __init__(self, config: Config, playbooks: list[Playbook], index: SeriesIndex) -> None:
        self.config = config
        self.index = index
        self.slis = SliSeries(index, named_slis(config), derived_of(config))
        self.detection = Detection(config.detection.detectors, index)
        self.anomalies = AnomalyWatch(index, config.alerting)
        self.rules: list[RuleWatch | ObjectiveWatch] = [
            *watch_all(rules_of(config), index),
            *(ObjectiveWatch(one, index) for one in objectives_of(config)),
        ]
        self.logs = Logs(index, config.logs.miner, config.logs)
        self.recent = Recent()
        self.teams = teams_of(config)
        self._names = [source.name for source in config.sources]
        self._origin = np.zeros(0, np.int16)
        self.alerting = Alerting(index, config.alerting, config.team, self.teams)
        self.silences = Silences(declared(config), config.maintenance)
        self.router = router_of(config)
        self.problems = Problems(config.grouping, new_key, self.router.routes.wait)
        self.pages = {
            team: Pages(config.detection.pages_asked(team), config.alerting, config.grouping)
            for team in sorted({config.team, *(s.team or config.team for s in config.sources)})
        }
        """Per team: what would have paged, and the bar that follows."""
        grouping, topology = config.grouping, self.problems.topology
        pairs = [*grouping.call_labels, *grouping.need_labels]
        self.links = Links(index, topology, pairs)
        self.components = Components(index, grouping.by, grouping.call_labels, self.recent.most)
        self.inquiry = Inquiry(
            Sight(index, lambda: self.recent, self.components, topology, grouping.by, slis_of(config))
        )
        self.changes = Changes(grouping.by)
        told = config.detection.relearn_after, config.detection.relearn_after_change
        self.relearning = Relearning(self.changes, *told)
        self.drift = DriftWatch()
        self.telemetry = Telemetry(index, grouping.by, self.recent.most)
        self.restarts = Restarts(index)
        self.siblings = Siblings(index)
        self.remediation = Remediation(
            playbooks,
            config.remediation.enabled,
            brakes=config.remediation.brakes,
            policy=config.remediation.policy,
        )
        self.told: dict[str, Told] = {}
        """Per problem key: which sinks know of it."""
        existing = index.live()
        self.anomalies.welcome(existing)
        self.recent.welcome(existing)
        self.evidence: dict[tuple[Labels, AlertKind, str], Evidence] = {}
        self.refreshed: dict[tuple[Labels, AlertKind, str], float] = {}
        """When a firing alert's row was last brought up to date."""
        self.detector_names = [d.kind for d in self.detection.detectors]
        self.cursors: dict[str, float] = {}
        """Per source: samples up to here are in the learnt state."""
        self.positions: dict[str, Any] = {}
        """Per source: the connector's own position at the end of the last pull that was taken in whole."""
        self.acted_until: dict[str, float] = {}
        """Per source: samples up to here have had their effect; learnt from again after a crash, no more."""
        self.spooled = 0
        """The last entry of the spool that is in the learnt state as a whole."""
        self.acted_before = 0.0
        """Up to this place the spool had had its effect when this process took it up."""
        self.pushed = {source.name for source in config.sources if isinstance(source, Receiver)}

    def adopt(self, old: "State") -> None:
        """After a reload: what lives goes on living; only the rules by which it is judged are new."""
        self.detection = old.detection.remade(self.detection)
        self.recent, self.evidence, self.told = old.recent, old.evidence, old.told
        self.refreshed, self.acted_until = old.refreshed, old.acted_until
        self.spooled, self.acted_before = old.spooled, old.acted_before
        self.anomalies.moved = old.anomalies.moved
        self.silences.adopt(old.silences)
        self.alerting.adopt(old.alerting)
        self.problems.adopt(old.problems)
        self.inquiry.adopt(old.inquiry)
        self.changes.adopt(old.changes)
        self.relearning.adopt(old.relearning)
        self.restarts.adopt(old.restarts)
        self.siblings.adopt(old.siblings)
        self.remediation.levels = old.remediation.levels
        for run in old.remediation.recent():
            self.remediation.note(run)

    def welcome(self) -> None:
        """Every columnar part makes room for, and forgets, the slots that were given anew."""
        fresh = self.index.take_fresh()
        if not len(fresh):
            return
        self.slis.welcome(fresh)
        fresh = np.concatenate([fresh, self.index.take_fresh()])
        if not (fresh[1:] > fresh[:-1]).all():
            fresh = np.unique(fresh)
        self.detection.welcome(fresh)
        self.anomalies.welcome(fresh)
        self.recent.welcome(fresh)
        self.links.welcome(fresh)
        self.drift.welcome(fresh)
        self.components.welcome(fresh)
        self.telemetry.welcome(fresh)
        self.restarts.welcome(fresh)
        self.siblings.welcome(fresh)
        for watch in self.rules:
            watch.welcome(fresh)

    def learn(self, frame: Frame) -> None:
        """Take samples into the models without acting on them."""
        self.welcome()
        frame = self.slis.beside(frame)
        if len(frame.times):
            self.index.touch(frame.slots, float(frame.times[-1]))
        self.detection.warm(frame)
        self.anomalies.warm(frame.slots, np.count_nonzero(~np.isnan(frame.values), axis=0))
        for watch in self.rules:
            watch.warm(frame)

    def bar(self, source: str) -> float:
        """The bar for the scores of `source`."""
        every = next((getattr(s, "every", 15.0) for s in self.config.sources if s.name == source), 15.0)
        pages = self.pages_of(source)
        return pages.bar(bars.bar(len(self.index), every, pages.budget.asked))

    def pages_of(self, source: str) -> Pages:
        """Those of the team that `source` belongs to."""
        return self.pages[self.teams.get(source) or self.config.team]

    def came_from(self, source: str, slots: NDArray[np.int32]) -> None:
        """`slots` are of `source`; kept only where sources have teams."""
        if not self.teams:
            return
        if len(self._origin) < self.index.capacity:
            grown = np.zeros(self.index.capacity, np.int16)
            grown[: len(self._origin)] = self._origin
            self._origin = grown
        self._origin[slots] = self._names.index(source) + 1 if source in self._names else 0

    def team_of(self, slot: int) -> str:
        """The team of the source that `slot` came from; empty while that is not known."""
        if not self.teams:
            return self.config.team
        number = int(self._origin[slot]) if slot < len(self._origin) else 0
        return (self.teams.get(self._names[number - 1]) or self.config.team) if number else ""

    def count_pages(self, source: str, scored: Scored) -> None:
        """What this row would have brought about under other bars."""
        pages = self.pages_of(source)
        if pages.due(scored.time):
            real = {
                alert.labels
                for problem in self.problems.known
                if problem.stage is Stage.ACTIVE or problem.verdict is Verdict.TRUE
                for alert in problem.alerts
            }

            def counts(labels: Labels) -> bool:
                team = dict(labels).get("team") or self.teams.get(source) or self.config.team
                return labels not in real and not self.silences.why(labels, scored.time, team)

            pages.close(scored.time, self.labels_of_slot, counts)
        pages.see(self.anomalies.by_one_bar(scored), self.anomalies.columns["seen"])

    def labels_of_slot(self, slot: int) -> Labels | None:
        """None when it is free."""
        try:
            return self.index.labels(slot)
        except KeyError:
            return None

    def removed_sources(self) -> set[str]:
        """Sources that live alerts came from and that are no longer configured."""
        return {a.source for a in self.alerting.live.values()} - {s.name for s in self.config.sources}

    def course(self, alert: Alert) -> Evidence:
        """The evidence of `alert`, brought up to date from the ring."""
        course = self.evidence.setdefault(alert.key, Evidence())
        slot = self.index.find(alert.labels)
        if slot is not None:
            course.extend(self.recent.points(slot, course.latest))
        return course


def new_key() -> str:
    """A correlation key that no other installation makes."""
    return f"fw-{uuid.uuid4().hex[:20]}"


def teams_of(config: Config) -> dict[str, str]:
    """The team of each source that names one, for its own alerts and for those about the watching of it."""
    named = {source.name: source.team for source in config.sources if source.team}
    return named | {f"{name} telemetry": team for name, team in named.items()}


def declared(config: Config) -> list[Silence]:
    def seconds(at: datetime | None, otherwise: float) -> float:
        if at is None:
            return otherwise
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()

    return [
        Silence(s.match, seconds(s.from_, -inf), seconds(s.until, inf), s.reason) for s in config.silences
    ]

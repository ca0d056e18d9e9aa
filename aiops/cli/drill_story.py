"""What happens between a fault and its repair, gathered from the engine's API and from our own eyes."""

import subprocess
import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aiops.cli.api import Api
from aiops.cli.drill_process import GROUP
from aiops.cli.drill_receiver import Receiver

STEPS = {
    "fault": "fault started",
    "detected": "detected",
    "opened": "problem opened",
    "ticket": "ticket delivered",
    "playbook": "playbook started",
    "stopped": "leaking process stopped",
    "verified": "repair verified",
    "resolved": "problem resolved",
    "told": "ticket told",
}
"""In the order in which they are bound to happen, but for tickets, which wait for nobody."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One step of the story; ``at`` in epoch seconds."""

    step: str
    at: float
    detail: str = ""


@dataclass(slots=True)
class Story:
    """Follows one drill; ``moments`` fills up as `look` is called."""

    api: Api
    receiver: Receiver
    child: "subprocess.Popen[str]"
    begun: float
    moments: dict[str, Moment] = field(default_factory=dict)
    problem: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._note("fault", self.begun, "a process leaks 10 MiB a second; its limit is 256 MiB")

    @property
    def complete(self) -> bool:
        return self.moments.keys() == STEPS.keys()

    @property
    def missing(self) -> list[str]:
        return [text for step, text in STEPS.items() if step not in self.moments]

    def look(self) -> list[Moment]:
        """What is new since the last look, in order of time."""
        known = set(self.moments)
        if self.child.poll() is not None:
            self._note("stopped", time.time(), f"pid {self.child.pid}")
        alert = self._alert()
        if alert:
            value, limit = _mib(alert["observed"]), _mib(alert["bound"])
            self._note("detected", _epoch(alert["fired"]), f"alert fired at {value} of {limit}")
        if alert and alert["problem_id"]:
            self.problem = self.api.get(f"/problems/{alert['problem_id']}")
            self._follow(self.problem)
        new = [moment for step, moment in self.moments.items() if step not in known]
        return sorted(new, key=lambda moment: moment.at)

    def _follow(self, problem: dict[str, Any]) -> None:
        self._opened(problem)
        first = self.receiver.first(problem["key"])
        if first:
            self._note("ticket", first.at, "signature verified")
        for run in problem["runs"]:
            if run["dry_run"] or _before(run["queued"], self.begun):
                continue
            if run["started"]:
                self._note("playbook", _epoch(run["started"]), run["playbook"])
            if run["state"] == "succeeded":
                self._note("verified", _epoch(run["ended"]), run["reason"])
        if problem["state"] == "resolved" and not _before(problem["resolved"], self.begun):
            self._note("resolved", _epoch(problem["resolved"]), problem["reason"])
        last = self.receiver.first(problem["key"], "resolved")
        if last:
            self._note("told", last.at, "of the resolution; signature verified")

    def _opened(self, problem: dict[str, Any]) -> None:
        opened = _epoch(problem["opened"])
        detail = f"problem {problem['id']}, {problem['stage']}"
        if opened < self.begun:
            detected = self.moments["detected"].at
            self._note("opened", detected, f"{detail}, joined: it was open already or came back")
            return
        if problem["breach_expected"] and problem["stage"] == "predicted":
            ahead = _epoch(problem["breach_expected"]) - opened
            if ahead > 0:
                detail += f": the limit would be crossed in {ahead:.0f} s"
        self._note("opened", opened, detail)

    def _alert(self) -> dict[str, Any] | None:
        """The drill's first alert that fired since the fault began."""
        listed = self.api.get("/alerts", text=GROUP, limit=50)["items"]
        ours = [one for one in listed if fired_drill(one) and not _before(one["fired"], self.begun)]
        return min(ours, key=lambda one: one["fired"], default=None)

    def _note(self, step: str, at: float, detail: str) -> None:
        self.moments.setdefault(step, Moment(step, at, detail))


def fired_drill(alert: dict[str, Any]) -> bool:
    """Whether an alert of the API is the drill's and has fired."""
    return alert["labels"].get("group") == GROUP and bool(alert["fired"])


def _before(moment: str | None, at: float) -> bool:
    return moment is None or _epoch(moment) < at


def _epoch(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


def _mib(value: float | None) -> str:
    return "?" if value is None else f"{value / (1 << 20):.0f} MiB"

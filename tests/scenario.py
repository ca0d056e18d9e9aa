"""Scenarios: a course of series and events in YAML, walked through the real pipeline and store.

scenario: what happens, in words
every: 2s                  # distance of the samples
warm: 1h                   # detectors learn this much of the first segments beforehand
config: {...}              # any keys of the configuration
playbooks: [{...}]
series:
  'rss{service="web"}':    # segments one after the other
    - {for: 2m, at: 40, noise: 1}
    - {for: 1m, from: 40, to: 300}
    - {for: 1m, gap: true}
events:
  - {at: 90s, silence: '{service="web"}', for: 5m}
  - {at: 100s, run: succeeded}           # what the worker would tell of the newest run
  - {at: 110s, acknowledge: somebody}
expect:
  - {state: resolved, stage: predicted, title: "will cross", opened: [2m, 3m], lead: [1m, 2m],
     alerts: 2, told: [opened, resolved], runs: 1, severity: major, escalation: "..."}
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ruamel.yaml import YAML

from aiops.config.playbooks import read_playbook
from aiops.core.silence import Silence
from aiops.engine import messages as say
from aiops.model.frame import Frame
from aiops.model.lifecycle import RunState
from aiops.model.problem import EscalationReason
from aiops.model.selector import Selector
from aiops.model.series import Labels, labels_of
from aiops.plugin.params import parse_duration
from aiops.store import tables
from aiops.store.database import Database
from tests.walk import Walk, config_of

SEED = 11


@dataclass
class Scenario:
    """One file, read."""

    name: str
    every: float
    warm: float
    config: dict[str, Any]
    playbooks: list[dict[str, Any]]
    series: dict[Labels, list[dict[str, Any]]]
    events: list[dict[str, Any]]
    expect: list[dict[str, Any]]

    @classmethod
    def read(cls, path: Path) -> "Scenario":
        data = YAML(typ="safe").load(path.read_text())
        return cls(
            data["scenario"],
            parse_duration(data.get("every", "2s")),
            parse_duration(data.get("warm", 0)),
            data.get("config", {}),
            data.get("playbooks", []),
            {_labels(text): segments for text, segments in data["series"].items()},
            sorted(data.get("events", []), key=lambda e: parse_duration(e["at"])),
            data["expect"],
        )

    def course(self, segments: list[dict[str, Any]], rng: np.random.Generator) -> NDArray[np.float64]:
        """The values of one series, a step each."""
        return np.concatenate([_segment(one, self.every, rng) for one in segments])


async def play(scenario: Scenario, db: Database) -> tuple[Walk, float]:
    """Walk it; returns the walk and when it began (epoch s)."""
    rng = np.random.default_rng(SEED)
    texts = [_yaml(playbook) for playbook in scenario.playbooks]
    playbooks = [read_playbook(text, "playbook.yaml") for text in texts]
    walk = Walk(db, config_of(**scenario.config), playbooks)
    if scenario.warm:
        _warm(walk, scenario, rng)
    courses = {labels: scenario.course(segments, rng) for labels, segments in scenario.series.items()}
    began, events = walk.clock.now(), list(scenario.events)
    for step in range(max(map(len, courses.values()))):
        row = {labels: course[step] for labels, course in courses.items() if step < len(course)}
        await walk.row(row, scenario.every)
        while events and began + parse_duration(events[0]["at"]) <= walk.clock.now():
            await _happen(walk, events.pop(0))
    return walk, began


async def check(scenario: Scenario, walk: Walk, began: float) -> None:
    """Hold what is stored against what was expected, problem by problem in the order of opening."""
    problems = await walk.stored(tables.problem)
    shown = [f"{p['state']} {p['stage']}: {p['title']}" for p in problems]
    assert len(problems) == len(scenario.expect), f"{scenario.name}: {shown}"
    for problem, expected in zip(problems, scenario.expect, strict=True):
        mine = {"problem_id": problem["id"]}
        found: dict[str, Any] = {
            **problem,
            "opened": problem["opened"] - began,
            "lead": (problem["breached"] or math.nan) - problem["opened"],
            "alerts": len(await walk.stored(tables.alert, tables.alert.c.problem_id == mine["problem_id"])),
            "runs": len(await walk.stored(tables.run, tables.run.c.problem_id == mine["problem_id"])),
            "told": [
                row["reason"]
                for row in await walk.stored(
                    tables.delivery, tables.delivery.c.problem_id == mine["problem_id"]
                )
            ],
        }
        for key, wanted in expected.items():
            assert _fits(found[key], wanted), f"{scenario.name}: {key} is {found[key]!r}, expected {wanted!r}"


def _fits(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, list) and isinstance(found, float):
        low, high = (parse_duration(one) for one in wanted)
        return bool(low <= found <= high)
    if isinstance(wanted, str) and isinstance(found, str):
        return wanted in found
    return bool(found == wanted)


async def _happen(walk: Walk, event: dict[str, Any]) -> None:
    now = walk.clock.now()
    if "silence" in event:
        ends = now + parse_duration(event["for"])
        walk.state.silences.asked([Silence(Selector.parse(event["silence"]), now, ends, "asked for")])
        return
    problem_id = max(row["id"] for row in await walk.stored(tables.problem))
    if "acknowledge" in event:
        await walk.tell(say.Acknowledge(problem_id, event["acknowledge"]))
    if "resolve" in event:
        await walk.tell(say.Resolve(problem_id, event["resolve"]))
    if "run" in event:
        run_id = max(row["id"] for row in await walk.stored(tables.run))
        ended = RunState(event["run"])
        reason = None if ended is RunState.SUCCEEDED else EscalationReason.VERIFY_FAILED
        await walk.tell(say.RunStarted(problem_id, run_id, "begins"))
        await walk.tell(say.RunEnded(problem_id, run_id, ended, reason, "ended"))


def _warm(walk: Walk, scenario: Scenario, rng: np.random.Generator) -> None:
    steps = int(scenario.warm / scenario.every)
    times = walk.clock.now() - scenario.every * np.arange(steps, 0, -1)
    slots = walk.state.index.slots(scenario.series)
    first = [{**segments[0], "for": scenario.warm} for segments in scenario.series.values()]
    values = np.stack([_segment(one, scenario.every, rng)[:steps] for one in first], axis=1)
    walk.state.learn(Frame(times, slots, values))


def _segment(one: dict[str, Any], every: float, rng: np.random.Generator) -> NDArray[np.float64]:
    steps = int(parse_duration(one["for"]) / every)
    if one.get("gap"):
        return np.full(steps, np.nan)
    low = float(one.get("at", one.get("from", 0.0)))
    high = float(one.get("to", low))
    return np.linspace(low, high, steps) + rng.standard_normal(steps) * float(one.get("noise", 0.0))


def _labels(text: str) -> Labels:
    return labels_of({m.label: m.value for m in Selector.parse(text).matchers})


def _yaml(data: dict[str, Any]) -> str:
    import io

    out = io.StringIO()
    YAML(typ="safe").dump(data, out)
    return out.getvalue()

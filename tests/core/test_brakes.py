"""Brakes over all playbooks: how many targets, how many failures, and storms in which nothing acts."""

from datetime import UTC, datetime
from typing import Any

import pytest

from aiops.config.playbooks import read_playbook
from aiops.config.remediation import Maintenance, frozen
from aiops.core.brakes import BlastRadius, Brakes, Storm, braked
from aiops.core.remediate import Refusal, Remediation
from aiops.model.lifecycle import RunState
from aiops.model.problem import NAN, Problem, Run

NOW = 1_000_000.0
BOOK = read_playbook(
    """
playbook: fix
match: 'true'
target: "{{ problem.title }}"
autonomy: auto
guards: {cooldown: 0s, max_runs: {count: 99, per: 1h}, breaker: {count: 2, per: 10m}}
steps:
  - go: {action: command, argv: ["true"], idempotent: true}
verify: {command: {argv: ["true"]}}
""",
    "fix.yaml",
)
BRAKES = Brakes(blast_radius=BlastRadius(targets=2, per=600.0), storm=Storm(problems=3, within=300.0))


def run(target: str = "a", state: RunState = RunState.SUCCEEDED, ago: float = 60.0, **more: Any) -> Run:
    live = state in (RunState.QUEUED, RunState.RUNNING, RunState.AWAITING_APPROVAL, RunState.VERIFYING)
    values = {"playbook": "fix", "started": NOW - ago, "ended": NAN if live else NOW - ago, "id": 7, **more}
    return Run(
        problem_id=1,
        revision="r",
        target=target,
        state=state,
        autonomy="auto",
        dry_run=False,
        queued=NOW - ago,
        reason="",
        **{name: value for name, value in values.items() if name != "dry_run"},
    )


def said(history: list[Run], target: str = "z", openings: tuple[float, ...] = ()) -> str:
    return braked(BRAKES, BOOK, run(target, RunState.QUEUED, id=1), history, openings, NOW)


def test_the_blast_radius_counts_targets_of_all_playbooks() -> None:
    two = [run("a"), run("b", RunState.RUNNING, playbook="other")]
    assert "acted on 2 targets within 10m" in said(two)
    assert said(two, target="a") == "", "a target that is counted already costs nothing again"
    assert said([run("a"), run("a"), run("a", playbook="other")]) == ""
    assert said([run("a"), run("b", ago=601.0)]) == ""
    assert said([run("a"), run("b", RunState.AWAITING_APPROVAL)]) == "", "one that waits has touched nothing"
    assert said([run("a"), run("b", RunState.EXPIRED, started=NAN)]) == ""


def test_most_of_a_services_replicas_stay_as_they_are() -> None:
    brakes = Brakes(blast_radius=BlastRadius(targets=9, per=600.0, share=0.5))
    mine = run("z", RunState.QUEUED, id=1, service="web", replicas=4)

    def told(*history: Run, one: Run = mine) -> str:
        return braked(brakes, BOOK, one, history, (), NOW)

    two = [run("a", service="web"), run("b", service="web", playbook="other")]
    assert "acted on 2 of the 4 replicas of web within 10m" in told(*two)
    assert told(two[0]) == ""
    assert told(two[0], run("b", service="db")) == ""
    assert told(*two, one=run("a", RunState.QUEUED, id=1, service="web", replicas=4)) == ""
    few = run("z", RunState.QUEUED, id=1, service="web", replicas=2)
    assert told(one=few) == "", "one is always allowed"
    assert "1 of the 2" in told(two[0], one=few)
    unknown = run("z", RunState.QUEUED, id=1, service="web")
    assert told(*two, one=unknown) == ""


def test_one_failure_domain_at_a_time() -> None:
    brakes = Brakes(blast_radius=BlastRadius(targets=9, per=600.0))
    mine = run("z", RunState.QUEUED, id=1, domain="zone=b")

    def told(*history: Run, one: Run = mine) -> str:
        return braked(brakes, BOOK, one, history, (), NOW)

    assert "act in zone=a within 10m, and in one zone at a time" in told(run("a", domain="zone=a"))
    assert told(run("a", domain="zone=b")) == ""
    assert told(run("a", domain="region=x")) == "", "another kind of domain"
    assert told(run("a", domain="zone=a", ago=601.0)) == ""
    assert told(run("a", domain="zone=a"), one=run("z", RunState.QUEUED, id=1)) == "", (
        "of which none is known"
    )


def test_the_breaker_opens_on_failures_of_one_playbook_on_any_target() -> None:
    bad = [run("a", RunState.FAILED), run("a", RunState.ROLLED_BACK)]
    assert "fix failed 2 times within 10m: its breaker is open" in said(bad)
    assert said(bad[:1]) == ""
    assert said([bad[0], run("a", RunState.FAILED, playbook="other")]) == ""
    assert said([bad[0], run("a", RunState.FAILED, ago=601.0)]) == ""


def test_in_a_storm_nothing_acts() -> None:
    three = (NOW - 299, NOW - 10, NOW)
    assert "3 problems opened within 5m" in said([], openings=three)
    assert said([], openings=(NOW - 300, *three[1:])) == ""


def test_the_chooser_refuses_by_its_brakes() -> None:
    chooser = Remediation([BOOK], True, brakes=BRAKES)
    problem, context = Problem("k", 1.0, id=4), {"title": "z", "labels": {}}
    assert isinstance(chooser.consider(problem, context, NOW), Run)
    refused = chooser.consider(problem, context, NOW, openings=(NOW, NOW, NOW))
    assert isinstance(refused, Refusal)
    assert "the cause is likely elsewhere" in refused.text


@pytest.mark.parametrize(
    ("labels", "at", "held"),
    [
        ({"service": "web"}, datetime(2026, 1, 2, 23, 0, tzinfo=UTC), True),
        ({"service": "web"}, datetime(2026, 1, 3, 3, 59, tzinfo=UTC), True),
        ({"service": "web"}, datetime(2026, 1, 3, 4, 0, tzinfo=UTC), False),
        ({"service": "db"}, datetime(2026, 1, 2, 23, 0, tzinfo=UTC), False),
        ({"service": "web"}, datetime(2026, 1, 4, 23, 0, tzinfo=UTC), False),
    ],
)
def test_changes_are_frozen_in_their_windows(labels: dict[str, str], at: datetime, held: bool) -> None:
    window = Maintenance.model_validate(
        {"match": '{service="web"}', "days": ["fri"], "start": "22:00", "end": "04:00", "reason": "weekend"}
    )
    words = frozen([window], labels, at.timestamp())
    assert words == ("changes are frozen until 04:00 UTC: weekend" if held else "")

"""The past through the same pipeline: what would have been found, when, and how early."""

from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from aiops.config.playbooks import read_playbook
from aiops.engine.replay import ReplayReport, replay
from aiops.model.frame import Frame
from aiops.model.lifecycle import ProblemState, Stage
from aiops.model.series import SeriesIndex
from tests.making import NOW, labels
from tests.walk import DOWN, config_of

UP, ERRORS = labels("up", service="web"), labels("error_ratio", service="web")
SLI = {"name": "errors", "of": {"match": "error_ratio"}, "breach": {"above": 0.01, "for": "30s"}}

HOUR = np.arange(0, 3600.0, 15.0)


async def past(index: SeriesIndex) -> AsyncIterator[tuple[str, Frame]]:
    """Down from minute 20 to 40, users notice from minute 30; ten minutes a frame."""
    up = np.where((HOUR >= 1200) & (HOUR < 2400), 0.0, 1.0)
    errors = np.where((HOUR >= 1800) & (HOUR < 2400), 0.2, 0.0)
    values = np.stack([up, errors], axis=1)
    for start in range(0, len(HOUR), 40):
        part = slice(start, start + 40)
        yield "prod", Frame(NOW + HOUR[part], index.slots([UP, ERRORS]), values[part])


async def replayed(**keys: Any) -> tuple[ReplayReport, list[int]]:
    index, seen = SeriesIndex(), []
    config = config_of(**{"limits": [DOWN], "slis": [SLI], **keys})
    text = """
playbook: restart
match: 'true'
target: service/web
autonomy: auto
steps: [{restart: {action: command, argv: [/bin/false, --would-have-left-a-trace]}}]
verify: {command: {argv: [/bin/true]}, times: 1, every: 1s, within: 10s}
"""
    books = [read_playbook(text, "restart.yaml")]
    report = await replay(config, books, index, past(index), lambda r: seen.append(r.rows))
    return report, seen


async def test_a_fault_of_the_past_is_found_at_its_own_time_with_its_lead() -> None:
    report, _ = await replayed()
    (problem,) = report.problems
    assert problem.opened == NOW + 1200.0
    assert problem.breached == NOW + 1830.0
    assert problem.lead_seconds == 630.0
    assert (problem.state, problem.stage) == (ProblemState.RESOLVED, Stage.ACTIVE)
    assert problem.resolved == NOW + 2400.0 + 15.0
    assert len(problem.alerts) == 2


async def test_the_report_says_how_much_there_was_and_how_fast_it_went() -> None:
    report, seen = await replayed()
    assert (report.rows, report.samples, report.series) == (240, 480, 2)
    assert (report.start, report.end, report.seconds) == (NOW, NOW + 3585.0, 3585.0)
    assert seen == [40, 80, 120, 160, 200, 240]
    assert report.times_real > 100


async def test_nothing_acts_in_a_replay() -> None:
    """Playbooks are planned, as dry runs; the config that was given keeps its own mind."""
    config = config_of(limits=[DOWN], remediation={"enabled": True})
    index = SeriesIndex()
    await replay(config, [], index, past(index))
    assert config.remediation.enabled


async def test_time_alone_escalates_in_a_replay_too() -> None:
    report, _ = await replayed(routes=[{"to": "itsm", "escalate": {"after": "5m"}}])
    (problem,) = report.problems
    assert problem.escalation is not None


async def test_an_empty_past_is_an_empty_report() -> None:
    async def nothing() -> AsyncIterator[tuple[str, Frame]]:
        return
        yield

    report = await replay(config_of(), [], SeriesIndex(), nothing())
    assert (report.rows, report.problems, report.seconds, report.times_real) == (0, [], 0.0, 0.0)


@pytest.mark.parametrize("order", ["together", "one after the other"])
async def test_two_sources_of_one_time_are_both_acted_on(order: str) -> None:
    index = SeriesIndex()
    other = labels("up", service="db")

    async def frames() -> AsyncIterator[tuple[str, Frame]]:
        for at in (NOW, NOW + 15.0):
            for source, series in (("prod", UP), ("other" if order == "together" else "prod", other)):
                when = at if order == "together" else at + (series is other) * 1.0
                yield source, Frame(np.array([when]), index.slots([series]), np.zeros((1, 1)))

    report = await replay(config_of(limits=[DOWN]), [], index, frames())
    assert len(report.problems) == 2

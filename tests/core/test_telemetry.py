"""The system, or what watches it?"""

import json

import numpy as np
import pytest

from aiops.core.restarts import Restarts
from aiops.core.telemetry import (
    CHURN,
    CLOCK,
    SILENT_SOURCE,
    SILENT_TARGET,
    Telemetry,
    of_telemetry,
    only_telemetry,
)
from aiops.model.frame import Frame
from aiops.model.problem import Problem
from aiops.model.series import Labels, SeriesIndex
from aiops.model.signal import AlertKind, Severity
from tests.making import NOW, firing, labels, signal

BY = ("service", "host", "instance")


class Stand:
    """One source whose rows are made by hand; our clock goes with them unless told otherwise."""

    def __init__(self) -> None:
        self.index = SeriesIndex()
        self.telemetry = Telemetry(self.index, BY, 10_000)
        self.now = NOW

    def row(self, *live: Labels, after: float = 5.0, skew: float = 0.0, **fixed: float) -> None:
        self.now += after
        values = {one: fixed.get(dict(one)["__name__"], 1.0) for one in live}
        slots = self.index.slots(values)
        self.telemetry.welcome(self.index.take_fresh())
        row = Frame(np.array([self.now + skew]), slots, np.array([list(values.values())]))
        self.telemetry.see("prod", row, self.now)

    def wrong(self, every: float = 5.0) -> dict[str, Severity]:
        """Rule -> severity of what is wrong now."""
        found = self.telemetry.judge(self.now, {"prod": every})["prod"]
        return {f.signal.rule: f.signal.severity for f in found if f.wrong}


def metric(instance: str, name: str = "load", job: str = "node") -> Labels:
    return labels(name, instance=instance, job=job)


def test_all_is_well_while_everything_reports() -> None:
    stand = Stand()
    for _ in range(50):
        stand.row(metric("a"), metric("b"))
        assert stand.wrong() == {}


def test_a_target_that_stops_is_silent_and_one_that_reports_again_is_not() -> None:
    stand = Stand()
    for _ in range(20):
        stand.row(metric("a"), metric("b", job="db"))
    for _ in range(3):
        stand.row(metric("a"))
    assert stand.wrong() == {}, "two missed scrapes are no outage"
    stand.row(metric("a"))
    assert stand.wrong() == {SILENT_TARGET: Severity.MAJOR}
    assert stand.telemetry.silent == {"b"}
    stand.row(metric("a"), metric("b", job="db"))
    assert stand.wrong() == {}
    assert stand.telemetry.silent == set()


def test_one_of_several_of_a_job_may_have_been_let_go() -> None:
    stand = Stand()
    for _ in range(20):
        stand.row(metric("a"), metric("b"))
    for _ in range(5):
        stand.row(metric("a"))
    assert stand.wrong() == {SILENT_TARGET: Severity.MINOR}


def test_a_rollout_is_no_outage() -> None:
    stand = Stand()
    for _ in range(20):
        stand.row(metric("old"), metric("other", job="db"))
    for _ in range(20):
        stand.row(metric("new"), metric("other", job="db"))
    assert stand.wrong() == {}


def test_a_scrape_that_fails_is_told_by_up_and_a_target_that_was_removed_is_not_missed() -> None:
    stand = Stand()
    up, load = metric("a", "up"), metric("a")
    for _ in range(20):
        stand.row(up, load, metric("b"))
    for _ in range(5):
        stand.row(up, metric("b"), up=0.0)
    assert stand.wrong() == {SILENT_TARGET: Severity.MAJOR}
    for _ in range(10):
        stand.row(metric("b"))
    assert stand.wrong() == {}, "nobody scrapes it any more"


def test_what_is_said_of_the_scraping_itself_is_the_watchings_own() -> None:
    def heard(name: str) -> AlertKind:
        return of_telemetry(signal(metric("a", name), kind=AlertKind.ANOMALY)).kind

    ours = {"up", "scrape_samples_post_metric_relabeling", "scrape_timeout_seconds", "scrape_body_size_bytes"}
    assert {heard(name) for name in ours} == {AlertKind.SILENCE}
    assert heard("scraper_pages_total") is AlertKind.ANOMALY


def test_a_source_that_does_not_answer() -> None:
    stand = Stand()
    for _ in range(20):
        stand.row(metric("a"))
    stand.now += 29.0
    assert stand.wrong() == {}
    stand.now += 2.0
    assert stand.wrong() == {SILENT_SOURCE: Severity.MAJOR}
    assert stand.telemetry.silent == set(), "its targets cannot be told from here"
    stand.telemetry.hear("prod", stand.now)
    assert stand.wrong() == {}


def test_a_source_that_pushes_is_judged_by_its_own_pace_once_that_is_known() -> None:
    stand = Stand()
    stand.row(metric("a"))
    stand.now += 10_000.0
    assert stand.wrong(every=0.0) == {}, "it may push once a day"
    for _ in range(20):
        stand.row(metric("a"), after=10.0)
    stand.now += 41.0
    assert stand.wrong(every=0.0) == {SILENT_SOURCE: Severity.MAJOR}


def test_samples_from_the_future_are_a_clock_that_is_wrong() -> None:
    stand = Stand()
    stand.row(metric("a"), skew=9.0)
    assert stand.wrong() == {}
    stand.row(metric("a"), skew=60.0)
    assert stand.wrong() == {CLOCK: Severity.MAJOR}


@pytest.mark.parametrize(("new", "churned"), [(10, False), (80, True)])
def test_many_new_series_at_once_are_churn_but_not_at_the_beginning(new: int, churned: bool) -> None:
    stand = Stand()
    before = [metric(f"i{i}") for i in range(100)]
    for _ in range(200):
        stand.row(*before)
        assert CHURN not in stand.wrong()
    stand.row(*before[new:], *(metric(f"n{i}") for i in range(new)))
    assert (CHURN in stand.wrong()) is churned


def test_what_is_said_of_scraping_is_telemetry_and_what_people_declared_is_not() -> None:
    assert of_telemetry(signal(labels("up"))).kind is AlertKind.SILENCE
    assert of_telemetry(signal(labels("up"), kind=AlertKind.LIMIT)).kind is AlertKind.LIMIT
    assert of_telemetry(signal(labels("load"))).kind is AlertKind.ANOMALY


def test_only_telemetry_means_that_nothing_else_fires() -> None:
    silent = firing("forewarn_target_age_seconds", kind=AlertKind.SILENCE, service="web")
    odd = firing("load", service="web")
    limit = firing("load", kind=AlertKind.LIMIT, service="web")

    def only(*alerts: object, blind: set[str]) -> bool:
        return only_telemetry(Problem("k", NOW, alerts=list(alerts)), blind, BY)  # type: ignore[arg-type]

    assert only(silent, blind={"web"})
    assert only(silent, odd, blind={"web"}), "what it says last, before it fell silent, is not believed"
    assert not only(silent, odd, blind=set())
    assert not only(silent, limit, blind={"web"})
    assert not only(odd, blind={"web"})


def test_a_start_time_that_moves_is_a_restart() -> None:
    index = SeriesIndex()
    restarts = Restarts(index)
    start = labels("process_start_time_seconds", service="web", instance="a:80")
    slots = index.slots([start, labels("load")])
    restarts.welcome(index.take_fresh())

    def see(began: float, at: float) -> list[str]:
        row = Frame(np.array([at]), slots, np.array([[began, at]]))
        return [f"{c.kind} {c.title} {c.time:g} {dict(c.labels)['service']}" for c in restarts.see(row)]

    assert see(100.0, 200.0) == []
    assert see(100.9, 205.0) == [], "the clock was set"
    assert see(np.nan, 210.0) == []
    assert see(207.0, 215.0) == ["restart web started anew 207 web"]
    assert see(207.0, 220.0) == []


def test_what_is_known_of_what_reports_outlives_a_restart() -> None:
    stand = Stand()
    for _ in range(20):
        stand.row(metric("a"), metric("b", job="other"))
    kept = json.loads(json.dumps(stand.telemetry.snapshot()))
    assert "NaN" not in json.dumps(kept)
    stand.telemetry = Telemetry(stand.index, BY, 10_000)
    stand.telemetry.restore(kept)
    assert stand.telemetry.snapshot() == kept
    stand.now += 1800.0
    for _ in range(3):
        stand.row(metric("a"))
        assert stand.wrong() == {}, "the time for which nobody watched is nobody's silence"
    for _ in range(3):
        stand.row(metric("a"))
    assert stand.wrong() == {"silent target": Severity.MAJOR}


@pytest.mark.parametrize(
    "bad",
    [
        {},
        {"sources": [], "targets": {}},
        {"sources": {}, "targets": {"known": [["prod", "a", [], ""]], "seen": {}}},
        {"sources": {"prod": {"last": "x"}}, "targets": {"known": [], "seen": {}}},
    ],
)
def test_what_is_no_snapshot_is_refused_and_changes_nothing(bad: dict[str, object]) -> None:
    stand = Stand()
    for _ in range(20):
        stand.row(metric("a"), metric("b", job="other"))
    before = stand.telemetry.snapshot()
    with pytest.raises(ValueError, match=r"snapshot|targets"):
        stand.telemetry.restore(bad)
    assert stand.telemetry.snapshot() == before

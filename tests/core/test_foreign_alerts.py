"""Alerts of other systems among our own: one each, over when they say so, never revived by old news."""

from copy import deepcopy
from math import nan

from aiops.config.models import Alerting as Settings
from aiops.core import words
from aiops.core.alerting import FOREIGN_LASTS, Alerting
from aiops.core.problems import Problems
from aiops.model.lifecycle import AlertState
from aiops.model.series import SeriesIndex, labels_of
from aiops.model.signal import Alert, AlertKind, Report, Severity
from tests.making import firing, grouping

NOW = 1_767_225_600.0
LABELS = labels_of({"__name__": "DiskFull", "instance": "db-1"})


def alerting() -> Alerting:
    return Alerting(SeriesIndex(), Settings())


def report(firing: bool = True, at: float = NOW - 60, **other: object) -> Report:
    return Report("DiskFull c0ffee", firing, LABELS, at, Severity.MAJOR, "The disk is full", **other)  # type: ignore[arg-type]


def live(of: Alerting) -> Alert:
    (alert,) = of.live.values()
    return alert


def test_it_fires_at_once_and_is_told_as_its_system_told_it() -> None:
    mine = alerting()
    (change,) = mine.hear([report()], "am", NOW)
    alert = live(mine)
    assert (change.to, alert.kind, alert.source) == (AlertState.FIRING, AlertKind.FOREIGN, "am")
    assert (alert.started, alert.fired, words.of_alert(alert)) == (NOW - 60, NOW, "The disk is full")
    assert mine.hear([report()], "am", NOW + 30) == [], "a repeat is no news"
    (over,) = mine.hear([Report("DiskFull c0ffee", False)], "am", NOW + 60)
    assert (over.to, mine.live) == (AlertState.RESOLVED, {})


def test_its_name_tells_it_apart_and_its_source() -> None:
    mine = alerting()
    mine.hear([report(), Report("other", True, LABELS)], "am", NOW)
    assert len(mine.live) == 2
    assert mine.hear([Report("DiskFull c0ffee", False)], "grafana", NOW) == []
    assert len(mine.live) == 2


def test_old_news_do_not_revive_what_is_over() -> None:
    mine = alerting()
    mine.hear([report()], "am", NOW)
    mine.hear([report(False, at=NOW)], "am", NOW + 1)
    assert mine.hear([report(at=NOW - 60)], "am", NOW + 2) == [], "told late, or replayed"
    assert mine.hear([report(at=NOW + 5)], "am", NOW + 6), "it came back"
    mine.hear([report(False, at=nan)], "am", NOW + 7)
    assert mine.hear([report(at=nan)], "am", NOW + 8), "without times there is no telling"


def test_what_is_heard_of_no_more_is_over_in_the_end() -> None:
    mine = alerting()
    mine.hear([report(lasts=100.0)], "am", NOW)
    mine.hear([report(lasts=100.0)], "am", NOW + 90)
    assert mine.expire(NOW + 189) == []
    (over,) = mine.expire(NOW + 190)
    assert over.reason == "nothing more was heard of it"


def test_it_outlives_a_restart_for_a_day_and_a_reload() -> None:
    mine, after = alerting(), alerting()
    mine.hear([report()], "am", NOW)
    after.restore(deepcopy(list(mine.live.values())))
    assert after.hear([report()], "am", NOW + 1) == []
    again = alerting()
    again.restore(deepcopy(list(mine.live.values())))
    assert again.expire(NOW + FOREIGN_LASTS - 1) == []
    assert len(again.expire(NOW + FOREIGN_LASTS)) == 1
    reloaded = alerting()
    reloaded.adopt(mine)
    assert len(reloaded.hear([Report("DiskFull c0ffee", False)], "am", NOW + 9)) == 1


def test_pulls_of_other_sources_leave_it_alone() -> None:
    mine = alerting()
    mine.hear([report()], "am", NOW)
    assert mine.step([], {0: 1.0}, "host", NOW + 9999) == []
    assert mine.quiet({"host"}, NOW + 9999) == []
    assert len(mine.quiet({"am"}, NOW + 9999)) == 1, "its source was taken out of the configuration"


def test_it_joins_the_problem_of_our_own_alert_on_the_same_service() -> None:
    mine = alerting()
    shared = labels_of({"__name__": "CheckoutSlow", "service": "checkout"})
    mine.hear([Report("CheckoutSlow 1", True, shared, NOW, Severity.CRITICAL, "checkout is slow")], "am", NOW)
    own = firing("http_errors_ratio", service="checkout", severity=Severity.MAJOR)
    problems = Problems(grouping(), lambda: "fw-1", lambda _problem: float("inf"))
    problems.correlate([own], NOW)
    problems.correlate([own, live(mine)], NOW + 5)
    (problem,) = problems.known
    assert {alert.kind for alert in problem.alerts} == {own.kind, AlertKind.FOREIGN}
    assert problem.severity is Severity.CRITICAL
    over = mine.hear([Report("CheckoutSlow 1", False)], "am", NOW + 60)
    assert [change.alert.problem_key for change in over] == ["fw-1"]

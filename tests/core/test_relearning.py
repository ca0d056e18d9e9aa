"""A deploy is a hint that a new level is meant to be; it silences nothing that stands by itself."""

import pytest

from aiops.core.alerting import Alerting
from aiops.core.changes import Changes
from aiops.core.relearning import Relearning
from aiops.model.frame import Change
from aiops.model.series import SeriesIndex, labels_of
from aiops.model.signal import Alert, AlertKind
from tests.making import NOW, alerting, firing

USUAL, HINTED = 3600.0, 900.0


def change(at: float, kind: str = "deploy", **labels: str) -> Change:
    return Change(NOW + at, kind, f"{kind} of it", labels_of(labels or {"service": "db"}))


def anomaly(kind: AlertKind = AlertKind.ANOMALY, **fields: object) -> Alert:
    """Of the service db, fired at NOW; of a problem."""
    alert = firing("latency_seconds", service="db")
    alert.kind, alert.started, alert.fired, alert.problem_key = kind, NOW, NOW, "fw-1"
    for name, value in fields.items():
        setattr(alert, name, value)
    return alert


def relearning(*made: Change, hinted: float = HINTED) -> Relearning:
    changes = Changes(["service"])
    for one in made:
        changes.take(one)
    return Relearning(changes, USUAL, hinted)


@pytest.mark.parametrize(
    "made",
    [
        [change(-60)],
        [change(-1799, "config")],
        [change(40)],  # a poll found it late
        [change(-60), change(-300)],
        [change(-60), change(5, service="shop")],
        [change(-60), change(5, "restart")],
    ],
)
def test_what_follows_a_change_of_its_component_is_held_for_less(made: list[Change]) -> None:
    alert = anomaly()
    assert relearning(*made).look([alert], NOW).after == {alert.key: HINTED}


@pytest.mark.parametrize(
    "made",
    [
        [],
        [change(-1801)],
        [change(-60, service="shop")],
        [change(-60, team="payments")],  # of no component
        [change(-60, "restart")],
        [change(-60), change(300, "rollback")],
    ],
)
def test_no_hint(made: list[Change]) -> None:
    assert relearning(*made).look([anomaly()], NOW).after == {}
    assert relearning(*made).hint(anomaly().labels, NOW) == ""


def test_a_hint_never_lengthens() -> None:
    assert relearning(change(-60), hinted=USUAL + 1).look([anomaly()], NOW).after == {}


@pytest.mark.parametrize(
    "kind", [AlertKind.LIMIT, AlertKind.SLI, AlertKind.BURN, AlertKind.FORECAST, AlertKind.FOREIGN]
)
def test_what_stands_by_itself_keeps_its_problem_from_being_learnt(kind: AlertKind) -> None:
    hard = anomaly(kind, rule="hard")
    told = relearning(change(-60))
    assert told.look([anomaly(), hard], NOW).after == {}
    hard.problem_key = "fw-2"
    assert set(told.look([anomaly(), hard], NOW).after) == {anomaly().key}, "of another problem"


def test_the_slots_are_held_accordingly() -> None:
    index, alert = SeriesIndex(), anomaly()
    index.slot(alert.labels)
    alerts, told = Alerting(index, alerting()), relearning(change(-60))
    alerts.restore([alert])

    def held(after: float) -> bool:
        now = NOW + after
        return bool(alerts.hold(USUAL, now, told.look(alerts.live.values(), now).after)[0])

    assert held(HINTED - 1)
    assert not held(HINTED)
    limit = anomaly(AlertKind.LIMIT, rule="slow")
    alerts.restore([limit])
    assert held(HINTED), "its limit is crossed"
    assert not held(USUAL)


def test_what_is_learnt_again_is_said_once() -> None:
    told, alerts = relearning(change(-60)), [anomaly()]
    said = [told.look(alerts, NOW + at).due for at in (899, 890, 901, 895, 902)]
    (due,) = [one for one in said if one]
    assert due == {("fw-1", "deploy: deploy of it (service db)"): 1}
    again = relearning(change(-60))
    again.adopt(told)
    assert again.look(alerts, NOW + 903).due == {}
    text = told.said(1, "deploy: db 2.0")
    assert text == "series that are learnt from now on: 1, 15 min after they fired, following deploy: db 2.0"


def test_it_is_known_after_a_restart_and_a_reload() -> None:
    restored, reloaded = Changes(["service"]), Changes(["service"])
    restored.restore([change(-60)])
    reloaded.adopt(restored)
    for changes in (restored, reloaded):
        assert changes.explaining(anomaly().labels, NOW) == change(-60)

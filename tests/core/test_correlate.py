"""Which problem an alert joins, and the reason that is given."""

from aiops.core.correlate import place, shared_label, still_firing
from aiops.model.lifecycle import AlertState, ProblemState
from aiops.model.problem import Problem
from aiops.model.signal import Alert
from tests.making import NOW, firing, grouping

SETTINGS = grouping(window="300s", reopen_within="600s")


def problem(*alerts: Alert, key: str = "fw-1", at: float = NOW, **fields: object) -> Problem:
    made = Problem(key, at, alerts=list(alerts), last_evidence=at)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def over(*alerts: Alert) -> list[Alert]:
    for one in alerts:
        one.state = AlertState.RESOLVED
    return list(alerts)


def test_an_alert_joins_what_shares_a_grouping_label_within_the_window() -> None:
    web = problem(*over(firing("load", service="web")))
    placed = place(firing("errors", service="web"), [web], NOW + 300, SETTINGS)
    assert placed.problem is web
    assert placed.because == "same service web, 5 min later"
    assert place(firing("errors", service="web"), [web], NOW + 301, SETTINGS).problem is None
    assert place(firing("errors", service="db"), [web], NOW + 1, SETTINGS).problem is None


def test_a_problem_that_still_fires_is_joined_however_old_it_is() -> None:
    """A leak is announced long before users notice: its SLI's breach is the same story."""
    web = problem(firing("memory", service="web"))
    placed = place(firing("errors", service="web"), [web], NOW + 7200, SETTINGS)
    assert placed.problem is web
    assert placed.because == "same service web, 2 h later"


def test_the_freshest_of_several_problems_is_joined() -> None:
    old = problem(firing("a", host="h"), key="old")
    new = problem(firing("b", host="h"), key="new", at=NOW + 60)
    assert place(firing("c", host="h"), [old, new], NOW + 61, SETTINGS).problem is new


def test_two_teams_never_share_a_problem() -> None:
    web = problem(firing("load", service="web"), team="shop")
    assert place(firing("errors", service="web", team="core"), [web], NOW, SETTINGS).problem is None
    assert place(firing("load", service="web", team="core"), [web], NOW, SETTINGS).problem is None


def test_a_resolved_problem_takes_its_own_alert_back_and_no_other() -> None:
    web = problem(*over(firing("load", service="web")), state=ProblemState.RESOLVED, resolved=NOW)
    back = place(firing("load", service="web"), [web], NOW + 600, SETTINGS)
    assert (back.problem, back.because) == (web, "the same alert came back")
    assert place(firing("load", service="web"), [web], NOW + 601, SETTINGS).problem is None
    assert place(firing("errors", service="web"), [web], NOW + 1, SETTINGS).problem is None


def test_an_alert_goes_back_to_its_own_problem_before_a_fresher_one() -> None:
    own = problem(*over(firing("load", service="web")), key="own")
    fresh = problem(firing("errors", service="web"), key="fresh", at=NOW + 60)
    assert place(firing("load", service="web"), [own, fresh], NOW + 61, SETTINGS).problem is own


def test_labels_count_in_the_order_of_the_settings_and_empty_ones_not_at_all() -> None:
    other = [firing("x", host="h", service="web")]
    assert shared_label(firing("y", host="h", service="web"), other, ["service", "host"]) == (
        "service",
        "web",
    )
    assert shared_label(firing("y", host="h", service="db"), other, ["service", "host"]) == ("host", "h")
    assert shared_label(firing("y"), [firing("x")], ["service", "host"]) is None


def test_a_problem_fires_while_any_of_its_alerts_does() -> None:
    assert still_firing(problem(firing("a"), *over(firing("b"))))
    assert not still_firing(problem(*over(firing("a"))))

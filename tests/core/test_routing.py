"""Routes: hours, order, queues, whom to ask next, and one ticket for a storm."""

from dataclasses import replace
from datetime import UTC, datetime, time
from typing import Any

from aiops.core.expressions import Expression
from aiops.core.hours import Hours
from aiops.core.notify import GATHER_EVERY, LOOK_EVERY, Notice, Router, Told, after
from aiops.core.problem_change import ProblemChange
from aiops.core.routing import Route, Routes, Step
from aiops.model.lifecycle import ProblemState
from aiops.model.problem import NotifyReason as R
from aiops.model.problem import Problem
from aiops.model.signal import Severity

FRIDAY = datetime(2026, 11, 20, 10, tzinfo=UTC).timestamp()
OFFICE = Hours(frozenset(range(5)), time(9), time(17), "UTC")
SINKS = ["itsm", "chat", "oncall", "boss"]
TRUE = Expression("true")


def a_problem(number: int = 1, **other: Any) -> Problem:
    made = Problem(f"fw-{number}", opened=FRIDAY, title=f"fault {number}", id=number, severity=Severity.MAJOR)
    for name, value in other.items():
        setattr(made, name, value)
    return made


def router(*routes: Route, **other: Any) -> Router:
    return Router(Routes(routes, SINKS), **other)


def opened(problem: Problem, at: float = FRIDAY) -> ProblemChange:
    return ProblemChange(problem, "new", "open", problem.title, at, R.OPENED)


def said(notices: list[Notice]) -> list[tuple[str, str]]:
    return [(n.sink, str(n.reason)) for n in notices if not n.held]


class Desk:
    """A router and what it has told."""

    def __init__(self, router: Router) -> None:
        self.router = router
        self.told: dict[str, Told] = {}

    def hear(self, *changes: ProblemChange) -> list[Notice]:
        notices = self.router.messages(changes, self.told)
        self.told |= after(self.told, notices)
        return notices

    def look(self, at: float, *problems: Problem) -> list[Notice]:
        return self.hear(*self.router.reminders(problems, self.told, at))


def test_a_route_holds_in_its_hours_and_another_outside_of_them() -> None:
    desk = router(Route(TRUE, "itsm", during=OFFICE), Route(TRUE, "oncall", outside=OFFICE))
    night = FRIDAY + 12 * 3600
    assert said(desk.messages([opened(a_problem())], {})) == [("itsm", "opened")]
    assert said(desk.messages([opened(a_problem(), night)], {})) == [("oncall", "opened")]


def test_what_opened_at_night_is_told_in_the_morning_if_it_is_still_there() -> None:
    desk, problem = Desk(router(Route(TRUE, "chat", during=OFFICE))), a_problem()
    night = FRIDAY - 6 * 3600
    assert said(desk.hear(opened(problem, night))) == []
    assert said(desk.look(night + 60, problem)) == []
    assert said(desk.look(FRIDAY, problem)) == [("chat", "opened")]
    assert said(desk.look(FRIDAY + 60, problem)) == []
    over = a_problem(2, state=ProblemState.RESOLVED)
    assert said(desk.look(FRIDAY + 120, over)) == []


def test_the_last_route_ends_the_list_and_the_first_names_the_queue() -> None:
    desk = router(
        Route(Expression('problem.team == "net"'), "itsm", "Network", last=True), Route(TRUE, "itsm", "Rest")
    )
    (net,) = desk.messages([opened(a_problem(team="net"))], {})
    (rest,) = desk.messages([opened(a_problem(team="web"))], {})
    assert (net.queue, rest.queue) == ("Network", "Rest")


CHAIN = Route(TRUE, "itsm", steps=(Step(900.0, "oncall"), Step(1800.0, "boss")))


def escalated(problem: Problem, at: float) -> ProblemChange:
    problem.state = ProblemState.ESCALATED
    return ProblemChange(problem, "open", "escalated", "no playbook fits", at, R.ESCALATED)


def test_the_chain_is_asked_step_by_step() -> None:
    desk, problem = Desk(router(CHAIN)), a_problem()
    assert desk.router.routes.wait(problem) == 900.0
    desk.hear(opened(problem))
    asked = desk.hear(escalated(problem, FRIDAY + 60))
    assert said(asked) == [("itsm", "escalated"), ("oncall", "escalated")], "at once when a playbook failed"
    assert said(desk.look(FRIDAY + 1794, problem)) == []
    later = desk.look(FRIDAY + 1800, problem)
    assert said(later) == [("boss", "escalated")]
    assert later[0].why == "nobody has acknowledged it for 30 min: asking boss"
    assert said(desk.look(FRIDAY + 7200, problem)) == []


def test_an_acknowledgement_a_snooze_and_an_end_stop_the_chain() -> None:
    ends: list[dict[str, Any]] = [{"acknowledged": FRIDAY + 70}, {"snoozed_until": FRIDAY + 9000}]
    for change in [*ends, {"state": ProblemState.RESOLVED}]:
        desk, problem = Desk(router(CHAIN)), a_problem()
        desk.hear(opened(problem), escalated(problem, FRIDAY + 60))
        for name, value in change.items():
            setattr(problem, name, value)
        assert said(desk.look(FRIDAY + 3600, problem)) == [], change


def test_waiting_counts_only_in_the_hours_of_a_step() -> None:
    evening = datetime(2026, 11, 20, 16, 50, tzinfo=UTC).timestamp()
    monday = datetime(2026, 11, 23, 9, 5, tzinfo=UTC).timestamp()
    desk = router(Route(TRUE, "itsm", steps=(Step(900.0, "boss", OFFICE),)))
    assert desk.routes.wait(a_problem(opened=evening)) == monday - evening


def test_a_problem_that_comes_back_asks_the_chain_anew() -> None:
    desk, problem = Desk(router(CHAIN)), a_problem()
    desk.hear(opened(problem), escalated(problem, FRIDAY + 60))
    desk.look(FRIDAY + 1805, problem)
    back = FRIDAY + 9000
    problem.waited_from = back
    desk.hear(ProblemChange(problem, "resolved", "open", "back", back, R.REOPENED))
    desk.hear(escalated(problem, back + 900))
    assert said(desk.look(back + 1810, problem)) == [("boss", "escalated")]


def test_a_storm_is_one_ticket_above_the_cap_and_names_what_it_stands_for() -> None:
    desk = Desk(router(Route(TRUE, "itsm"), most=3, window=600.0))
    problems = [a_problem(n) for n in range(1, 11)]
    heard = [n for p in problems for n in desk.hear(opened(p, FRIDAY + p.id))]
    assert [n.problem.id for n in heard if not n.held] == [1, 2, 3, 4]
    host = heard[3]
    assert host.gathers
    assert said(desk.look(FRIDAY + 30, *problems)) == [], "not too often"
    (news,) = desk.look(FRIDAY + 4 + GATHER_EVERY, *problems)
    assert (news.problem.id, news.reason, news.gathered) == (
        4, R.UPDATED, tuple(f"fault {n}" for n in range(5, 11)),
    )  # fmt: skip
    assert said(desk.look(FRIDAY + 300, *problems)) == [], "nothing new"


def test_after_a_storm_what_is_still_there_gets_its_own_ticket_with_its_next_news() -> None:
    desk = Desk(router(Route(TRUE, "itsm"), most=1, window=600.0))
    problems = [a_problem(n) for n in range(1, 4)]
    for problem in problems:
        desk.hear(opened(problem))
    held = problems[2]
    worse = ProblemChange(held, "predicted", "active", "users notice", FRIDAY + 300, R.BREACHED)
    assert said(desk.hear(worse)) == []
    assert said(desk.hear(replace(worse, at=FRIDAY + 700))) == [("itsm", "opened")]
    over = ProblemChange(problems[1], "open", "resolved", "cleared", FRIDAY + 800, R.RESOLVED)
    assert said(desk.hear(over)) == [("itsm", "resolved")]


def test_what_is_held_is_held_with_all_that_is_said_of_it_at_once() -> None:
    desk = Desk(router(Route(TRUE, "itsm"), most=1))
    desk.hear(opened(a_problem(1)), opened(a_problem(2)))
    problem = a_problem(3)
    assert said(desk.hear(opened(problem), escalated(problem, FRIDAY))) == []


def test_messages_that_are_not_committed_leave_no_trace() -> None:
    desk = router(Route(TRUE, "itsm"), most=1)
    first = desk.messages([opened(a_problem(1)), opened(a_problem(2)), opened(a_problem(3))], {})
    again = desk.messages([opened(a_problem(1)), opened(a_problem(2)), opened(a_problem(3))], {})
    assert first == again
    assert [(n.held, n.gathers) for n in first] == [(False, False), (False, True), (True, False)]


def test_time_is_looked_at_now_and_then_only() -> None:
    desk, problem = router(CHAIN), a_problem()
    problem.state = ProblemState.ESCALATED
    assert desk.reminders([problem], {}, FRIDAY + 3600)
    assert desk.reminders([problem], {}, FRIDAY + 3600 + LOOK_EVERY / 2) == []

"""The choice of playbooks, their guards, and the ambiguity rule."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.config.playbooks import read_playbook
from aiops.core.playbook import Playbook
from aiops.core.remediate import (
    Refusal,
    Remediation,
    Resume,
    advance,
    detail_of,
    ending,
    escalation_of,
    history_seconds,
    on_resume,
    refused_by,
    rest,
)
from aiops.model.lifecycle import LIVE_RUN, AlertState, IllegalTransition, ProblemState, RunState
from aiops.model.problem import EscalationReason, Problem, Run, Step
from aiops.model.signal import Alert, AlertKind
from aiops.plugin import Action, Outcome

NOW = 10_000.0


def book(name: str = "fix", autonomy: str = "auto", match: str = "true", more: str = "") -> Playbook:
    return read_playbook(
        f"""\
playbook: {name}
match: '{match}'
autonomy: {autonomy}
target: "svc/{{{{ problem.labels.service }}}}"
guards: {{cooldown: 5m, max_runs: {{count: 3, per: 1h}}}}
steps:
  - act: {{action: command, argv: [echo, "{{{{ problem.title }}}}"]}}
verify: {{command: {{argv: [/bin/true]}}}}
{more}""",
        "x.yaml",
    )


def context(service: str = "web") -> dict[str, Any]:
    return {"title": "slow", "level": 2, "labels": {"service": service}}


def problem(number: int = 1, **values: Any) -> Problem:
    return Problem(f"p{number}", NOW, id=number, **values)


def decided(chooser: Remediation, number: int = 1, service: str = "web", now: float = NOW) -> Run:
    run = chooser.consider(problem(number), context(service), now)
    assert isinstance(run, Run), run
    return run


def stored(chooser: Remediation, number: int, now: float, *path: RunState, service: str = "web") -> Run:
    """A run that was queued at `now` and walked `path`, a second a step."""
    run = decided(chooser, number, service, now)
    run.id = 100 + number
    for place, to in enumerate(path, 1):
        advance(run, to, "test", now + place)
    chooser.note(run)
    return run


DONE = (RunState.RUNNING, RunState.VERIFYING, RunState.SUCCEEDED)


@pytest.mark.parametrize(
    ("enabled", "autonomy", "dry", "state"),
    [
        (False, "auto", True, RunState.QUEUED),
        (False, "approve", True, RunState.QUEUED),
        (True, "observe", True, RunState.QUEUED),
        (True, "suggest", True, RunState.QUEUED),
        (True, "approve", False, RunState.AWAITING_APPROVAL),
        (True, "auto", False, RunState.QUEUED),
    ],
)
def test_acts_only_where_it_may(enabled: bool, autonomy: str, dry: bool, state: RunState) -> None:
    playbook = book(autonomy=autonomy)
    run = decided(Remediation([playbook], enabled))
    assert (run.dry_run, run.state, run.autonomy) == (dry, state, autonomy)
    assert (run.target, run.revision, run.queued, run.problem_id) == ("svc/web", playbook.revision, NOW, 1)


def test_the_first_that_fits_decides() -> None:
    books = [book("other", match='problem.labels.service == "db"'), book("first"), book("second")]
    assert decided(Remediation(books, True)).playbook == "first"
    assert decided(Remediation(books, True), service="db").playbook == "other"
    assert Remediation(books[:1], True).consider(problem(), context(), NOW) is None
    assert Remediation([], True).consider(problem(), context(), NOW) is None


def test_a_condition_that_the_problem_cannot_answer_does_not_fit() -> None:
    chooser = Remediation([book(match='problem.labels.zone == "a"')], True)
    assert chooser.consider(problem(), context(), NOW) is None


def test_only_while_firing() -> None:
    chooser = Remediation([book()], True)
    assert chooser.consider(problem(state=ProblemState.RESOLVED), context(), NOW) is None
    quiet = Alert(AlertKind.LIMIT, (("__name__", "x"),), NOW, state=AlertState.RESOLVED)
    assert chooser.consider(problem(alerts=[quiet]), context(), NOW) is None
    firing = replace(quiet, state=AlertState.FIRING)
    assert isinstance(chooser.consider(problem(alerts=[quiet, firing]), context(), NOW), Run)


def test_a_problem_has_one_run_at_a_time_and_one_dry_run() -> None:
    live = Remediation([book()], True)
    run = stored(live, 1, NOW)
    assert live.consider(problem(1), context(), NOW) is None
    advance(run, RunState.EXPIRED, "never began", NOW + 1)
    live.note(run)
    assert isinstance(live.consider(problem(1), context(), NOW + 2), Run)

    dry = Remediation([book()], False)
    stored(dry, 1, NOW, RunState.RUNNING, RunState.SUCCEEDED)
    assert dry.consider(problem(1), context(), NOW + 999) is None
    assert isinstance(dry.consider(problem(2), context(), NOW), Run)


def test_considering_changes_nothing() -> None:
    chooser = Remediation([book()], True)
    assert decided(chooser) == decided(chooser)


def test_cool_down_is_per_target_and_ends() -> None:
    chooser = Remediation([book()], True)
    stored(chooser, 1, NOW, *DONE)
    refusal = chooser.consider(problem(2), context(), NOW + 63)
    assert isinstance(refusal, Refusal)
    assert refusal.reason is EscalationReason.REFUSED_BY_GUARD
    assert refusal.text == "fix acted on svc/web of late: its cool-down of 5m lasts another 4m"
    assert decided(chooser, 3, "db", NOW + 63).target == "svc/db"
    assert decided(chooser, 2, "web", NOW + 304).target == "svc/web"


def test_what_never_began_or_was_a_dry_run_needs_no_cool_down() -> None:
    chooser = Remediation([book()], True)
    stored(chooser, 1, NOW, RunState.EXPIRED)
    decided(chooser, 2)
    dry = Remediation([book()], False)
    stored(dry, 1, NOW, RunState.RUNNING, RunState.SUCCEEDED)
    dry.enabled = True
    assert not decided(dry, 2).dry_run


def test_a_run_under_way_on_the_target_is_waited_for() -> None:
    chooser = Remediation([book()], True)
    stored(chooser, 1, NOW, RunState.RUNNING)
    assert decided(chooser, 2).state is RunState.QUEUED


def test_budget_of_runs_is_over_all_targets_and_comes_back() -> None:
    chooser = Remediation([book()], True)
    for number in (1, 2, 3):
        stored(chooser, number, NOW, *DONE, service=f"s{number}")
    refusal = chooser.consider(problem(4), context("s4"), NOW + 60)
    assert isinstance(refusal, Refusal)
    assert refusal.text == "fix has used its 3 runs per 1h"
    decided(chooser, 4, "s4", NOW + 3604)


def test_the_budgets_of_two_playbooks_are_their_own() -> None:
    web, db = book("web", match='problem.labels.service == "web"'), book("db")
    chooser = Remediation([web, db], True)
    for number in (1, 2, 3):
        stored(chooser, number, NOW, *DONE, service=f"s{number}")
    assert decided(chooser, 9).playbook == "web"


def test_a_problem_it_cannot_be_made_for_is_refused_in_words() -> None:
    chooser = Remediation([book()], True)
    refusal = chooser.consider(problem(), {"title": "t", "labels": {}}, NOW)
    assert isinstance(refusal, Refusal)
    assert "target: " in refusal.text
    long = chooser.consider(problem(), {"title": "x" * 9_000, "labels": {"service": "web"}}, NOW)
    assert isinstance(long, Refusal)
    assert "problem.title is 9000 characters long" in long.text


def test_history_is_pruned_but_not_what_is_live() -> None:
    chooser = Remediation([book()], True)
    first = stored(chooser, 1, NOW, *DONE, service="a")
    waiting = stored(chooser, 2, NOW, service="b")
    late = NOW + 2 * history_seconds([book()])
    last = stored(chooser, 3, late, *DONE, service="c")
    assert {run.id for run in chooser.recent()} == {waiting.id, last.id}
    assert first.state is RunState.SUCCEEDED


def test_what_was_heard_counts_as_what_was_noted() -> None:
    chooser = Remediation([book()], True)
    run = stored(chooser, 1, NOW)
    chooser.heard(run.id, RunState.RUNNING, NOW + 1)
    chooser.heard(run.id, RunState.SUCCEEDED, NOW + 2)
    assert isinstance(chooser.consider(problem(2), context(), NOW + 3), Refusal)


@given(st.lists(st.sampled_from(list(RunState)), max_size=8))
def test_a_run_only_walks_the_table(path: list[RunState]) -> None:
    run = Run(1, "fix", "r", "svc/web", id=7)
    for at, to in enumerate(path, 1):
        before = replace(run)
        try:
            said = advance(run, to, "why", float(at))
        except IllegalTransition:
            assert repr(run) == repr(before)
            continue
        assert said == f"run 7: {before.state} => {to}: why"
        assert (run.ended == at) is (to not in LIVE_RUN)
    assert run.started != run.started or run.state is not RunState.QUEUED


def test_the_guards_look_at_the_run_itself_last() -> None:
    playbook = book()
    chooser = Remediation([playbook], True)
    run = stored(chooser, 1, NOW)
    assert refused_by(playbook, run, [run], NOW) == ""
    earlier = replace(run, id=1, state=RunState.FAILED, started=NOW - 50, ended=NOW - 40)
    assert rest(playbook, run, [run, earlier], NOW) == 260
    assert rest(playbook, run, [run, replace(earlier, target="svc/db")], NOW) == 0


class Probed(Action):
    note: str = "p"

    @property
    def target(self) -> str:
        return "t"

    def plan(self) -> str:
        return self.note

    async def run(self, key: str) -> Outcome:
        return Outcome(True)

    async def probe(self, key: str) -> bool | None:
        return True


class Blind(Action):
    @property
    def target(self) -> str:
        return "t"

    def plan(self) -> str:
        return "p"

    async def run(self, key: str) -> Outcome:
        return Outcome(True)


STEP = Step(1, 0, "act", "step", "p", NOW)


@pytest.mark.parametrize(
    ("step", "action", "expected"),
    [
        (None, None, Resume.REPEAT),
        (replace(STEP, phase="precheck"), Blind(), Resume.REPEAT),
        (replace(STEP, phase="verify"), Blind(never_retry=True), Resume.REPEAT),
        (STEP, Blind(idempotent=True), Resume.REPEAT),
        (STEP, Probed(idempotent=True), Resume.REPEAT),
        (STEP, Probed(), Resume.PROBE),
        (STEP, Blind(), Resume.INTERRUPT),
        (STEP, Probed(never_retry=True), Resume.INTERRUPT),
        (STEP, None, Resume.INTERRUPT),
        (STEP, Probed(note="another plan by now", idempotent=True), Resume.INTERRUPT),
        (replace(STEP, phase="rollback"), Blind(), Resume.INTERRUPT),
    ],
)
def test_the_ambiguity_rule(step: Step | None, action: Action | None, expected: Resume) -> None:
    assert on_resume(step, action) is expected


def test_the_named_reason_is_read_back_from_the_text() -> None:
    for reason in EscalationReason:
        run = Run(1, "fix", "r", "t", reason=ending(reason, "the details: all"))
        assert escalation_of(run) is reason
        assert detail_of(run) == "the details: all"
    plain = Run(1, "fix", "r", "t", reason="the problem resolved")
    assert escalation_of(plain) is None
    assert detail_of(plain) == "the problem resolved"

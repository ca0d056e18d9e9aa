"""Autonomy: what a playbook has earned, by which evidence, and how soon it is lost."""

import pytest

from aiops.core.autonomy import Evidence, evidence_of, learnt, level, start
from aiops.core.endings import ending
from aiops.core.playbook import Earning
from aiops.core.remediate import Remediation
from aiops.model.autonomy import Autonomy, Standing
from aiops.model.lifecycle import RunState
from aiops.model.problem import EscalationReason, Problem, Run
from tests.core.test_remediate import NOW, book, context

OBSERVE, SUGGEST, APPROVE, AUTO = Autonomy
TWO = Earning(after=2)
FROM_BELOW = Earning.model_validate({"from": "observe", "after": 2})


def run(state: RunState = RunState.SUCCEEDED, **values: object) -> Run:
    made = Run(1, "fix", "r", "svc/web", state=state, dry_run=False, started=NOW, id=7)
    for name, value in values.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize(
    ("one", "verified", "said"),
    [
        (run(), True, Evidence.PROVED),
        (run(), False, None),
        (run(dry_run=True), False, Evidence.PLANNED),
        (run(RunState.FAILED, dry_run=True), False, None),
        (run(RunState.FAILED, reason=ending(EscalationReason.VERIFY_FAILED, "")), False, Evidence.FAILED),
        (run(RunState.ROLLED_BACK, reason=ending(EscalationReason.STEP_FAILED, "")), False, Evidence.FAILED),
        (run(RunState.INTERRUPTED, reason=ending(EscalationReason.INTERRUPTED, "")), False, Evidence.FAILED),
        (run(RunState.FAILED, reason=ending(EscalationReason.PRECHECK_FAILED, "")), False, None),
        (run(RunState.FAILED, reason=ending(EscalationReason.REFUSED_BY_GUARD, "")), False, None),
        (
            run(RunState.EXPIRED, reason=ending(EscalationReason.APPROVAL_REFUSED, "")),
            False,
            Evidence.REFUSED,
        ),
        (run(RunState.EXPIRED, reason=ending(EscalationReason.APPROVAL_EXPIRED, "")), False, None),
    ],
)
def test_what_a_run_says(one: Run, verified: bool, said: Evidence | None) -> None:
    assert evidence_of(one, verified) is said


def climbed(standing: Standing, *evidence: Evidence, most: str = "auto") -> Standing:
    for place, piece in enumerate(evidence):
        standing = learnt(standing, piece, book(autonomy=most), TWO, run(), NOW + place)
    return standing


def test_from_observing_to_acting_by_itself_and_back() -> None:
    plan, proof, failure = Evidence.PLANNED, Evidence.PROVED, Evidence.FAILED
    now = Standing(OBSERVE)
    assert climbed(now, plan).level is OBSERVE
    now = climbed(now, plan, plan)
    assert (now.level, now.streak) == (SUGGEST, 0)
    assert climbed(now, plan, plan, plan).level is SUGGEST, "plans prove no more than that it can be made"
    now = climbed(now, proof, proof)
    assert now.level is APPROVE
    assert climbed(now, proof, Evidence.REFUSED, proof).level is APPROVE, "a refusal begins the count anew"
    now = climbed(now, proof, proof)
    assert (now.level, now.reason) == (AUTO, "2 verified repairs in a row, the last by run 7")
    assert climbed(now, proof, proof, proof).level is AUTO
    now = climbed(now, failure)
    assert (now.level, now.streak, now.reason) == (APPROVE, 0, "run 7 failed")
    assert climbed(now, failure, failure, failure).level is OBSERVE


def test_the_file_says_how_far_at_the_most() -> None:
    proof = Evidence.PROVED
    assert climbed(Standing(SUGGEST), *[proof] * 9, most="approve").level is APPROVE
    assert level(book(autonomy="approve"), AUTO, TWO) is APPROVE
    assert start(book(autonomy="auto"), TWO) is AUTO
    assert start(book(autonomy="auto"), FROM_BELOW) is OBSERVE
    own = book(autonomy="auto", more="earn: {from: approve}")
    assert start(own, FROM_BELOW) is APPROVE


def test_what_a_person_fixed_stays() -> None:
    fixed = Standing(APPROVE, pinned_by="ana")
    assert climbed(fixed, *[Evidence.PROVED] * 5).level is APPROVE
    assert climbed(fixed, Evidence.FAILED).level is APPROVE


@pytest.mark.parametrize(
    ("stored", "state", "dry"),
    [
        (OBSERVE, RunState.QUEUED, True),
        (SUGGEST, RunState.QUEUED, True),
        (APPROVE, RunState.AWAITING_APPROVAL, False),
        (AUTO, RunState.QUEUED, False),
    ],
)
def test_what_is_earned_decides_what_a_run_may(stored: Autonomy, state: RunState, dry: bool) -> None:
    chooser = Remediation([book()], enabled=True)
    chooser.trust({("fix", "web"): stored})
    problem = Problem("p", NOW, id=1)
    made = chooser.consider(problem, context("web"), NOW)
    assert isinstance(made, Run)
    assert (made.state, made.dry_run, made.autonomy, made.service) == (state, dry, stored.value, "web")
    other = chooser.consider(problem, context("db"), NOW)
    assert isinstance(other, Run)
    assert other.autonomy == "auto", "each service by itself"
    asked = chooser.asked(problem, context("web"), "fix", "ana", NOW)
    assert isinstance(asked, Run)
    assert (asked.dry_run, asked.asked_by) == (False, "ana")
    assert asked.state is (RunState.QUEUED if stored is AUTO else RunState.AWAITING_APPROVAL)

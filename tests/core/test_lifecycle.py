"""The table of states: what is not written in it cannot happen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.model.lifecycle import (
    LEGAL,
    LIVE_RUN,
    AlertState,
    DeliveryState,
    IllegalTransition,
    ProblemState,
    RunState,
    Stage,
    State,
    check,
    sentence,
)

FIRST: dict[type[State], State] = {
    AlertState: AlertState.PENDING,
    ProblemState: ProblemState.OPEN,
    Stage: Stage.PREDICTED,
    RunState: RunState.QUEUED,
    DeliveryState: DeliveryState.DUE,
}
ALL = [state for kind in FIRST for state in kind]
states = st.sampled_from(ALL)


def legal(state: State) -> frozenset[State]:
    return LEGAL[type(state)][state]


def reachable(start: State) -> set[State]:
    seen, ahead = {start}, [start]
    while ahead:
        for to in legal(ahead.pop()):
            if to not in seen:
                seen.add(to)
                ahead.append(to)
    return seen


def test_every_state_of_every_entity_is_in_the_table() -> None:
    assert set(LEGAL) == set(FIRST)
    assert all(set(LEGAL[kind]) == set(kind) for kind in FIRST)


@pytest.mark.parametrize("kind", FIRST)
def test_every_state_can_be_reached_from_the_first(kind: type[State]) -> None:
    everything = set(kind)
    if kind is RunState:
        assert reachable(RunState.QUEUED) | {RunState.AWAITING_APPROVAL} == everything
    else:
        assert reachable(FIRST[kind]) == everything


@given(states)
def test_every_state_can_still_end(state: State) -> None:
    ends = {
        AlertState.RESOLVED,
        ProblemState.RESOLVED,
        Stage.ACTIVE,
        DeliveryState.SENT,
        *(s for s in RunState if s not in LIVE_RUN),
    }
    assert reachable(state) & ends


@given(states, states)
def test_the_check_is_the_table(current: State, to: State) -> None:
    """Also across entities, some of whose states are called by the same word."""
    if type(current) is type(to) and to in legal(current):
        check(current, to)
    else:
        with pytest.raises(IllegalTransition, match=str(current)):
            check(current, to)


def test_no_transition_leads_out_of_its_entity_or_stands_still() -> None:
    for current in ALL:
        assert all(type(to) is type(current) and to is not current for to in legal(current))


def test_only_live_runs_can_go_on() -> None:
    assert {state for state in RunState if legal(state)} == LIVE_RUN


def test_a_transition_reads_as_a_sentence() -> None:
    said = sentence("problem", 42, ProblemState.OPEN, ProblemState.REMEDIATING, "playbook restart matched")
    assert said == "problem 42: open => remediating: playbook restart matched"

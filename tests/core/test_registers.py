"""What a step found, known to later steps: under which names, how much of it, and in tests and dry runs."""

import json
import math
from typing import Any

import pytest

from aiops.config.playbooks import PlaybookError, read_cases, read_playbook
from aiops.core.acts import BadArguments
from aiops.core.playbook import Playbook
from aiops.core.playbook_cases import failures, rehearsed
from aiops.core.registers import MAX_ITEMS, registered
from aiops.core.templates import MAX_VALUE
from aiops.plugin import Outcome

PROBLEM = {"title": "disk full", "labels": {"service": "web"}}


def book(steps: str, more: str = "") -> Playbook:
    return read_playbook(
        f"playbook: fix\nmatch: 'true'\ntarget: svc/web\nsteps:\n{steps}\n{more}",
        "x.yaml",
    )


LOOKS = """\
  - look: {action: http, url: "http://127.0.0.1:9/free", register: disk}
  - prune: {action: command, argv: [prune, "{{ disk.json.path }}"], when: "disk.json.free < 10"}
"""


def test_a_later_step_is_told_as_far_as_it_is_known_and_exactly_once_it_is() -> None:
    made = book(LOOKS)
    plans = [plan for _, plan in rehearsed(made, PROBLEM)]
    assert plans[1] == "command, by what disk will tell"
    found = {"disk": {"json": {"path": "/var/log", "free": 3}}}
    assert [plan for _, plan in rehearsed(made, PROBLEM, found)][1].startswith("run prune /var/log")
    found = {"disk": {"json": {"path": "/var/log", "free": 30}}}
    assert [p for _, p in rehearsed(made, PROBLEM, found)][
        1
    ] == "left out, as `disk.json.free < 10` does not hold"


def test_what_was_found_is_text_in_an_argument_and_never_a_template_again() -> None:
    evil = "{{ problem.title }}; rm -rf / $(id)"
    found = {"problem": PROBLEM, "disk": {"json": {"path": evil, "free": 3}}}
    (_, prune) = book(LOOKS).acts("step")
    assert prune.build(found).model_dump()["argv"] == ["prune", evil]


def test_a_condition_that_what_was_found_cannot_answer_is_a_failure_and_not_a_no() -> None:
    (_, prune) = book(LOOKS).acts("step")
    with pytest.raises(BadArguments, match=r"prune: 'disk\.json\.free < 10'"):
        prune.wanted({"problem": PROBLEM, "disk": registered(Outcome(True, "it had been done"))})
    (guarded,) = book(
        """\
  - look: {action: wait, seconds: 1s, register: disk}
  - act: {action: wait, seconds: 1s, when: "disk.done && disk.free < 10"}"""
    ).acts("step")[1:]
    assert not guarded.wanted({"problem": PROBLEM, "disk": registered(None)})


@pytest.mark.parametrize(
    ("steps", "more", "line", "said"),
    [
        (
            '  - a: {action: command, argv: ["{{ disk.path }}"]}',
            "",
            5,
            "speaks of `disk`, which is not known",
        ),
        ("  - a: {action: wait, seconds: 1s, when: 'disk.ok', register: disk}", "", 5, "speaks of `disk`"),
        (
            "  - a: {action: wait, seconds: 1s, register: disk}\n"
            "  - b: {action: wait, seconds: 1s, register: disk}",
            "",
            6,
            "two steps register 'disk'",
        ),
        ("  - a: {action: wait, seconds: 1s, register: problem}", "", 5, "has a meaning of its own"),
        ("  - a: {action: wait, seconds: 1s, register: Not-A-Name}", "", 5, "lower-case letters"),
        (
            "  - a: {action: wait, seconds: 1s, register: disk}",
            'precheck: {command: {argv: ["{{ disk.path }}"]}}',
            6,
            "speaks of `disk`",
        ),
        (
            "  - a: {action: wait, seconds: 1s}",
            'escalate: {note: "{{ probem.title }}"}',
            6,
            "speaks of `probem`",
        ),
    ],
)
def test_a_name_that_is_not_known_there_is_pointed_at(steps: str, more: str, line: int, said: str) -> None:
    with pytest.raises(PlaybookError, match=said) as caught:
        book(steps, more)
    assert caught.value.line == line


def test_proof_and_rollback_know_what_the_steps_found() -> None:
    made = book(
        "  - look: {action: wait, seconds: 1s, register: before}",
        'verify: {command: {argv: [check, "{{ before.size }}"]}}\n'
        'rollback: [{back: {action: command, argv: [restore, "{{ before.size }}"], when: before.ok}}]',
    )
    assert made.registers == {"before"}
    (verify,) = made.acts("verify")
    assert verify.asks == {"before"}


def test_cases_say_what_steps_are_taken_to_have_found() -> None:
    text = """\
cases:
  - name: it is full
    problem: {labels: {service: web}}
    registered: {disk: {json: {path: /var/log, free: 3}}}
    steps: ["GET http://127.0.0.1:9/free", "run prune /var/log, at most 30 s"]
  - name: a name that nothing registers
    problem: {labels: {service: web}}
    registered: {disc: {}}
"""
    full, wrong = read_cases(text, "x.test.yaml").cases
    made = book(LOOKS)
    plans = [
        plan for phase, plan in rehearsed(made, full.problem, full.registered) if phase.startswith("step")
    ]
    assert failures(made, full.model_copy(update={"steps": plans})) == []
    assert failures(made, wrong) == ["no step registers 'disc'"]


@pytest.mark.parametrize(
    "data",
    [
        {"text": "x" * 10_000_000},
        {"list": list(range(1_000_000))},
        {"nan": math.nan, "inf": math.inf, "nul": "a\x00b", "odd": object()},
        {"k" * 100_000: 1},
    ],
)
def test_what_is_kept_is_bounded_json(data: dict[str, Any]) -> None:
    kept = registered(Outcome(True, "y" * 100_000, data))
    text = json.dumps(kept, allow_nan=False)
    assert len(text) < 20 * MAX_VALUE + 10 * MAX_ITEMS
    assert kept["cut"]
    assert len(kept["output"]) == MAX_VALUE
    assert "\\u0000" not in text


def test_a_deep_answer_is_cut_and_not_recursed_into() -> None:
    deep: Any = 1
    for _ in range(5000):
        deep = [deep]
    kept = registered(Outcome(True, "", {"deep": deep}))
    assert kept["cut"]
    assert len(json.dumps(kept)) < 200


def test_a_step_that_was_left_out_has_a_value_too() -> None:
    assert registered(None) == {"done": False, "ok": False, "output": "", "cut": False}
    assert registered(Outcome(True, "fine", {"rows": 2}))["rows"] == 2

"""CEL conditions: compiled once, refused when they cannot mean what they say."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.core.expressions import MAX_LENGTH, Expression, ExpressionError

PROBLEM = {
    "level": 2,
    "labels": {"service": "web"},
    "evidence": [{"metric": "probe_success", "observed": 0.0}, {"metric": "load", "observed": 9.5}],
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("problem.level >= level.major", True),
        ("problem.level >= level.critical", False),
        ('problem.labels.service == "web"', True),
        ('problem.evidence.exists(e, e.metric == "probe_success" && e.observed == 0.0)', True),
        ("problem.evidence.all(e, e.observed > 1.0)", False),
        ("has(problem.labels.team)", False),
        ("true", True),
    ],
)
def test_conditions_over_a_problem(text: str, expected: bool) -> None:
    assert Expression(text).test({"problem": PROBLEM}) is expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("problem.level >=", "is no CEL"),
        ('problem.severity >= "major"', "level.major"),
        ('"major" < problem.severity', "level.major"),
        ("x" * (MAX_LENGTH + 1), "the most is"),
    ],
)
def test_what_cannot_be_meant_is_refused_when_it_is_read(text: str, said: str) -> None:
    with pytest.raises(ExpressionError, match=re.escape(said)):
        Expression(text)


@pytest.mark.parametrize(
    "text",
    [
        "problem.labels.team == 'x'",
        "problem.level",
        "nothing.here",
        "problem.level / (problem.level - 2) > 1",
    ],
)
def test_what_a_problem_lacks_raises_in_test_and_is_no_match(text: str) -> None:
    with pytest.raises(ExpressionError, match=re.escape(text[:7])):
        Expression(text).test({"problem": PROBLEM})
    assert not Expression(text).matches({"problem": PROBLEM})


def test_names_are_those_asked_of_the_context() -> None:
    names = Expression("status != 200 && problem.evidence.exists(e, e.observed > limit)").names
    assert names == {"status", "problem", "limit"}
    assert Expression("problem.level >= level.major").names == {"problem"}


@given(st.text(max_size=40))
def test_any_text_compiles_or_is_refused_in_words(text: str) -> None:
    said = "fine"
    try:
        Expression(text).matches({"problem": PROBLEM})
    except ExpressionError as why:
        said = str(why)
    assert said

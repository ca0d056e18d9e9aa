"""Series selectors: PromQL's own syntax, read and written without loss."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.model.selector import Matcher, Selector, SelectorError

names = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_.]{0,8}", fullmatch=True)
metrics = st.from_regex(r"[a-zA-Z_:][a-zA-Z0-9_:.]{0,8}", fullmatch=True)
values = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
patterns = values.map(re.escape) | st.sampled_from(["a|b", ".*", "x+", r"\d{2}", "[a-c]?", ""])
matchers = st.builds(Matcher, names, st.sampled_from(["=", "!="]), values) | st.builds(
    Matcher, names, st.sampled_from(["=~", "!~"]), patterns
)
selectors = st.builds(
    lambda name, rest: Selector(((Matcher("__name__", "=", name),) if name else ()) + tuple(rest)),
    st.none() | metrics,
    st.lists(matchers, max_size=4),
)


@given(selectors)
def test_what_is_written_is_read_back(selector: Selector) -> None:
    again = Selector.parse(str(selector))
    assert set(again.matchers) == set(selector.matchers)
    assert str(again) == str(selector)


@given(selectors, st.dictionaries(names | st.just("__name__"), values, max_size=4))
def test_a_selector_and_its_text_match_the_same(selector: Selector, labels: dict[str, str]) -> None:
    assert Selector.parse(str(selector)).matches(labels) == selector.matches(labels)


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused_in_words(text: str) -> None:
    said = "fine"
    try:
        Selector.parse(text)
    except SelectorError as why:
        said = str(why)
    assert said


@pytest.mark.parametrize(
    ("text", "labels", "expected"),
    [
        ("up", {"__name__": "up"}, True),
        ("up", {"__name__": "upper"}, False),
        ('{job="api"}', {"job": "api", "x": "y"}, True),
        ('{job=~"api|db"}', {"job": "db"}, True),
        ('{job=~"ap"}', {"job": "api"}, False),
        ('{job!="api"}', {}, True),
        ('{job=""}', {}, True),
        ('{job!~"a.*"}', {"job": "api"}, False),
        ("{job='it\\'s'}", {"job": "it's"}, True),
        ('{a="1", b="2",}', {"a": "1", "b": "2"}, True),
        ('up{path=~"\\\\d+"}', {"__name__": "up", "path": "42"}, True),
        ("{}", {}, True),
    ],
)
def test_matching_follows_prometheus(text: str, labels: dict[str, str], expected: bool) -> None:
    assert Selector.parse(text).matches(labels) is expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("up{job=api}", "column 4"),
        ('up{job="api"', "column 13"),
        ('up{job="api"} x', "column 14"),
        ('{job=~"("}', "bad regular expression"),
        ("sum(up)", "column 4"),
    ],
)
def test_a_bad_selector_is_refused_with_its_column(text: str, said: str) -> None:
    with pytest.raises(SelectorError, match=re.escape(said)):
        Selector.parse(text)

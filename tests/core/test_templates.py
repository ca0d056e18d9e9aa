"""Templates: what they fill in, and everything that they refuse, quickly."""

import time
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.core.templates import (
    MAX_OUTPUT,
    MAX_SOURCE,
    BadTemplate,
    check_template,
    render,
    render_all,
    texts,
)

CONTEXT: dict[str, Any] = {
    "problem": {
        "title": "web is slow",
        "labels": {"service": "web", "evil": "{{ 7 * 7 }}{% raw %}; rm -rf / $(id)"},
        "evidence": [{"metric": "up", "observed": 0.25}, {"metric": "latency", "observed": 2}],
    }
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain { text } with $dollars", "plain { text } with $dollars"),
        ("{{ problem.labels.service }}.service", "web.service"),
        ("{{ problem.evidence[0].observed * 100 }}", "25.0"),
        ("{{ problem.labels.zone | default('none') }}", "none"),
        ("{{ problem.evidence | map(attribute='metric') | join(', ') }}", "up, latency"),
        ("{% for e in problem.evidence %}{{ loop.index }}{{ e.metric }} {% endfor %}", "1up 2latency "),
        ("{% if problem.labels.service == 'web' %}a{% else %}b{% endif %}", "a"),
        ("{{ (problem.evidence | selectattr('metric', 'equalto', 'up') | first).observed }}", "0.25"),
        # What a label holds is text, never syntax
        ("{{ problem.labels.evil }}", "{{ 7 * 7 }}{% raw %}; rm -rf / $(id)"),
        ("line\n", "line\n"),
    ],
)
def test_fills_in(text: str, expected: str) -> None:
    assert render(text, CONTEXT) == expected


ATTACKS = [
    "{{ 'a' * 1000000000 }}",
    "{{ [0] * 1000000000 }}",
    "{{ problem.title + problem.title }}",
    "{{ '%0999999999d' % 1 }}",
    "{{ 9 ** 9 ** 9 ** 9 }}",
    "{{ 10 ** 10000000 }}",
    "{{ 'a' ~ 'b' }}",
    "{{ ().__class__.__mro__ }}",
    "{{ problem['__class__'] }}",
    "{{ problem | attr('__class__') }}",
    "{{ problem.evidence | map('attr', '__class__') | list }}",
    "{{ problem.evidence.append(1) }}",
    "{{ problem.labels.get('service') }}",
    "{{ lipsum(9999) }}",
    "{{ range(999999999) }}",
    "{{ cycler }}",
    "{{ 'a' | center(1000000000) }}",
    "{{ 'a' | indent(1000000000) }}",
    "{{ 'ab' | join('" + "x" * 1000 + "') }}",
    "{{ 'ab'" + " | join('xxxxxxxxxx')" * 100 + " }}",
    "{{ '\"'" + " | tojson" * 40 + " }}",
    "{% for a in problem.evidence %}{% for b in problem.evidence %}{% endfor %}{% endfor %}",
    "{% for a in problem.evidence recursive %}{{ loop(a) }}{% endfor %}",
    "{% set ns = 1 %}",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{% include '/etc/passwd' %}",
    "{% import 'os' as os %}",
    "{% extends 'x' %}",
    "{% filter upper %}x{% endfilter %}",
    "{{ " + "(" * 1900 + "1" + ")" * 1900 + " }}",
    "{{ " + "not " * 900 + "1 }}",
    "{{ problem" + " | list" * 500 + " }}",
    "{% if 1 %}" * 150 + "{% endif %}" * 150,
    "{{ problem.nothing }}",
    "{{ nothing }}",
    "{{ 1 / 0 }}",
    "{{ -problem.title }}",
    "{{ 'x",
    "{% wrong %}",
    "{{ '' }}" + "x" * MAX_SOURCE,
]


@pytest.mark.parametrize("text", ATTACKS, ids=lambda t: t[:40])
def test_refuses_at_once_and_says_why(text: str) -> None:
    begun = time.perf_counter()
    with pytest.raises(BadTemplate) as refusal:
        render(text, CONTEXT)
    assert time.perf_counter() - begun < 1.0
    assert len(str(refusal.value)) < 600


def test_names_the_filter_that_was_meant() -> None:
    with pytest.raises(BadTemplate, match=r"no filter `uper`; did you mean `upper`\?"):
        check_template("{{ problem.title | uper }}")


def test_output_has_a_cap() -> None:
    many = {"problem": {"evidence": [{"metric": "m" * 100}] * 1000}}
    with pytest.raises(BadTemplate, match=f"more than {MAX_OUTPUT} characters"):
        render("{% for e in problem.evidence %}{{ e.metric }}{% endfor %}", many)


def test_a_label_of_ten_megabytes_is_refused_by_its_name() -> None:
    huge = {"problem": {"labels": {"path": "x" * 10_000_000}, "title": "t"}}
    with pytest.raises(BadTemplate, match=r"problem\.labels\.path is 10000000 characters long"):
        render("{{ problem.title }}", huge)


def test_a_nul_in_a_label_is_refused() -> None:
    with pytest.raises(BadTemplate, match=r"problem\.labels\.path holds a NUL"):
        render("{{ problem.labels.path }}", {"problem": {"labels": {"path": "a\x00b"}}})


def test_renders_texts_at_any_depth_and_leaves_the_rest() -> None:
    value = {"a": ["{{ problem.title }}", 3, {"b": "{{ problem.labels.service }}"}], "c": None}
    assert render_all(value, CONTEXT) == {"a": ["web is slow", 3, {"b": "web"}], "c": None}
    assert dict(texts(value)) == {
        ("a", 0): "{{ problem.title }}",
        ("a", 2, "b"): "{{ problem.labels.service }}",
    }


@given(st.text(max_size=60))
def test_any_label_comes_out_as_it_went_in(label: str) -> None:
    context = {"problem": {"labels": {"x": label}}}
    if "\x00" in label:
        with pytest.raises(BadTemplate):
            render("<{{ problem.labels.x }}>", context)
    else:
        assert render("<{{ problem.labels.x }}>", context) == f"<{label}>"


@given(st.text(alphabet="{}%#| ()[].*'abefor-in_1~+", max_size=80))
def test_any_source_renders_or_is_refused(text: str) -> None:
    with suppress(BadTemplate):
        assert len(render("{{" + text, CONTEXT)) <= MAX_OUTPUT

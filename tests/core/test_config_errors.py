"""A bad file: every fault is named with line, column and key, and no secret is ever shown."""

import json
import string
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.config import Config
from aiops.config.complaint import Complaint, render
from aiops.config.read import PACKAGED, ConfigError, check, read

HOST = "sources: [{kind: host}]\n"


class Case(NamedTuple):
    """``text`` is `HOST` and more lines, so that the first line of it is line 2."""

    text: str
    line: int
    column: int
    key: str
    message: str
    hint: str = ""


CASES = {
    "unknown key": Case("sttore: x", 2, 1, "sttore", "unknown key `sttore`", "did you mean `store`?"),
    "unknown key, deep": Case(
        "alerting: {flapping: {cont: 3}}", 2, 23, "alerting.flapping.cont", "unknown key `cont`", "`count`"
    ),
    "unknown key, unlike any": Case("web: {zzz: 1}", 2, 7, "web.zzz", "unknown key `zzz`", "are: listen"),
    "python name of a key": Case(
        "limits: [{match: a, breach: {above: 1, for_x: 2s}}]", 2, 40, "limits[0].breach.for_x", "unknown key"
    ),
    "wrong type: text": Case("team: 12", 2, 7, "team", "expected text, got a number", "quotes"),
    "wrong type: list": Case("routes: all", 2, 9, "routes", "expected a list, got text", "`- `"),
    "wrong type: block": Case("web: 8750", 2, 6, "web", "expected a block of keys, got a number"),
    "wrong type: whole number": Case(
        "alerting: {fire: 2.5}", 2, 18, "alerting.fire", "expected a whole number"
    ),
    "wrong type: true or false": Case(
        "remediation: {enabled: maybe}", 2, 24, "remediation.enabled", "expected true or false"
    ),
    "too small": Case("alerting: {fire: 0}", 2, 18, "alerting.fire", "must be at least 1"),
    "query to a source that answers none": Case(
        "slis: [{name: a, of: {source: host, query: q}, breach: {above: 1}}]",
        2,
        44,
        "slis[0].of.query",
        "the source `host` answers no queries",
        "match",
    ),
    "bad duration": Case(
        "checkpoint_every: soon", 2, 19, "checkpoint_every", "expected a duration such as", ""
    ),
    "endless duration": Case("checkpoint_every: .inf", 2, 19, "checkpoint_every", "expected a duration"),
    "bad selector": Case(
        "limits: [{match: 'a{b=', breach: {above: 1}}]", 2, 18, "limits[0].match", 'expected label="value"'
    ),
    "bad regular expression": Case(
        """silences: [{match: '{a=~"["}', reason: x}]""", 2, 20, "silences[0].match", "bad regular expression"
    ),
    "unquoted selector": Case(
        'limits: [{match: {a=~"b"}, breach: {above: 1}}]', 2, 18, "limits[0].match", "quote the selector"
    ),
    "bad CEL": Case("routes: [{match: 'problem. &&', to: x}]", 2, 18, "routes[0].match", "is no CEL"),
    "words compared": Case(
        "routes: [{match: 'problem.severity > \"minor\"', to: x}]", 2, 18, "routes[0].match", "level.major"
    ),
    "CEL over something unknown": Case(
        "routes: [{match: 'alert.kind == \"x\"', to: x}]", 2, 18, "routes[0].match", "`alert` is not known"
    ),
    "unknown word": Case(
        "limits: [{match: a, breach: {above: 1}, severity: majr}]",
        2,
        51,
        "limits[0].severity",
        "expected one of info, minor, major, critical",
        "did you mean `major`?",
    ),
    "unknown kind": Case(
        "sinks:\n  - kind: webhok\n", 3, 11, "sinks[0].kind", "unknown kind `webhok`", "`webhook`"
    ),
    "kind of the other side": Case(
        "sinks: [{kind: host}]", 2, 16, "sinks[0].kind", "`host` is no sink", "there are: "
    ),
    "no kind": Case("sinks: [webhook]", 2, 9, "sinks[0]", "a sink is a block", "`{kind: webhook}`"),
    "missing": Case("slis:\n  - name: x\n    breach: {above: 1}\n", 3, 5, "slis[0].of", "`of` is missing"),
    "one of two": Case(
        "limits: [{match: a, breach: {}}]", 2, 29, "limits[0].breach", "give either above or below"
    ),
    "route to nobody": Case(
        "routes: [{to: itsm}]", 2, 15, "routes[0].to", "no sink is named 'itsm'", "sinks"
    ),
    "escalation to nobody": Case(
        "routes: [{to: itsm, escalate: {to: oncal}}]",
        2,
        36,
        "routes[0].escalate.to",
        "no sink is named 'oncal'",
    ),
    "SLI of nobody": Case(
        "slis: [{name: x, of: {source: prd, query: q}, breach: {above: 1}}]",
        2,
        31,
        "slis[0].of.source",
        "no source is named 'prd'",
        "`host`",
    ),
    "doubled key": Case("team: a\nteam: b\n", 3, 1, "team", "`team` is written twice", "line 2"),
    "unknown detector": Case(
        "detection: {detectors: [{kind: adaptiv}]}", 2, 32, "detection.detectors[0].kind", "unknown kind"
    ),
    "absent playbook": Case("playbooks: [none.yaml]", 2, 13, "playbooks[0]", "there is no file or folder"),
    "bad address": Case("web: {listen: localhost}", 2, 15, "web.listen", "an address and a port"),
    "bad store": Case("store: mysql://root:hunter2@db/x", 2, 8, "store", "expected sqlite:///"),
    "bad time zone": Case(
        "maintenance: [{start: 22:00, end: 23:00, timezone: Mars}]",
        2,
        52,
        "maintenance[0].timezone",
        "no time zone",
    ),
    "no such hours": Case(
        "sinks: []\nroutes: [{to: x, during: office}]", 3, 26, "routes[0].during", "no hours are named"
    ),
    "steps out of order": Case(
        "routes: [{to: x, escalate: [{after: 30m}, {after: 5m}]}]",
        2,
        28,
        "routes[0].escalate",
        "in the order of `after`",
    ),
    "a tag": Case("team: !env TEAM", 2, 7, "team", "a YAML tag that has no meaning"),
    "a key that is no text": Case("? [a]\n: 1\n", 2, 3, "", "a key must be text"),
    "a loop": Case("routes: &r [*r]", 2, 9, "routes[0]", "contains itself"),
    "tab": Case("web:\n\tlisten: x\n", 3, 1, "", "a tab in the indentation", "spaces"),
    "open quote": Case("team: 'a\nstore: b\n", 2, 7, "", "a quote is opened here and never closed"),
    "open bracket": Case("routes: [\n", 3, 1, "", "a value is missing here"),
    "two values on a line": Case("team: a: b\n", 2, 8, "", "cannot stand here"),
    "wrong indentation": Case("web:\n  listen: x\n nope: y\n", 4, 2, "", "does not fit the lines above"),
    "reserved character": Case("team: @home", 2, 7, "", "cannot begin with this character", "quote"),
    "no such anchor": Case("team: *home", 2, 7, "", "an alias"),
    "two documents": Case("---\nteam: b\n", 2, 1, "", "a second document"),
}


def faults(text: str, filename: str = "forewarn.yaml") -> list[Complaint]:
    config, complaints = check(text, filename)
    assert (config is None) == bool(complaints)
    return complaints


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_each_fault_is_named_where_it_is(case: Case) -> None:
    complaints = faults(HOST + case.text)
    found = [c for c in complaints if case.message in c.message]
    assert found, complaints
    where = found[0]
    assert (where.line, where.column, where.key) == (case.line, case.column, case.key)
    assert case.hint in where.hint


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("# nothing\n", "the file is empty"),
        ("- a\n", "expected keys and values"),
        ("team: x\n", "`sources` is missing"),
        ("sources: []\n", "needs at least 1"),
        ("a: \x00", "does not allow"),
        ("[" * 3000, "nested too deeply"),
        ("a: b\n" * 250_000, "the most is"),
    ],
)
def test_a_file_that_is_no_config_at_all(text: str, message: str) -> None:
    assert message in faults(text)[0].message


def test_all_faults_are_told_at_once_in_the_order_of_the_file() -> None:
    text = """
sources:
  - {kind: host, evry: 2s}
  - {kind: nope}
limits:
  - {match: 'a{', breach: {above: 1, below: 2}}
routes:
  - {to: nobody}
team: x
team: y
"""
    found = faults(text)
    assert [c.key for c in found] == [
        "sources[0].evry",
        "sources[1].kind",
        "limits[0].match",
        "limits[0].breach",
        "routes[0].to",
        "team",
    ]


def test_rendered_as_a_compiler_would() -> None:
    text = "sources:\n  - kind: host\n    evry: 2s\n"
    assert render(faults(text), text) == (
        "error: unknown key `evry`\n"
        " --> forewarn.yaml:3:5\n"
        "  |\n"
        "3 |     evry: 2s\n"
        "  |     ^^^^\n"
        "  = help: did you mean `every`?"
    )


def test_the_caret_stands_under_the_fault_after_a_tab() -> None:
    text = "sources: [{kind: host,\tevry: 2s}]\n"
    line, caret = render(faults(text), text).splitlines()[3:5]
    assert caret.replace("|", "1", 1).expandtabs().index("^") == line.expandtabs().index("evry")


def test_two_sources_of_one_name_are_refused() -> None:
    (found,) = faults("sources: [{kind: host}, {kind: host}]\n")
    assert (found.key, found.hint) == ("sources[1]", "give each a `name` of its own")


SECRETS = {
    "as text": "secret: hunter2hunter2",
    "as text in a block": "secret: {value: hunter2hunter2}",
    "as text below": "secret:\n      value: hunter2hunter2",
    "as a list": "secret: [hunter2hunter2]",
    "as a folded text": "secret: >-\n      hunter2hunter2\n    urll: x",
    "quoted, with braces": "secret: {envv: 'hunter2{hunter2'}",
    "with an open quote": "secret: 'hunter2hunter2",
    "as an alias": "secret: *hunter2hunter2",
    "doubled": "secret: {env: A}\n    secret: hunter2hunter2",
    "before another fault": "secret: {env: A, hunter2hunter2: 1}",
    "in the address": "secret: {env: A}\n    url: 'ftp://me:hunter2hunter2@x'",
    "of a third party": "api_key: hunter2hunter2",
    "two at once": "secret: {env: hunter2hunter2, file: hunter2hunter2}",
    "next to a broken value": "password: hunter2hunter2: x",
}


@pytest.mark.parametrize("written", SECRETS.values(), ids=SECRETS)
def test_a_secret_is_never_shown(written: str) -> None:
    text = HOST + f"sinks:\n  - kind: webhook\n    name: itsm\n    {written}\n"
    found = faults(text)
    shown = render(found, text) + "".join(c.message + c.hint for c in found)
    assert "hunter2" not in shown.replace("unknown key `hunter2hunter2`", "")


def test_a_secret_as_text_is_refused_with_the_way_to_write_it() -> None:
    text = HOST + "sinks: [{kind: webhook, url: 'https://x.example/', secret: hunter2}]\n"
    (found,) = faults(text)
    assert found.key == "sinks[0].secret"
    assert "{env: NAME}" in found.message


def test_the_error_carries_the_whole_text(tmp_path: Path) -> None:
    file = tmp_path / "forewarn.yaml"
    file.write_text("sources: [{kind: host, evry: 1s}]\nstor: x\n")
    with pytest.raises(ConfigError) as caught:
        read(file)
    assert str(caught.value).count("error: unknown key") == 2
    assert f"{file}:1:24" in str(caught.value)


DEFAULT = PACKAGED.read_text()
WORDS = [
    *("null", "{}", "[]", "[[]]", "true", "-1", "0", "1e400", ".nan", "12345678901234567890", "''", "*x"),
    *("&x 1", "!!binary x", "<<: {}", "? a", "- ", "{a: b", "'", "2024-99-99", "0x", "!!int z", "~", "%"),
    *(
        "{kind: host}",
        "{kind: []}",
        "{kind: webhook, secret: x}",
        "a{b=~'('}",
        "(a+)+",
        "\t",
        "\x85",
        "\ud7ff",
    ),
]


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """The packaged default after a few cuts, swaps and insertions of lines, words and characters."""
    lines = DEFAULT.splitlines()
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(lines) - 1))
        line = lines[at]
        match draw(st.integers(0, 6)):
            case 0:
                del lines[at : at + draw(st.integers(1, 4))]
                lines = lines or [""]
            case 1:
                lines[at] = line.partition(":")[0] + ": " + draw(st.sampled_from(WORDS))
            case 2:
                lines.insert(at, lines[draw(st.integers(0, len(lines) - 1))])
            case 3:
                place = draw(st.integers(0, len(line)))
                lines[at] = line[:place] + draw(st.text(string.printable, max_size=3)) + line[place + 1 :]
            case 4:
                lines[at] = " " * draw(st.integers(0, 6)) + line.lstrip()
            case 5:
                place = draw(st.integers(0, len(line)))
                lines[at] = line[:place] + draw(st.sampled_from(WORDS)) + line[place:]
            case _:
                lines[at] = draw(st.text(max_size=12)) + ": " + draw(st.sampled_from(WORDS))
    return "\n".join(lines)


@settings(max_examples=300, deadline=None)
@given(mutated())
def test_no_mutation_raises_anything_but_complaints(text: str) -> None:
    config, complaints = check(text, str(PACKAGED))
    assert (config is None) == bool(complaints)
    shown = render(complaints, text)
    lines = text.count("\n") + 1
    for one in complaints:
        assert one.message in shown
        assert 1 <= one.line <= lines + 1
        assert one.column >= 1


def _values() -> st.SearchStrategy[Any]:
    leaves = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8))
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    )


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(sorted(Config.model_fields)),
    _values(),
)
def test_no_value_of_any_key_raises_anything_but_complaints(key: str, value: Any) -> None:
    text = (HOST if key != "sources" else "") + f"{key}: {json.dumps(value)}\n"
    config, complaints = check(text, "forewarn.yaml")
    assert (config is None) == bool(complaints)
    render(complaints, text)

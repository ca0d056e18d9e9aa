"""Reading playbooks: what they become, and where the reader is pointed when they are wrong."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from aiops.config.playbooks import PlaybookError, load_playbooks, read_playbook
from aiops.core.acts import BadArguments
from aiops.core.playbook import Autonomy, Playbook

WHOLE = """\
playbook: restart-nginx
description: Restarts nginx.
match: 'problem.labels.service == "web"'
autonomy: auto
guards: {cooldown: 2m, max_runs: {count: 3, per: 1h}}
precheck: {http: {url: "http://127.0.0.1:8080/healthz", expect: "status != 200"}}
steps:
  - reload:
      action: command
      argv: [nginx, -s, reload, "{{ problem.title }}"]
      when: 'problem.level >= level.major'
  - restart: {action: service, manager: supervisor, name: "nginx:*", retry: {times: 2, wait: 5s}}
verify: {http: {url: "http://127.0.0.1:8080/healthz"}, times: 3, every: 2s, within: 60s}
rollback:
  - undo: {action: command, argv: ["/bin/true"]}
escalate: {to: oncall, note: "{{ problem.title }} stays"}
"""

SMALL = """\
playbook: small
match: 'true'
steps:
  - act: {action: command, argv: [/bin/true]}
"""

CONTEXT: dict[str, Any] = {"problem": {"title": "slow", "level": 2, "labels": {"service": "web"}}}


def test_a_whole_playbook() -> None:
    made = read_playbook(WHOLE, "x.yaml")
    assert (made.name, made.autonomy, made.text) == ("restart-nginx", Autonomy.AUTO, WHOLE)
    assert made.revision == hashlib.sha256(WHOLE.encode()).hexdigest()
    assert (made.guards.cooldown, made.guards.max_runs.count, made.guards.only_while_firing) == (120, 3, True)
    assert [(a.phase, a.name, a.kind) for a in made.all_acts()] == [
        ("precheck", "precheck", "http"),
        ("step", "reload", "command"),
        ("step", "restart", "service"),
        ("verify", "verify", "http"),
        ("rollback", "undo", "command"),
    ]
    reload_, restart = made.acts("step")
    assert reload_.when is not None
    assert reload_.when.test(CONTEXT)
    assert (restart.retry.times, restart.retry.wait) == (2, 5.0)
    assert "slow" in reload_.build(CONTEXT).plan()
    assert made.verify is not None
    assert (made.verify.times, made.verify.every, made.verify.within) == (3, 2.0, 60.0)


def test_the_smallest_playbook_waits_for_approval_and_is_guarded() -> None:
    made = read_playbook(SMALL, "x.yaml")
    assert made.autonomy is Autonomy.APPROVE
    assert made.guards.cooldown == 600
    assert made.target_of(CONTEXT) == "command//bin/true"


def test_the_target_is_the_template_or_the_first_steps_own() -> None:
    own = SMALL.replace("match:", 'target: "svc/{{ problem.labels.service }}"\nmatch:')
    assert read_playbook(own, "x.yaml").target_of(CONTEXT) == "svc/web"
    with pytest.raises(BadArguments, match=r"target: .*no attribute 'service'"):
        read_playbook(own, "x.yaml").target_of({"problem": {"labels": {}}})


def test_arguments_are_checked_again_once_rendered() -> None:
    text = SMALL.replace(
        "{action: command, argv: [/bin/true]}", '{action: service, name: "{{ problem.title }}"}'
    )
    (act,) = read_playbook(text, "x.yaml").acts("step")
    assert act.build({"problem": {"title": "nginx"}}).target == "service/nginx"
    for evil in ("-H evil", "a; reboot", "../x y", "$(id)", "a b"):
        with pytest.raises(BadArguments, match=r"act: name: .*service's name"):
            act.build({"problem": {"title": evil}})


FAULTS = [
    ("act: {action: comand, argv: [x]}", 4, "steps[0].act.action", "unknown action `comand`", "`command`"),
    ("act: {action: command, agrv: [x], argv: [y]}", 4, "steps[0].act.agrv", "no argument `agrv`", "`argv`?"),
    ("act: {action: command}", 4, "steps[0].act.argv", "needs `argv`", "argv: The program"),
    ("act: {action: command, argv: x}", 4, "steps[0].act.argv", "valid list", ""),
    ("act: {action: command, argv: [x], timeout: soon}", 4, "steps[0].act.timeout", "30s, 5m", ""),
    ("act: {action: command, argv: ['{{ oops']}", 4, "steps[0].act.argv[0]", "is no template", ""),
    ("act: {action: command, argv: ['{{ x | atr }}']}", 4, "steps[0].act.argv[0]", "no filter `atr`", ""),
    ("act: {action: command, argv: [x], expect: 'status ='}", 4, "steps[0].act.expect", "is no CEL", ""),
    ("act: {action: command, argv: [x], expect: '{{ 1 }}'}", 4, "steps[0].act.expect", "not a template", ""),
    (
        "act: {action: command, argv: [x], when: 'problm.level > 1'}",
        4,
        "steps[0].act.when",
        "`problm`",
        "`problem`?",
    ),
    (
        "act: {action: command, argv: [x], retry: {times: 1, wiat: 1s}}",
        4,
        "steps[0].act.retry.wiat",
        "unknown key",
        "`wait`?",
    ),
    ("act: {argv: [x]}", 4, "steps[0].act.action", "`action` is missing", ""),
    ("{action: command, argv: [x]}", 4, "steps[0]", "one name with its block", "- restart:"),
    ("Act One: {action: command, argv: [x]}", 4, "steps[0]", "lower-case", ""),
    (
        "act: {action: command, argv: [x], never_retry: true, retry: {times: 1}}",
        4,
        "steps[0].act.retry",
        "never_retry",
        "",
    ),
    (
        "act: {action: command, argv: [x], never_retry: true, idempotent: true}",
        4,
        "steps[0].act",
        "exclude",
        "",
    ),
    (
        "a: {action: command, argv: [x]}\n  - a: {action: command, argv: [y]}",
        5,
        "steps[1]",
        "two steps",
        "rename",
    ),
    ("a: {action: http, url: 'file:///etc/passwd'}", 4, "steps[0].a.url", "http://", ""),
]


@pytest.mark.parametrize(("step", "line", "key", "message", "hint"), FAULTS, ids=[f[0][:48] for f in FAULTS])
def test_a_wrong_step_is_pointed_at(step: str, line: int, key: str, message: str, hint: str) -> None:
    text = SMALL.replace("act: {action: command, argv: [/bin/true]}", step)
    with pytest.raises(PlaybookError) as refusal:
        read_playbook(text, "folder/x.yaml")
    why = refusal.value
    assert (why.file, why.line, why.key) == ("folder/x.yaml", line, key)
    assert message in why.message
    assert hint in why.hint
    assert f"folder/x.yaml:{line}" in str(why)


@pytest.mark.parametrize(
    ("more", "key", "message"),
    [
        ("autonomy: auto", "autonomy", "prove"),
        ("autonomy: always", "autonomy", "observe"),
        ("verify: {http: {url: 'http://x/'}, times: 9, every: 10s, within: 20s}", "verify", "do not fit"),
        ("verify: {times: 2}", "verify", "names one action"),
        ("precheck: {http: {url: 'http://x/'}, command: {argv: [x]}}", "precheck", "names one action"),
        ("precheck: {htp: {url: 'http://x/'}}", "precheck.htp", "unknown action `htp`"),
        ("precheck: {http: {ulr: 'http://x/', url: 'http://x/'}}", "precheck.http.ulr", "no argument"),
        ("precheck: {http: nothing}", "precheck.http", "block of keys"),
        ("guards: {cooldwn: 1s}", "guards.cooldwn", "unknown key"),
        ("guards: {max_runs: {count: 0, per: 1h}}", "guards.max_runs.count", "at least 1"),
        ("target: '{{ x'", "target", "is no template"),
        ("esclate: {to: x}", "esclate", "unknown key"),
    ],
)
def test_a_wrong_block_is_pointed_at(more: str, key: str, message: str) -> None:
    with pytest.raises(PlaybookError) as refusal:
        read_playbook(SMALL + more + "\n", "x.yaml")
    why = refusal.value
    assert (why.line, why.key) == (5, key)
    assert message in why.message


def test_every_fault_is_told_at_once() -> None:
    text = "playbook: X y\nmatch: 'problem. ='\nsteps: []\nnonsense: 1\n"
    with pytest.raises(PlaybookError) as refusal:
        read_playbook(text, "x.yaml")
    assert [c.line for c in refusal.value.complaints] == [1, 2, 3, 4]


@pytest.mark.parametrize("text", ["", "- a list", "{", "playbook: a\nplaybook: b\n", "just text"])
def test_what_is_no_playbook_at_all(text: str) -> None:
    with pytest.raises(PlaybookError):
        read_playbook(text, "x.yaml")


def test_folders_and_files_and_doubled_names(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text(SMALL)
    (tmp_path / "a.yml").write_text(WHOLE)
    (tmp_path / "notes.txt").write_text("not one")
    found = load_playbooks([tmp_path, tmp_path / "b.yaml"])
    assert [p.name for p in found] == ["restart-nginx", "small"]
    (tmp_path / "c.yaml").write_text(SMALL)
    with pytest.raises(PlaybookError, match=r"'small' is already defined in .*b\.yaml"):
        load_playbooks([tmp_path])


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(PlaybookError, match="there is no file or folder"):
        load_playbooks([tmp_path / "nowhere.yaml"])
    (tmp_path / "latin.yaml").write_bytes(b"playbook: caf\xe9")
    with pytest.raises(PlaybookError, match="no UTF-8"):
        load_playbooks([tmp_path])


def test_the_models_give_a_schema_for_editors() -> None:
    schema = Playbook.model_json_schema()
    assert schema["properties"]["match"] == {
        "description": "CEL over `problem`: the problems that it fits.",
        "format": "cel",
        "title": "Match",
        "type": "string",
    }
    assert set(schema["required"]) == {"playbook", "match", "steps"}
    described = [p for p in schema["properties"].values() if "description" in p]
    assert len(described) == len(schema["properties"])

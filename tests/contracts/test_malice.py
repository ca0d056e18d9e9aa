"""Malicious playbooks and labels on the paths that they really take: a clear refusal, at once, and no effect.

Whoever writes metrics, logs or alerts writes labels; whoever sends a merge request writes playbooks.
"""

import resource
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from aiops.config.playbooks import PlaybookError, read_playbook
from aiops.core.context import problem_context
from aiops.core.expressions import Expression, ExpressionError
from aiops.core.playbook import Playbook
from aiops.core.remediate import Refusal, Remediation
from aiops.model.lifecycle import RunState
from aiops.model.problem import Problem, Run
from aiops.model.series import labels_of
from aiops.model.signal import Severity
from aiops.store.database import Database
from tests.engine.run_fixtures import Bench
from tests.json_server import serving
from tests.making import NOW, firing

QUICK = 2.0
"""Seconds that anything here may take, on a machine that does much else."""
ROOM = 64 * 2**20
"""Bytes by which the process may grow at its peak."""


@contextmanager
def quick() -> Iterator[None]:
    """Fails when the block takes long or needs much memory."""
    began, peak = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert time.process_time() - began < QUICK
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak) * 1024 < ROOM


def book(step: str, match: str = "true", target: str = "svc/web", more: str = "") -> Playbook:
    text = (
        f"playbook: fix\nmatch: >-\n  {match}\ntarget: '{target}'\nautonomy: auto\n"
        f"guards: {{cooldown: 0s}}\nsteps:\n  - act: {step}\n"
        f"verify: {{command: {{argv: [/bin/true]}}, times: 1, every: 10ms, within: 1s}}\n{more}"
    )
    return read_playbook(text, "evil.yaml")


def decided(playbook: Playbook, **labels: str) -> Run | Refusal | None:
    """What the pipeline decides about a problem with these labels."""
    alert = firing("up", NOW, **labels)
    problem = Problem("fw-1", NOW, id=1, labels=labels_of(labels), alerts=[alert], severity=Severity.MAJOR)
    return Remediation([playbook], enabled=True).consider(problem, problem_context(problem), NOW)


async def ran(bench: Bench, playbook: Playbook, **labels: str) -> Run:
    """The run, queued as the pipeline does and carried out by a real worker."""
    bench.context = lambda: {"title": labels.get("title", "down"), "level": 2, "labels": labels}  # type: ignore[method-assign]
    run_id = bench.queue(playbook)
    async with bench.working():
        return await bench.until(run_id)


@pytest.fixture
def bench(migrated_file: Path, tmp_path: Path) -> Iterator[Bench]:
    shutil.copy(migrated_file, tmp_path / "forewarn.db")
    db = Database(f"sqlite:///{tmp_path / 'forewarn.db'}")
    yield Bench(db, tmp_path)
    db.close()


# -- playbooks


@pytest.mark.parametrize(
    "text",
    [
        "{{ problem.__class__.__mro__ }}",
        "{{ problem['__class__'] }}{{ ''.__class__ }}",
        "{{ self.__init__.__globals__ }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{{ lipsum() }}",
        "{% set x = 1 %}{{ x }}",
        "{% for a in problem.labels %}{% for b in problem.labels %}x{% endfor %}{% endfor %}",
        "{% include '/etc/passwd' %}",
        "{% import 'os' as os %}",
        "{{ 'x' * 1000000000 }}",
        "{{ 10 ** 10 ** 10 }}",
        "{{ problem.title | format(problem) }}",
        "{{ problem.title | attr('__class__') }}",
        "{{ 'a' ~ 'b' }}",
        "{{ '%1000000000s' | format(1) }}",
        "{{ config }}{{ request }}",
        "{{ ((((((((((" + "(" * 3000,
        "{{ problem.title" + " | upper" * 2000 + " }}",
    ],
)
def test_a_template_that_reaches_out_is_refused_when_it_is_read_or_made(text: str) -> None:
    quoted = text.replace("'", "''")
    with quick():
        try:
            made = book(f"{{action: command, argv: [echo, '{quoted}']}}")
        except PlaybookError:
            return
        decision = decided(made, service="web")
    assert isinstance(decision, Refusal), decision
    assert "cannot be made for this problem" in decision.text


TEN = "[0,1,2,3,4,5,6,7,8,9]"


@pytest.mark.parametrize(
    "text",
    [
        f"{TEN}.all(a, {TEN}.all(b, {TEN}.all(c, {TEN}.all(d, {TEN}.all(e, {TEN}.all(f, true))))))",
        "problem.evidence.map(a, problem.evidence.map(b, problem.evidence.map(c, c))).size() > 0",
        r'r"\" == "" || ' + f"{TEN}.all(a, {TEN}.all(b, {TEN}.all(c, true)))",
        "(" * 2000 + "true" + ")" * 2000,
        "[" * 2000 + "]" * 2000 + ".size() == 0",
        '"' + "a" * 10_000 + '" == ""',
        "problem.labels.service ==",
        "import('os')",
        "1",
    ],
)
def test_a_condition_that_is_a_bomb_or_none_is_refused_or_does_not_hold(text: str) -> None:
    with quick():
        try:
            decision = decided(book("{action: wait, seconds: 1s}", match=text), service="web")
        except PlaybookError:
            return
    assert decision is None


@pytest.mark.parametrize("times", [1, 2])
def test_loops_that_are_meant_still_are_conditions(times: int) -> None:
    inner = "a.observed < b.observed" if times == 2 else "a.observed > 0.0"
    loops = "problem.evidence.exists(a, " + ("problem.evidence.exists(b, " if times == 2 else "")
    made = Expression(loops + inner + ")" * times)
    seen = {"problem": {"evidence": [{"observed": 1.0}, {"observed": 2.0}]}}
    assert made.test(seen)


def test_a_condition_within_an_action_is_held_to_the_same() -> None:
    bomb = f"{TEN}.all(a, {TEN}.all(b, {TEN}.all(c, true)))"
    with pytest.raises(PlaybookError, match="loops"):
        book(f'{{action: wait, seconds: 1s, when: "{bomb}"}}')
    with pytest.raises(PlaybookError, match="loops"):
        book(f'{{action: command, argv: [echo], expect: "{bomb}"}}')


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("{action: command, argv: 'rm -rf /'}", "argv"),
        ("{action: shell, argv: [id]}", "unknown action"),
        ("{action: ../../etc/passwd}", "unknown action"),
        ("{action: os}", "unknown action"),
        ("{action: file_prune, under: /, files: ['*']}", "under"),
        ("{action: file_prune, under: /var/log/../.., files: ['*']}", "under"),
        ("{action: file_prune, under: /var/log/app, files: ['../*.log']}", "files"),
        ("{action: file_prune, under: /var/log/app, files: ['/etc/*']}", "files"),
        ("{action: http, url: 'file:///etc/passwd'}", "url"),
        ("{action: http, url: 'gopher://127.0.0.1:6379/_FLUSHALL'}", "url"),
        (
            "{action: sql, url: 'sqlite:////tmp/x', statement: 'DELETE FROM {{ problem.labels.service }}'}",
            "may not be a template",
        ),
        ("{action: command, argv: [id], retries: !!python/object/apply:os.system ['id']}", ""),
    ],
)
def test_an_action_that_is_no_good_is_refused_when_it_is_read(step: str, said: str) -> None:
    with quick(), pytest.raises(PlaybookError) as caught:
        book(step)
    assert said in str(caught.value)


def test_yaml_that_grows_is_refused() -> None:
    layers = "\n".join(
        f"  x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 9)}]" if n else "  x0: &x0 [lol, lol]" for n in range(12)
    )
    with quick(), pytest.raises(PlaybookError):
        read_playbook(f"playbook: fix\nmatch: 'true'\nbomb:\n{layers}\nsteps: *x11\n", "evil.yaml")


# -- labels

ECHO = '{action: command, argv: [/bin/sh, -c, printf %s "$1" > OUT, x, "{{ problem.labels.service }}"]}'


@pytest.mark.parametrize(
    "label",
    [
        "{{ problem.__class__ }}",
        "{{ 7 * 7 }}{% for x in problem %}{% endfor %}",
        "$(touch PWNED); `touch PWNED`; | touch PWNED && touch PWNED\ntouch PWNED",
        "'; DROP TABLE run; --",
        '"; touch PWNED; "',
        "-rf --no-preserve-root",
        "${jndi:ldap://127.0.0.1/x}",
        "\u202egnp.exe",
        "%s%s%n",
        "../../../../etc/passwd",
    ],
)
async def test_what_a_label_says_arrives_as_it_is_and_is_never_code(bench: Bench, label: str) -> None:
    label = label.replace("PWNED", str(bench.folder / "pwned"))
    run = await ran(bench, book(ECHO.replace("OUT", str(bench.folder / "out"))), service=label)
    assert run.state is RunState.SUCCEEDED, run.reason
    assert bench.text("out") == label
    assert not (bench.folder / "pwned").exists()


@pytest.mark.parametrize(
    ("step", "label", "said"),
    [
        ("{action: service, name: '{{ problem.labels.service }}', verb: restart}", "a; reboot", "name"),
        ("{action: service, name: '{{ problem.labels.service }}', verb: restart}", "--force", "name"),
        ("{action: k8s, verb: restart, name: '{{ problem.labels.service }}'}", "../../nodes/n1", "name"),
        (
            "{action: file_prune, under: '/var/log/{{ problem.labels.service }}', files: ['*.log']}",
            "../../etc",
            "under",
        ),
        (
            "{action: file_prune, under: /var/log/app, files: ['{{ problem.labels.service }}/*.log']}",
            "../../../etc",
            "files",
        ),
        ("{action: http, url: '{{ problem.labels.service }}'}", "file:///etc/passwd", "url"),
        ("{action: http, url: '{{ problem.labels.service }}'}", "http://0251.0376.0251.0376/", "url"),
        (
            "{action: command, argv: [echo, '{{ problem.labels.service }}']}",
            "x" * 10_000_000,
            "characters long",
        ),
    ],
)
def test_a_label_that_an_argument_cannot_be_is_refused(step: str, label: str, said: str) -> None:
    with quick():
        decision = decided(book(step), service=label)
    assert isinstance(decision, Refusal), decision
    assert said in decision.text
    assert len(decision.text) < 1000, "what is refused is not said at length"


def test_a_label_of_ten_megabytes_in_a_target_or_a_condition() -> None:
    huge = "x" * 10_000_000
    with quick():
        decision = decided(
            book("{action: wait, seconds: 1s}", target="svc/{{ problem.labels.service }}"), service=huge
        )
        assert isinstance(decision, Refusal)
        evil = "(a+)+$"
        slow = book("{action: wait, seconds: 1s}", match=f'problem.labels.service.matches("^{evil}")')
        assert decided(slow, service="a" * 1_000_000 + "!") is None


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://[::ffff:169.254.169.254]/",
        "http://2852039166/",
        "http://0xa9fea9fe/",
        "http://[fe80::1]/",
        "http://0.0.0.0:{port}/",
        "http://127.1:{port}/",
        "http://[::]:{port}/",
    ],
)
async def test_a_label_leads_a_request_to_no_closed_address(bench: Bench, url: str) -> None:
    with serving(lambda _: (200, {"secret": 1})) as server:
        port = server.url.rpartition(":")[2]
        step = '{action: http, url: "{{ problem.labels.url }}", timeout: 2s}'
        run = await ran(bench, book(step), url=url.replace("{port}", port))
    assert run.state is RunState.FAILED, run.reason
    assert server.asked == []


async def test_what_a_server_answers_is_no_template_and_no_code_either(bench: Bench) -> None:
    evil = "{{ problem.title }}$(touch " + str(bench.folder / "pwned") + ")"
    text = (
        "playbook: fix\nmatch: 'true'\ntarget: svc/web\nautonomy: auto\nguards: {cooldown: 0s}\nsteps:\n"
        '  - look: {action: http, url: "URL", register: found}\n'
        "  - act: {action: command, argv: [/bin/sh, -c, 'printf %s \"$1\" > OUT', x, "
        '"{{ found.json.name }}"]}\n'
        "verify: {command: {argv: [/bin/true]}, times: 1, every: 10ms, within: 1s}\n"
    )
    with serving(lambda _: (200, {"name": evil})) as server:
        made = text.replace("URL", server.url).replace("OUT", str(bench.folder / "out"))
        run = await ran(bench, read_playbook(made, "x.yaml"), service="web")
    assert run.state is RunState.SUCCEEDED, run.reason
    assert bench.text("out") == evil
    assert not (bench.folder / "pwned").exists()


def test_an_expression_within_the_bound_ends_soon_on_much_evidence() -> None:
    seen: dict[str, Any] = {"problem": {"evidence": [{"observed": float(n)} for n in range(300)]}}
    made = Expression("problem.evidence.all(a, problem.evidence.all(b, a.observed + b.observed >= 0.0))")
    began = time.process_time()
    assert made.test(seen)
    assert time.process_time() - began < QUICK
    with pytest.raises(ExpressionError, match="3 loops"):
        Expression("[1].all(a, [1].all(b, [1].all(c, true)))")

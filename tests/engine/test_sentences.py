"""What the engine writes, in Chinese: every form that code can write, and all that a real run did write."""

import ast
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

import aiops
from aiops.engine.engine import Engine
from aiops.store import tables
from aiops.web import language, sentences
from aiops.web.sentences import forms, told

HOUSE = Path(aiops.__file__).parent
WRITERS = [
    "core/words",
    "core/alerting",
    "core/brakes",
    "core/changes",
    "core/correlate",
    "core/drift",
    "core/handling",
    "core/inquiry",
    "core/problem_parts",
    "core/problem_regroup",
    "core/problem_ties",
    "core/problems",
    "core/recheck",
    "core/relearning",
    "core/remediate",
    "core/resume",
    "core/rootcause",
    "core/rootcause_apart",
    "core/rootcause_words",
    "core/similar",
    "core/autonomy",
    "core/log_shown",
    "core/log_news",
    "engine/interpret",
    "engine/run",
    "engine/attempt",
    "engine/lane",
    "engine/inbound",
    "engine/reconcile",
    "engine/because",
    "engine/answer",
    "engine/asking",
    "store/runs",
    "store/approvals",
    "store/outbox",
    "store/leases",
    "store/autonomy",
    "model/problem",
    "../detectors/adaptive",
    "../detectors/novelty",
    "../detectors/peers",
    "../detectors/residual",
]
"""Modules that write sentences which are stored and shown."""
NO_SENTENCES = {
    "no value",
    "{}for ever",
    "silent source",
    "new labels",
    "silent target",
    "log silence",
    "the logs",
    "new log pattern",
    "rare log pattern",
    "other steps",
    "run leases",
    "{}: cancelled by {}",
    "merged into",
    "split from",
    "an hour",
    "not have fired",
    "look normal",
    "plans that could be made",
    "verified repairs",
    "does not hold",
    "alike on all weekdays",
    "by weekday",
    "dry run",
    "same component",
    "same log pattern",
    "same limit",
    "same metric",
    "same likely cause",
    "not verified: the playbook has no verify",
    "{} by what people said of such problems",
    "which {} asked for",
    "would {} if {} {}",
    "had stayed at {}",
}
"""Names of rules and tasks, and parts of sentences whose wholes are there."""


@pytest.fixture(autouse=True)
def chinese() -> Iterator[None]:
    token = language._current.set("zh")
    yield
    language._current.reset(token)


def written(module: str) -> set[str]:
    """Texts of two words and more in a module's code, holes as ``{}``; not docs, errors, logs, schemas."""
    tree = ast.parse((HOUSE / f"{module}.py").read_text())
    skip: set[int] = set()
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) or _silent(node):
            skip |= {id(one) for one in ast.walk(node)}
        if isinstance(node, ast.JoinedStr):
            skip |= {id(part) for value in node.values for part in ast.walk(value)}
        if isinstance(node, ast.Expr):
            skip.add(id(node.value))
    for node in ast.walk(tree):
        if id(node) in skip:
            continue
        if isinstance(node, ast.JoinedStr):
            found.add("".join(str(v.value) if isinstance(v, ast.Constant) else "{}" for v in node.values))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value)
    words = {one.strip(" ;,()") for one in found if len(re.findall(r"(?<![A-Za-z])[a-z]{2,}", one)) > 1}
    return {one for one in words if re.match(r"[a-z{]", one) and " " in one and "\\" not in one}


def _silent(node: ast.AST) -> bool:
    """Calls whose texts nobody sees on a page."""
    if not isinstance(node, ast.Call):
        return False
    name = ast.unparse(node.func)
    return name.startswith("log.") or name in ("Field", "__import__", "sa.text", "re.compile")


def known(form: str) -> bool:
    """Whether it is translated with anything in its holes, or is one of which forms are instances."""
    if any(told(form.replace("{}", filling)) != form.replace("{}", filling) for filling in ("7", "ana")):
        return True
    shape = re.compile(".+".join(re.escape(part) for part in form.split("{}")))
    return any(shape.fullmatch(one) for one in _english())


def _english() -> list[str]:
    text = (language.ROOM / "engine.zh.po").read_text()
    return re.findall(r'^msgid "(.+)"$', text, re.M)


@pytest.mark.parametrize("module", WRITERS)
def test_every_sentence_that_code_writes_has_its_translation(module: str) -> None:
    unknown = {one for one in written(module) - NO_SENTENCES if len(one) < 300 and not known(one)}
    assert unknown == set()


def refused() -> set[str]:
    """Details of the 403, 409 and 422 that the web raises in words of its own, holes as ``{}``."""
    found = set()
    for path in (HOUSE / "web").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or ast.unparse(node.func) != "HTTPException":
                continue
            status, detail = node.args[0], node.args[-1]
            if ast.unparse(status) not in ("403", "409", "422"):
                continue
            if isinstance(detail, ast.JoinedStr):
                parts = (str(v.value) if isinstance(v, ast.Constant) else "{}" for v in detail.values)
                found.add("".join(parts))
            elif isinstance(detail, ast.Constant):
                found.add(str(detail.value))
    return found


def test_every_refusal_has_its_translation() -> None:
    assert len(refused()) > 15
    assert {one for one in refused() if told(one.replace("{}", "ana")) == one.replace("{}", "ana")} == set()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("there is no problem 42", "没有此问题：42"),
        (
            "cannot acknowledge a problem that is resolved; possible now: comment, reopen",
            "问题处于已解决状态，不能执行 acknowledge；现在可以：comment, reopen",
        ),
        (
            "RunState expired => queued; legal from here: nothing: it has ended",
            "运行不能由已过期变为排队中；它已结束",
        ),
        ("no playbook 'x' fits this problem; there are: a, b", "没有适用于此问题的剧本 'x'；现有：a, b"),
        ("ana has approved run 7 already", "ana 已批准过运行 7"),
        ("problem 3 was merged already", "问题 3 已被合并"),
    ],
)
def test_refusals_in_chinese(text: str, said: str) -> None:
    assert told(text) == said


def test_the_search_for_sentences_finds_them() -> None:
    assert "{} is {}, past its limit of {}" in written("core/words")
    assert "its alert cleared" in written("core/problems")
    assert not known("{} dances with {}")


def test_forms_are_whole() -> None:
    for form in forms("zh"):
        assert form.said, form.pattern.pattern
        holes = set(re.findall(r"\{(\w+)\}", form.said))
        assert holes == set(form.pattern.groupindex), form.said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("all 2 alerts cleared", "全部 2 条告警已解除"),
        (
            "db pool in use (pool orders) is 90.5 %, expected 21.9 % to 49.9 %",
            "db pool in use (pool orders) 为 90.5 %，预期 21.9 % 至 49.9 %",
        ),
        (
            "users notice: checkout errors is 1.67 %, its objective is 1 %; lead time 1 min 30 s",
            "用户已受影响：checkout errors 为 1.67 %，目标为 1 %；提前量 1 分钟 30 秒",
        ),
        ("snoozed for 8 h: the nightly import", "已暂缓 8 小时：the nightly import"),
        (
            "likely cause: checkout: latency rose from 157 ms to 532 ms, 54.7 x chance; "
            "what it calls looks normal",
            "可能原因：checkout：latency 由 157 毫秒升至 532 毫秒，偶然的 54.7 倍；它所调用的看起来正常",
        ),
        ("a playbook step failed: restart: exit status 1", "预案步骤失败：restart: exit status 1"),
        ("severity raised from minor to major", "严重程度由次要升为严重"),
        ("restart: run /bin/true --now, at most 30 s", "restart：执行 /bin/true --now，最多 30 秒"),
        ("somebody wrote this; it stays", "somebody wrote this; it stays"),
        ("<b>x</b> is 3, past its limit of 2", "<b>x</b> 为 3，已越过限值 2"),
        ("", ""),
    ],
)
def test_sentences_and_what_people_add_to_them(text: str, said: str) -> None:
    assert told(text) == said


def test_in_english_everything_stays_as_it_was_said() -> None:
    token = language._current.set("en")
    assert told("all 2 alerts cleared") == "all 2 alerts cleared"
    assert told(None) == ""
    language._current.reset(token)


@pytest.mark.parametrize(
    "piece", [" (joined: ", ": ", "; ", ". ", ", ", " is 1, expected ", " rose from 1 to "]
)
def test_no_text_takes_long(piece: str) -> None:
    text = (piece * sentences.LONGEST)[: sentences.LONGEST]
    begun = time.perf_counter()
    told(text)
    # milliseconds; the bound is for a machine that is busy
    assert time.perf_counter() - begun < 5


@pytest.mark.asyncio(loop_scope="module")
async def test_all_that_a_run_wrote_is_told_in_chinese(engine: Engine) -> None:
    columns = (tables.audit.c.reason, tables.problem.c.title, tables.problem.c.reason, tables.alert.c.reason)

    def read(conn: Connection) -> set[str]:
        return {text for one in columns for (text,) in conn.execute(sa.select(one).distinct()) if text}

    said = await engine.db.read(read)
    assert len(said) > 20
    assert {text for text in said if told(text) == text} == set()

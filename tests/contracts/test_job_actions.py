"""Rundeck, AWX and StackStorm (simulated, from their documented answers): start, look, end, refusals."""

from pathlib import Path
from typing import Any

import pytest

from aiops.plugin import Action, Fatal, NotConnected, Retryable
from tests.acting import action, secret
from tests.database import free_port
from tests.json_server import Asked, serving

KINDS: dict[str, dict[str, Any]] = {
    "awx": {"template": 7},
    "rundeck": {"job": "0f3c/x"},
    "stackstorm": {"ref": "shop.restart"},
}
STATES = {
    "awx": ["pending", "running", "successful", "canceled"],
    "rundeck": ["running", "running", "succeeded", "aborted"],
    "stackstorm": ["requested", "running", "succeeded", "abandoned"],
}
SHOWN = {
    "awx": ("Authorization", "Bearer s3cret"),
    "rundeck": ("X-Rundeck-Auth-Token", "s3cret"),
    "stackstorm": ("St2-Api-Key", "s3cret"),
}
pytestmark = pytest.mark.parametrize("kind", KINDS)


def job(kind: str, folder: Path, url: str, **values: Any) -> Action:
    return action(kind, url=url, token=secret(folder), every="10ms", **{**KINDS[kind], **values})


async def test_is_watched_until_it_ends(kind: str, tmp_path: Path) -> None:
    states = STATES[kind][:3]

    def answer(asked: Asked) -> tuple[int, Any]:
        if asked.method == "POST":
            return 201, {"id": 41}
        return 200, {"id": 41, "status": states.pop(0)}

    with serving(answer) as server:
        outcome = await job(kind, tmp_path, server.url).run("9:go")
    assert outcome.ok
    assert outcome.data["job"] == "41"
    assert outcome.data["state"] == STATES[kind][2]
    assert [one.method for one in server.asked] == ["POST", "GET", "GET", "GET"]
    name, value = SHOWN[kind]
    assert all({k.lower(): v for k, v in one.headers.items()}[name.lower()] == value for one in server.asked)
    assert all("0f3c/x" not in one.path for one in server.asked), "an id never adds to the path"


async def test_an_end_that_is_no_success(kind: str, tmp_path: Path) -> None:
    with serving(lambda a: (200, {"id": 1, "status": STATES[kind][3]})) as server:
        outcome = await job(kind, tmp_path, server.url).run("9:go")
    assert not outcome.ok
    assert STATES[kind][3] in outcome.output


async def test_a_runner_that_is_away_for_a_look_is_looked_at_again(kind: str, tmp_path: Path) -> None:
    answers = [(200, {"id": 1}), (503, "busy"), (200, {"status": STATES[kind][2]})]
    with serving(lambda _: answers.pop(0)) as server:
        assert (await job(kind, tmp_path, server.url).run("9:go")).ok


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((401, {}), "the token is not known there"),
        ((404, {"message": "no such job"}), "no such job"),
        ((200, "<html>sign in</html>"), "answered no JSON"),
        ((200, [1]), "answered no JSON object"),
        ((200, {"other": 1}), "holds no id"),
    ],
)
async def test_what_cannot_work_says_so(kind: str, answer: Any, words: str, tmp_path: Path) -> None:
    with serving(lambda _: answer) as server, pytest.raises(Fatal, match=words) as why:
        await job(kind, tmp_path, server.url).run("9:go")
    assert "s3cret" not in str(why.value)


async def test_busy_and_absent_may_be_tried_again(kind: str, tmp_path: Path) -> None:
    with serving(lambda _: (503, "later")) as server, pytest.raises(Retryable) as busy:
        await job(kind, tmp_path, server.url).run("9:go")
    assert not busy.value.ambiguous
    with pytest.raises(NotConnected):
        await job(kind, tmp_path, f"http://127.0.0.1:{free_port()}").run("9:go")


def test_an_address_that_is_none_is_refused(kind: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="begins with http"):
        job(kind, tmp_path, "file:///etc/passwd")

"""The sink `roundup` and a real Roundup tracker."""

import time
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from aiops.plugin import Fatal, Message, Sink
from aiops.plugin.load import load
from tests.e2e.roundup_server import ADMIN, ADMIN_PASSWORD, PASSWORD, USER, Roundup, roundup
from tests.ticket_servers import RoundupTickets

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("roundup")]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Roundup]:
    with roundup(tmp_path_factory.mktemp("roundup")) as running:
        yield running


@pytest.fixture
async def sink(server: Roundup, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sink]:
    monkeypatch.setenv("ROUNDUP_PASSWORD", PASSWORD)
    made = a_sink(server)
    yield made
    await made.close()


def a_sink(server: Roundup, **other: object) -> Sink:
    block = {"name": "tracker", "url": server.url, "user": USER, "password": {"env": "ROUNDUP_PASSWORD"}}
    return load("connectors", "roundup", Sink).model_validate({**block, "timeout": 15, **other})  # type: ignore[type-abstract]


def say(key: str, seq: int = 1, reason: str = "opened", attempt: int = 1) -> Message:
    body = {"title": "Festplatte läuft voll", "summary": "It fills.", "severity": "major", "why": f"so {seq}"}
    return Message(f"m-{key}-{seq}", key, reason, time.time(), body, seq, time.time(), attempt)


async def test_a_story_is_told_once_however_often_it_is_repeated(sink: Sink, server: Roundup) -> None:
    tracker = RoundupTickets(server)
    assert await sink.find("fw-a") is None
    made = await sink.create(say("fw-a"))
    assert await sink.find("fw-a") == made
    for attempt in (1, 2, 3):
        await sink.update(made.ref, say("fw-a", 2, "updated", attempt))
    for attempt in (1, 2):
        await sink.update(made.ref, say("fw-a", 3, "resolved", attempt))
    assert tracker.heard()["fw-a"] == [[1, 2, 3]]
    assert tracker.status(made.ref) == "resolved"
    await sink.update(made.ref, say("fw-a", 4, "reopened"))
    assert tracker.status(made.ref) == "chatting"


async def test_a_create_whose_first_half_was_done_is_completed(sink: Sink, server: Roundup) -> None:
    await sink._said(say("fw-half"), "[fw-half#1]")  # type: ignore[attr-defined]
    assert await sink.find("fw-half") is None
    made = await sink.create(say("fw-half", attempt=2))
    assert await sink.find("fw-half") == made
    assert RoundupTickets(server).heard()["fw-half"] == [[1]]


async def test_a_priority_that_follows_is_kept_in_step(sink: Sink, server: Roundup) -> None:
    following = a_sink(server, follow=["priority"])
    made = await following.create(say("fw-follow"))
    worse = say("fw-follow", 2, "updated")
    worse.body["severity"] = "critical"
    await following.update(made.ref, worse)
    shown = await sink._rest("GET", f"/issue/{made.ref}", query={"@verbose": "2"})  # type: ignore[attr-defined]
    assert shown.object()["data"]["attributes"]["priority"]["name"] == "critical"
    await following.close()


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"user": "nobody"}, r"401.*check the secret"),
        ({"priorities": {"major": "blocker"}}, r"40\d.*blocker"),
    ],
)
async def test_what_is_set_up_wrongly_is_said(
    sink: Sink, server: Roundup, other: dict[str, object], words: str
) -> None:
    wrong = a_sink(server, **other)
    with pytest.raises(Fatal, match=words):
        await wrong.create(say("fw-wrong"))
    assert await sink.find("fw-wrong") is None
    await wrong.close()


def put(server: Roundup, path: str, **fields: object) -> dict[str, object]:
    """As the tracker's administrator, a person here."""
    own = {"x-requested-with": "test", "origin": server.url, "referer": f"{server.url}/", "if-match": ""}
    with httpx.Client(auth=(ADMIN, ADMIN_PASSWORD), trust_env=False, timeout=30, headers=own) as person:
        url = f"{server.api}/data{path}"
        if path == "/msg":
            return dict(person.post(url, json=fields).raise_for_status().json()["data"])
        etag = person.get(url).raise_for_status().headers["etag"]
        return dict(
            person.put(url, json=fields, headers={"if-match": etag}).raise_for_status().json()["data"]
        )


async def test_what_people_do_comes_back_and_what_we_do_does_not(sink: Sink, server: Roundup) -> None:
    since = time.time() - 5

    async def heard() -> set[tuple[str, str, str]]:
        return {(c.kind, c.by, c.text) async for c in sink.changes(since) if c.ref == made.ref}

    made = await sink.create(say("fw-two"))
    await sink.update(made.ref, say("fw-two", 2, "updated"))
    assert await heard() == set()
    put(server, f"/issue/{made.ref}", status="resolved", assignedto=ADMIN)
    assert await heard() == {("closed", ADMIN, "now resolved in Roundup"), ("assigned", ADMIN, ADMIN)}
    assert await heard() == set(), "told once"
    said = put(server, "/msg", content="was the disk", author=ADMIN, date=".")["id"]
    put(server, f"/issue/{made.ref}", messages=[*await messages(sink, made.ref), said])
    assert ("commented", ADMIN, "was the disk") in await heard()
    await sink.update(made.ref, say("fw-two", 3, "reopened"))
    await heard()
    put(server, f"/issue/{made.ref}", status="resolved")
    assert ("closed", ADMIN, "now resolved in Roundup") in await heard()


async def messages(sink: Sink, ref: str) -> list[str]:
    answer = await sink._rest("GET", f"/issue/{ref}")  # type: ignore[attr-defined]
    return [one["id"] for one in answer.object()["data"]["attributes"]["messages"]]


@pytest.mark.parametrize("status", ["resolved", "done-cbb"])
async def test_what_a_person_has_closed_is_not_opened_by_our_words(
    sink: Sink, server: Roundup, status: str
) -> None:
    made = await sink.create(say(f"fw-closed-{status}"))
    put(server, f"/issue/{made.ref}", status=status)
    await sink.update(made.ref, say(f"fw-closed-{status}", 2, "resolved"))
    assert RoundupTickets(server).status(made.ref) == status
    await sink.update(made.ref, say(f"fw-closed-{status}", 3, "updated"))
    assert RoundupTickets(server).status(made.ref) == status
    assert RoundupTickets(server).heard()[f"fw-closed-{status}"] == [[1, 2, 3]]

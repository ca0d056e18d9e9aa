"""The sink `request_tracker` and a real Request Tracker."""

import base64
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import pytest

from aiops.plugin import Fatal, Message, Sink, SinkChange
from aiops.plugin.load import load
from aiops.plugin.sink import TicketSeen
from tests.e2e.rt_server import FIELD, QUEUE, Person, RequestTracker, request_tracker

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("rt")]


@pytest.fixture(scope="module")
def rt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RequestTracker]:
    with request_tracker(tmp_path_factory.mktemp("rt")) as server:
        yield server


@pytest.fixture(scope="module")
def person(rt: RequestTracker) -> Iterator[Person]:
    made = Person(rt)
    yield made
    made.close()


@pytest.fixture
async def sink(rt: RequestTracker, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sink]:
    made = a_sink(rt, monkeypatch)
    yield made
    await made.close()


def a_sink(rt: RequestTracker, monkeypatch: pytest.MonkeyPatch, **other: Any) -> Sink:
    monkeypatch.setenv("RT_TOKEN", rt.token)
    block = {
        "name": "rt",
        "url": rt.url,
        "queue": QUEUE,
        "token": {"env": "RT_TOKEN"},
        "timeout": 15,
        **other,
    }
    return load("connectors", "request_tracker", Sink).model_validate(block)  # type: ignore[type-abstract]


def say(key: str, seq: int = 1, reason: str = "opened", attempt: int = 1) -> Message:
    body = {
        "title": f"Festplatte läuft voll: {key}",
        "summary": "It fills.\nEvidence: 93 %",
        "severity": "major",
        "why": f"because of {seq}",
        "links": {"problem": "http://127.0.0.1:8750/problems/1"},
    }
    return Message(f"m-{key}-{seq}", key, reason, time.time(), body, seq, time.time(), attempt)


async def test_a_ticket_a_person_can_read_and_we_can_find(sink: Sink, person: Person) -> None:
    assert await sink.find("fw-read") is None
    made = await sink.create(say("fw-read"))
    ticket = person.ticket(made.ref)
    assert ticket["Subject"] == "Festplatte läuft voll: fw-read"
    assert (ticket["Status"], ticket["Priority"]) == ("new", "60")
    assert [(f["name"], f["values"]) for f in ticket["CustomFields"]] == [(FIELD, ["fw-read"])]
    assert await sink.find("fw-read") == made
    assert made.url.endswith(f"/Ticket/Display.html?id={made.ref}")


async def test_the_picture_of_what_went_wrong_is_attached(
    sink: Sink, person: Person, rt: RequestTracker
) -> None:
    message = say("fw-picture")
    course = {"times": [float(n) for n in range(60)], "observed": [float(n) for n in range(60)]}
    plot = {**course, "lower": [0.0] * 60, "upper": [30.0] * 60, "bound": 50.0, "metric": "node_load1"}
    message.body["plots"] = [{"title": "load", **plot}]
    made = await sink.create(message)
    await sink.update(made.ref, replace(message, seq=2, reason="escalated"))
    shown = person.get(f"/ticket/{made.ref}/attachments", fields="Filename,ContentType", per_page="100")
    found = [one for one in shown["items"] if one["ContentType"] == "image/png"]
    assert [one["Filename"] for one in found] == ["1-node-load1.png"] * 2
    content = person.get(f"/attachment/{found[0]['id']}")["Content"]
    assert base64.b64decode(content) == message.pictures()[0].png


async def test_the_sweep_sees_what_people_did_to_tickets(sink: Sink, person: Person) -> None:
    assert await sink.seen("fw-seen") == []
    made = await sink.create(say("fw-seen"))
    assert await sink.seen("fw-seen") == [TicketSeen(made.ref, open=True)]
    person.set(made.ref, Status="rejected")
    assert await sink.seen("fw-seen") == [TicketSeen(made.ref, open=False)]
    twin = await sink.create(say("fw-seen"))
    assert [one.ref for one in await sink.seen("fw-seen") or ()] == [made.ref, twin.ref]
    person.set(made.ref, Status="deleted")
    assert [one.ref for one in await sink.seen("fw-seen") or ()] == [twin.ref]


async def test_a_repeated_comment_is_written_once_and_the_status_follows(sink: Sink, person: Person) -> None:
    ref = (await sink.create(say("fw-told"))).ref
    await sink.update(ref, say("fw-told", 2, "updated"))
    await sink.update(ref, say("fw-told", 2, "updated", attempt=2))
    await sink.update(ref, say("fw-told", 3, "resolved", attempt=2))
    await sink.update(ref, say("fw-told", 3, "resolved", attempt=3))
    assert person.marks(ref) == ["[fw-told#2]", "[fw-told#3]"]
    assert person.ticket(ref)["Status"] == "resolved"
    await sink.update(ref, say("fw-told", 4, "reopened"))
    assert person.ticket(ref)["Status"] == "open"


async def test_fields_that_follow_are_kept_in_step_and_others_are_people_s(
    rt: RequestTracker, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    mapping = {"TimeLeft": "problem.level >= level.critical ? 30 : 60"}
    sink = a_sink(rt, monkeypatch, mapping=mapping, follow=["Priority"])
    ref = (await sink.create(say("fw-follow"))).ref
    person.set(ref, Priority="5", TimeLeft="7")
    worse = say("fw-follow", 2, "updated")
    worse.body["severity"] = "critical"
    await sink.update(ref, worse)
    ticket = person.ticket(ref)
    assert (ticket["Priority"], ticket["TimeLeft"]) == ("90", "7")
    await sink.close()


async def test_what_people_do_comes_back_and_what_we_do_does_not(sink: Sink, person: Person) -> None:
    started = time.time() - 2
    ref = (await sink.create(say("fw-back"))).ref
    await sink.update(ref, say("fw-back", 2, "updated"))
    await sink.update(ref, say("fw-back", 3, "resolved"))

    async def heard() -> list[SinkChange]:
        return [change async for change in sink.changes(started) if change.ref == ref]

    assert await heard() == []
    person.say(ref, "not yet, the disk is still full")
    person.set(ref, Owner="root")
    person.set(ref, Status="rejected")
    found = await heard()
    assert [(c.kind, c.by, c.text) for c in found] == [
        ("commented", "root", "not yet, the disk is still full"),
        ("reopened", "root", "resolved to open in Request Tracker"),
        ("assigned", "root", "root"),
        ("closed", "root", "open to rejected in Request Tracker"),
    ]
    assert len({c.id for c in found}) == 4
    assert [c.id for c in await heard()] == [c.id for c in found]
    assert all(abs(c.at - time.time()) < 60 for c in found)


async def test_a_refused_status_is_reported_although_rt_answers_200(
    rt: RequestTracker, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = a_sink(rt, monkeypatch, resolved="fixed")
    ref = (await sink.create(say("fw-refused"))).ref
    with pytest.raises(Fatal, match=r"refused the status 'fixed'.*isn't a valid status.*stays 'new'"):
        await sink.update(ref, say("fw-refused", 2, "resolved"))
    assert person.marks(ref) == ["[fw-refused#2]"]
    await sink.close()


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"field": "Nope"}, r"no custom field Nope.*add it to the queue"),
        ({"queue": "Nowhere"}, r"403.*check `queue`"),
        ({"token": {"env": "RT_OLD"}}, r"401.*the token is wrong or was revoked"),
    ],
)
async def test_what_is_set_up_wrongly_is_said_and_makes_no_ticket(
    rt: RequestTracker,
    monkeypatch: pytest.MonkeyPatch,
    person: Person,
    other: dict[str, Any],
    words: str,
) -> None:
    monkeypatch.setenv("RT_OLD", "1-2-0123456789abcdef0123456789abcdef")
    sink = a_sink(rt, monkeypatch, **other)
    before = person.tickets()
    with pytest.raises(Fatal, match=words) as caught:
        await sink.create(say("fw-wrong"))
    assert "0123456789abcdef" not in str(caught.value)
    assert person.tickets() == before
    await sink.close()

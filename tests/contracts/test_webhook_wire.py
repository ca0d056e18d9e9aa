"""The webhook as a receiver sees it: signatures, envelope, and what each of its answers means to us."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from aiops.plugin import Fatal, Message, NotConnected, Retryable, Sink
from aiops.plugin.load import load
from tests.database import free_port
from tests.receiver import SECRET, Fault, Receiver

OLD = "whsec_" + "b2xkLXNlY3JldC1vZi1mb3Jld2Fybi10ZXN0cy0wMDA="
BODY = {"version": 1, "title": "Speicher läuft voll — 93 %", "breach": None}

Make = Callable[..., Sink]


@pytest.fixture
async def make(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Make]:
    """Webhooks with the test's secret; closed at the end."""
    monkeypatch.setenv("ITSM_SECRET", SECRET)
    monkeypatch.setenv("ITSM_OLD", OLD)
    monkeypatch.setenv("ITSM_TOKEN", "very-secret-token")
    made: list[Sink] = []

    def _make(url: str, **other: Any) -> Sink:
        fields = {"url": url, "secret": {"env": "ITSM_SECRET"}, "timeout": "10s", **other}
        made.append(load("connectors", "webhook", Sink).model_validate(fields))  # type: ignore[type-abstract]
        return made[-1]

    yield _make
    for sink in made:
        await sink.close()


def a_message(**other: Any) -> Message:
    fields: dict[str, Any] = {"id": "msg_1", "key": "fw-1", "reason": "opened", "at": 1000.5, "body": BODY}
    return Message(**{**fields, "sent_at": time.time(), **other})


def answering(status: int, body: bytes = b"", **headers: str) -> Receiver:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Receiver(answer=lambda _request: (status, named, body))


async def test_the_receiver_verifies_the_signature_and_reads_a_cloud_event(make: Make) -> None:
    async with Receiver().serve() as itsm:
        ticket = await make(itsm.url, source="/forewarn/berlin").create(a_message(seq=3))
    assert itsm.unsigned == []
    assert ticket.ref == "INC-fw-1"
    assert itsm.events["msg_1"] == {
        "specversion": "1.0",
        "id": "msg_1",
        "source": "/forewarn/berlin",
        "type": "dev.forewarn.problem.opened",
        "subject": "fw-1",
        "time": "1970-01-01T00:16:40.500+00:00",
        "sequence": "0000000003",
        "datacontenttype": "application/json",
        "data": BODY,
    }
    (request,) = itsm.requests
    assert request.line == "POST /hooks/forewarn HTTP/1.1"
    assert request.headers["content-type"].startswith("application/cloudevents+json")


async def test_an_update_names_the_receivers_own_ticket(make: Make) -> None:
    async with Receiver().serve() as itsm:
        await make(itsm.url).update("INC-7", a_message(reason="resolved"))
    assert itsm.events["msg_1"]["data"] == {**BODY, "ticket": "INC-7"}
    assert itsm.events["msg_1"]["type"] == "dev.forewarn.problem.resolved"


async def test_while_a_secret_is_changed_both_keys_verify(make: Make) -> None:
    async with Receiver().serve() as itsm:
        await make(itsm.url, previous_secret={"env": "ITSM_OLD"}).create(a_message())
    (request,) = itsm.requests
    for secret in (SECRET, OLD):
        Verifier(secret).verify(request.body, request.headers)
    with pytest.raises(WebhookVerificationError):
        Verifier("whsec_" + "x" * 44).verify(request.body, request.headers)


async def test_a_message_sent_too_late_or_altered_does_not_verify(make: Make) -> None:
    async with Receiver().serve() as itsm:
        sink = make(itsm.url)
        with pytest.raises(Fatal, match="401"):
            await sink.create(a_message(sent_at=time.time() - 301))
        await sink.create(a_message())
    assert itsm.unsigned == ["Message timestamp too old"]
    good = itsm.requests[-1]
    with pytest.raises(WebhookVerificationError):
        Verifier(SECRET).verify(good.body.replace(b"93", b"13"), good.headers)


async def test_repeats_carry_the_same_id_and_their_own_time(make: Make) -> None:
    async with Receiver().serve() as itsm:
        sink = make(itsm.url)
        await sink.create(a_message(sent_at=time.time() - 60))
        await sink.create(a_message(attempt=2))
    first, second = (r.headers for r in itsm.requests)
    assert first["webhook-id"] == second["webhook-id"] == "msg_1"
    assert int(second["webhook-timestamp"]) - int(first["webhook-timestamp"]) in (60, 61)
    assert len(itsm.events) == 1


@pytest.mark.parametrize(
    ("body", "ref", "url"),
    [
        (b'{"ref": "INC-1", "url": "https://itsm.example/INC-1"}', "INC-1", "https://itsm.example/INC-1"),
        (b'{"id": 17}', "17", ""),
        (b'{"ticket": "T-5", "url": 3}', "T-5", ""),
        (b'{"id": null, "ticket": ""}', "fw-1", ""),
        (b"[1, 2]", "fw-1", ""),
        (b"<html>thank you</html>", "fw-1", ""),
        (b"", "fw-1", ""),
        (b'{"ref": "' + b"x" * 300 + b'"}', "fw-1", ""),
    ],
)
async def test_the_tickets_name_is_taken_from_the_answer_where_there_is_one(
    make: Make, body: bytes, ref: str, url: str
) -> None:
    async with answering(200, body).serve() as itsm:
        got = await make(itsm.url).create(a_message())
    assert (got.ref, got.url) == (ref, url)


@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_any_2xx_is_success(make: Make, status: int) -> None:
    async with answering(status).serve() as itsm:
        await make(itsm.url).update("INC-1", a_message())


@pytest.mark.parametrize(
    ("status", "after", "ambiguous"),
    [
        (429, "7", False),
        (503, "120", False),
        (500, None, True),
        (502, None, True),
        (504, "3", True),
        (408, None, True),
    ],
)
async def test_answers_that_are_worth_another_try(
    make: Make, status: int, after: str | None, ambiguous: bool
) -> None:
    headers = {"retry_after": after} if after else {}
    async with answering(status, b"later, please", **headers).serve() as itsm:
        with pytest.raises(Retryable, match=f"answered {status}: later, please") as caught:
            await make(itsm.url).create(a_message())
    assert caught.value.after == (float(after) if after else None)
    assert caught.value.ambiguous is ambiguous


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [("{date}", 25, 31), ("-5", 0, 0), ("1e9", 3600, 3600), ("soon", None, None), ("nan", None, None)],
)
async def test_retry_after_as_a_date_or_as_nonsense(
    make: Make, text: str, least: float | None, most: float | None
) -> None:
    text = text.format(date=format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True))
    async with answering(503, retry_after=text).serve() as itsm:
        with pytest.raises(Retryable) as caught:
            await make(itsm.url).create(a_message())
    after = caught.value.after
    assert after is least if least is None else least <= after <= most  # type: ignore[operator]


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (400, "no such queue.*refuses this message"),
        (401, "check the secret"),
        (403, "check the secret"),
        (404, "check the path"),
        (410, "gone for good"),
        (413, "of this size"),
        (422, "no such queue"),
    ],
)
async def test_refusals_say_what_to_do(make: Make, status: int, says: str) -> None:
    async with answering(status, b"no such\n queue").serve() as itsm:
        with pytest.raises(Fatal, match=says):
            await make(itsm.url).create(a_message())


async def test_a_redirect_is_not_followed(make: Make) -> None:
    async with Receiver().serve() as elsewhere, answering(307, location=elsewhere.url).serve() as itsm:
        with pytest.raises(Fatal, match="redirect"):
            await make(itsm.url).create(a_message())
        assert elsewhere.requests == []


async def test_nobody_listening_is_not_connected(make: Make) -> None:
    with pytest.raises(NotConnected, match=r"http://127\.0\.0\.1:\d+: ") as caught:
        await make(f"http://127.0.0.1:{free_port()}/hook").create(a_message())
    assert not caught.value.ambiguous


@pytest.mark.parametrize("fault", [Fault.LOST, Fault.LATE])
async def test_a_lost_answer_is_ambiguous(make: Make, fault: Fault) -> None:
    async with Receiver(fault=lambda _request: fault).serve() as itsm:
        with pytest.raises(Retryable) as caught:
            await make(itsm.url, timeout="1s").create(a_message())
        assert caught.value.ambiguous
        assert len(itsm.events) == 1


async def test_an_endless_answer_ends(make: Make) -> None:
    async def drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        try:
            while True:
                writer.write(b"1\r\nx\r\n")
                await writer.drain()
                await asyncio.sleep(0.05)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        started = time.monotonic()
        with pytest.raises(Retryable, match="no answer within") as caught:
            await make(f"http://127.0.0.1:{port}/", timeout="500ms").create(a_message())
        assert caught.value.ambiguous
        assert time.monotonic() - started < 5


async def test_a_huge_answer_is_not_read_to_its_end(make: Make) -> None:
    async with answering(200, b"x" * 20_000_000).serve() as itsm:
        await make(itsm.url, timeout="5s").create(a_message())


async def test_secrets_are_in_no_error_and_no_log(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    def echo(request: Any) -> tuple[int, dict[str, str], bytes]:
        said = json.dumps({**request.headers, "secret": SECRET, "bare": SECRET[6:]})
        return 400, {}, said[said.index("authorization") :].encode()

    async with Receiver(answer=echo).serve() as itsm:
        sink = make(itsm.url + "?key=in-the-url", token={"env": "ITSM_TOKEN"})
        with pytest.raises(Fatal) as caught:
            await sink.create(a_message())
    assert itsm.requests[0].headers["authorization"] == "Bearer very-secret-token"
    told = str(caught.value) + repr(sink) + sink.model_dump_json()
    assert "Bearer ***" in told
    told = told.replace(sink.url, "")  # type: ignore[attr-defined]
    told += "\n".join(record.getMessage() for record in caplog.records)
    for secret in ("very-secret-token", SECRET, SECRET[6:], "in-the-url"):
        assert secret not in told


async def test_a_missing_secret_is_waited_for_and_a_bad_one_is_refused(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Receiver().serve() as itsm:
        sink = make(itsm.url)
        monkeypatch.delenv("ITSM_SECRET")
        with pytest.raises(Retryable, match="ITSM_SECRET is not set"):
            await sink.create(a_message())
        for bad in ("correct horse battery staple", "whsec_c2hvcnQ="):
            monkeypatch.setenv("ITSM_SECRET", bad)
            with pytest.raises(Fatal, match="base64") as caught:
                await sink.create(a_message())
            assert bad not in str(caught.value)
        monkeypatch.setenv("ITSM_SECRET", SECRET.removeprefix("whsec_"))
        await sink.create(a_message())
        assert itsm.unsigned == []

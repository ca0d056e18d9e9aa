"""The sink `email` and a real SMTP server: threads, refusals, and what a lost answer means."""

import asyncio
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from aiops.plugin import Fatal, Message, NotConnected, PluginError, Retryable, Sink, egress
from aiops.plugin.load import load
from tests.database import free_port

KEY = "fw-0c9d"


class Mailbox:
    """Keeps what it takes; `answers` replaces its answers to RCPT or DATA."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.answers: dict[str, str] = {}
        self.hang_up = False

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any
    ) -> str:
        if said := self.answers.get(address):
            return said
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if said := self.answers.get("DATA"):
            return said
        mail = message_from_bytes(envelope.content or b"", policy=policy.default)  # type: ignore[arg-type]
        self.mails.append(mail)  # type: ignore[arg-type]
        if self.hang_up:
            assert server.transport
            server.transport.abort()
        return "250 taken"


def authenticate(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
    return AuthResult(success=data.password == b"right", handled=False)


@contextmanager
def serving(mailbox: Mailbox, **how: Any) -> Iterator[int]:
    port = free_port()
    controller = Controller(mailbox, hostname="127.0.0.1", port=port, **how)
    controller.start()
    try:
        yield port
    finally:
        controller.stop()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    """Of its own authority, for 127.0.0.1."""
    folder = tmp_path_factory.mktemp("smtp")
    key, cert = folder / "key.pem", folder / "cert.pem"
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    names = ["-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "1"]
    subprocess.run([*make, "-keyout", key, "-out", cert, *names], check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(cert, key)
    return cert, tls


def a_sink(port: int, **other: Any) -> Sink:
    who = {"sender": "Forewarn <forewarn@example.org>", "to": ["ops@example.org", "Ana <ana@example.org>"]}
    block = {"host": "127.0.0.1", "port": port, "tls": "none", "timeout": 3, **who, **other}
    return load("connectors", "email", Sink).model_validate(block)  # type: ignore[type-abstract]


def say(seq: int = 1, reason: str = "opened", attempt: int = 1) -> Message:
    body = {
        "title": "Festplatte läuft voll\r\nBcc: all@example.org",
        "summary": "It fills.",
        "severity": "critical",
    }
    return Message(f"m-{seq}", KEY, reason, 1_767_225_600.0, body, seq, 1_767_225_600.0, attempt)


async def test_one_thread_a_problem_and_the_same_id_on_a_repeat() -> None:
    box = Mailbox()
    with serving(box) as port:
        sink = a_sink(port)
        ticket = await sink.create(say())
        await sink.create(say(attempt=2))
        await sink.update(ticket.ref, say(2, "escalated"))
    first, again, news = box.mails
    assert ticket.ref == KEY
    assert first["Message-ID"] == again["Message-ID"] == f"<{KEY}.1@example.org>"
    assert (news["Message-ID"], news["In-Reply-To"]) == (f"<{KEY}.2@example.org>", first["Message-ID"])
    assert news["References"] == first["Message-ID"]
    assert first["Subject"] == "[critical] Festplatte läuft voll Bcc: all@example.org", (
        "one line, no header more"
    )
    assert news["Subject"].startswith("Re: [critical] Festplatte")
    assert (first["Auto-Submitted"], first["Bcc"]) == ("auto-generated", None)
    assert first["Date"] == "Thu, 01 Jan 2026 00:00:00 +0000"
    assert f"[{KEY}#2]" in news.get_content()


async def test_by_tls_with_a_login_and_only_to_whom_it_trusts(
    certificate: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    cert, tls = certificate
    box = Mailbox()
    safe = {"tls": "starttls", "ca": str(cert), "user": "forewarn", "password": {"env": "MAIL_PASSWORD"}}
    how = {"tls_context": tls, "require_starttls": True, "auth_required": True, "authenticator": authenticate}
    with serving(box, **how) as port:
        monkeypatch.setenv("MAIL_PASSWORD", "right")
        await a_sink(port, **safe).create(say())
        assert len(box.mails) == 1
        monkeypatch.setenv("MAIL_PASSWORD", "wrong")
        with pytest.raises(Fatal, match=r"535 .*check `user` and `password`") as caught:
            await a_sink(port, **safe).create(say())
        assert "wrong" not in str(caught.value)
        with pytest.raises(NotConnected, match=r"(?i)certificate.*check `tls` and `ca`"):
            await a_sink(port, **{**safe, "ca": None}).create(say())
    with serving(box) as port, pytest.raises(Fatal, match="check `tls`"):
        await a_sink(port, **safe).create(say())


@pytest.mark.parametrize(
    ("answers", "kind", "words"),
    [
        ({"DATA": "552 too large"}, Fatal, "552 too large .*limits"),
        ({"DATA": "451 try later"}, Retryable, "451 try later"),
        ({"ops@example.org": "550 who?", "ana@example.org": "550 who?"}, Fatal, "550 who.*check `to`"),
        ({"ops@example.org": "450 greylisted", "ana@example.org": "450 greylisted"}, Retryable, "450 grey"),
    ],
)
async def test_refusals_say_what_to_do(answers: dict[str, str], kind: type[PluginError], words: str) -> None:
    box = Mailbox()
    box.answers = answers
    with serving(box) as port, pytest.raises(kind, match=words) as caught:
        await a_sink(port).create(say())
    assert type(caught.value) is kind
    assert not getattr(caught.value, "ambiguous", False)


async def test_a_lost_answer_is_ambiguous_and_nobody_is_not_connected() -> None:
    box = Mailbox()
    box.hang_up = True
    with serving(box) as port, pytest.raises(Retryable) as caught:
        await a_sink(port).create(say())
    assert caught.value.ambiguous
    assert len(box.mails) == 1
    with pytest.raises(NotConnected):
        await a_sink(free_port()).create(say())


async def test_a_server_that_says_nothing_is_not_waited_for_long() -> None:
    left = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        await writer.wait_closed()
        left.set()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with server, asyncio.timeout(3):
        with pytest.raises(Retryable):
            await a_sink(server.sockets[0].getsockname()[1], timeout=0.3).create(say())
        await left.wait()


async def test_it_is_held_to_egress() -> None:
    before = egress.ruling()
    egress.rule(egress.Egress(allow=["public"]))
    try:
        with pytest.raises(Fatal, match=r"not among `egress: \{allow"):
            await a_sink(2525).create(say())
    finally:
        egress.rule(before)

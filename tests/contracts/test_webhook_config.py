"""The webhook's configuration: mistakes that are named, and whom it trusts."""

import ssl
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from aiops.plugin import Fatal, Message, NotConnected, Sink
from aiops.plugin.load import load
from tests.receiver import SECRET, Receiver


def a_webhook(url: str = "https://itsm.example/", **other: Any) -> Sink:
    block = {"url": url, "secret": {"env": "ITSM_SECRET"}, **other}
    return load("connectors", "webhook", Sink).model_validate(block)  # type: ignore[type-abstract]


@pytest.fixture
def own_certificate(tmp_path: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate of its own authority for 127.0.0.1, and a server's context with it."""
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    make_cert = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    names = ["-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "1"]
    subprocess.run([*make_cert, "-keyout", key, "-out", cert, *names], check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(cert, key)
    return cert, tls


async def test_a_private_authority_is_trusted_only_when_named(
    monkeypatch: pytest.MonkeyPatch, own_certificate: tuple[Path, ssl.SSLContext]
) -> None:
    monkeypatch.setenv("ITSM_SECRET", SECRET)
    cert, tls = own_certificate
    now = time.time()
    message = Message("msg_1", "fw-1", "opened", now, {"version": 1}, sent_at=now)
    async with Receiver().serve(tls) as itsm:
        url = itsm.url.replace("http:", "https:")
        doubting, trusting = a_webhook(url), a_webhook(url, ca=str(cert))
        with pytest.raises(NotConnected, match=r"(?i)certificate"):
            await doubting.create(message)
        await trusting.create(message)
        with pytest.raises(Fatal, match=r"nowhere\.pem"):
            await a_webhook(url, ca=str(cert.with_name("nowhere.pem"))).create(message)
        await doubting.close()
        await trusting.close()


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"url": "itsm.example/hook"}, "expected an address"),
        ({"url": "ftp://itsm.example/"}, "expected an address"),
        ({"url": "https://me:pw@itsm.example/"}, "credentials do not belong"),
        ({"secret": "in plain text"}, "by reference"),
        ({"timeout": "1h"}, "less than or equal to 15"),
        ({"tmeout": "5s"}, "Extra inputs"),
    ],
)
def test_mistakes_in_the_configuration_are_named(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        a_webhook(**fields)

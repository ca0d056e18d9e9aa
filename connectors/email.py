"""E-mail by SMTP: a message a problem, news as answers to it, so that mail programs show one thread.

A repeat bears the same Message-ID, by which most mail servers and programs drop it; nothing is searched for.
"""

import asyncio
import smtplib
import socket
import ssl
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from aiops.plugin import Duration, Fatal, Message, NotConnected, OneWay, Retryable, Secret
from aiops.plugin.egress import first_allowed
from aiops.plugin.http import plain, without

PORTS = {"starttls": 587, "implicit": 465, "none": 25}


def _is_address(text: str) -> str:
    if parseaddr(text)[1].count("@") != 1 or any(c in text for c in "\r\n"):
        raise ValueError("expected an e-mail address, such as ops@example.org or `Ops <ops@example.org>`")
    return text


MailAddress = Annotated[str, AfterValidator(_is_address)]


class Email(OneWay):
    """A mail a message, threaded by problem."""

    host: str = Field(description="The mail server.", min_length=1)
    port: int = Field(0, ge=0, lt=65536, description="Its port; 587, 465 or 25 by `tls` when left out.")
    tls: Literal["starttls", "implicit", "none"] = Field(
        "starttls", description="How the connection is made safe; its certificate is verified."
    )
    ca: Path | None = Field(None, description="PEM file of the authority that signed its certificate.")
    user: str = Field("", description="User to log in as; none when empty.")
    password: Secret | None = Field(None, description="That user's password.")
    sender: MailAddress = Field(description="From whom.")
    to: list[MailAddress] = Field(description="To whom.", min_length=1)
    timeout: Duration = Field(10.0, description="Longest wait for one answer of the server.", gt=0, le=15)

    async def tell(self, message: Message) -> None:
        """In a thread: the standard library's client blocks."""
        try:
            await asyncio.to_thread(self._deliver, message)
        except (smtplib.SMTPException, OSError) as why:
            raise self._meant(why) from why

    def _mail(self, message: Message) -> EmailMessage:
        mail = EmailMessage()
        thread = self._ident(message.key, 1)
        mail["From"], mail["To"] = self.sender, ", ".join(self.to)
        news = "" if message.seq == 1 else "Re: "
        mail["Subject"] = f"{news}[{message.severity}] {message.title}"
        mail["Date"] = format_datetime(datetime.fromtimestamp(message.at, UTC))
        mail["Message-ID"] = self._ident(message.key, message.seq)
        if message.seq > 1:
            mail["In-Reply-To"] = thread
            mail["References"] = thread
        mail["Auto-Submitted"] = "auto-generated"
        mail["X-Forewarn-Key"] = message.key
        mail["X-Forewarn-Reason"] = message.reason
        if message.severity == "critical" and message.reason != "resolved":
            mail["Importance"] = "high"
        mail.set_content(f"{message.text}\n\n{message.mark}\n")
        for picture in message.pictures():
            mail.add_attachment(picture.png, maintype="image", subtype="png", filename=picture.name)
        return mail

    def _ident(self, key: str, seq: int) -> str:
        return f"<{key}.{seq}@{parseaddr(self.sender)[1].rpartition('@')[2]}>"

    def _deliver(self, message: Message) -> None:
        mail = self._mail(message)
        context = ssl.create_default_context(cafile=self.ca) if self.tls != "none" else None
        with self._connected(context) as server:
            if self.tls == "starttls":
                server.starttls(context=context)
            if self.user:
                server.login(self.user, plain(self.password) if self.password else "")
            server.send_message(mail)

    def _connected(self, context: ssl.SSLContext | None) -> smtplib.SMTP:
        """To the very address that was judged."""
        port = self.port or PORTS[self.tls]
        found = socket.getaddrinfo(self.host, port, type=socket.SOCK_STREAM)
        address = first_allowed(self.host, port, found)
        made: _Smtp | _SmtpTls
        made = (
            _SmtpTls(timeout=self.timeout, context=context)
            if self.tls == "implicit"
            else _Smtp(timeout=self.timeout)
        )
        made.address, made._host = address, self.host
        code, said = made.connect(self.host, port)
        if code != 220:
            made.close()
            raise smtplib.SMTPConnectError(code, said)
        return made

    def _meant(self, why: Exception) -> Retryable | Fatal:
        where = f"{self.host}:{self.port or PORTS[self.tls]}"
        secrets = [plain(self.password)] if self.password else []
        words = without(secrets, f"{where}: {_words(why)}")
        match why:
            case smtplib.SMTPAuthenticationError(smtp_code=code) if code >= 500:
                return Fatal(f"{words} (check `user` and `password`)")
            case smtplib.SMTPNotSupportedError():
                return Fatal(f"{words} (the server offers no such thing: check `tls` and `user`)")
            case smtplib.SMTPRecipientsRefused(recipients=refused):
                codes = [code for code, _ in refused.values()]
                if all(code >= 500 for code in codes):
                    return Fatal(f"{words} (check `to`, and whether the server relays for us)")
                return Retryable(words)
            case smtplib.SMTPResponseException(smtp_code=code):
                if code >= 500:
                    return Fatal(f"{words} (the server refuses this mail: check `sender` and its limits)")
                return Retryable(words)
            case ssl.SSLError():
                return NotConnected(f"{words} (check `tls` and `ca`)")
            case TimeoutError() | smtplib.SMTPServerDisconnected():
                return Retryable(words, ambiguous=True)
            case _:
                return NotConnected(words)


class _Smtp(smtplib.SMTP):
    """Asked for by its name, which its certificate bears, reached at the address that was judged."""

    address = ""
    _host = ""

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        return socket.create_connection((self.address, port), timeout)


class _SmtpTls(smtplib.SMTP_SSL):
    address = ""
    _host = ""

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        plain_socket = socket.create_connection((self.address, port), timeout)
        return self.context.wrap_socket(plain_socket, server_hostname=host)


def _words(why: Exception) -> str:
    match why:
        case smtplib.SMTPRecipientsRefused(recipients=refused):
            return "; ".join(f"{who}: {code} {_text(said)}" for who, (code, said) in refused.items())
        case smtplib.SMTPResponseException(smtp_code=code, smtp_error=said):
            return f"{code} {_text(said)}"
    return str(why) or type(why).__name__


def _text(said: bytes | str) -> str:
    return (said.decode("utf-8", "replace") if isinstance(said, bytes) else said)[:200]

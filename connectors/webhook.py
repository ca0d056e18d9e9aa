"""A sink for anything that takes a signed HTTP POST.

Signed by Standard Webhooks (https://www.standardwebhooks.com): ``webhook-id`` is the same on every attempt,
so a receiver drops repeats by it; ``webhook-timestamp`` is the attempt's. The body is a CloudEvents 1.0 event
in its structured JSON form (https://cloudevents.io), its ``data`` the ticket of `aiops.core.ticket`.
"""

import asyncio
import base64
import binascii
import json
import logging
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from pydantic import Field, PrivateAttr, field_validator
from standardwebhooks import Webhook as Signer

from aiops.plugin import Duration, Fatal, Message, NotConnected, Retryable, Secret, Sink, TicketRef

# httpx logs every address at INFO, and the address of a webhook may be a secret
logging.getLogger("httpx").setLevel(logging.WARNING)

MOST_READ = 65_536
"""Bytes of an answer that are looked at."""
EXCERPT = 200
LONGEST_WAIT = 3600.0
"""Seconds; a receiver that asks for more is asked again after this."""

HINTS = {
    401: "check the secret and the token",
    403: "check the secret and the token",
    404: "check the path in `url`",
    405: "check `url`: it takes no POST",
    410: "the receiver is gone for good: take the sink out or give its new `url`",
    413: "the receiver refuses a body of this size: raise its limit",
}


class Webhook(Sink):
    """Posts each message to one URL; the receiver keeps the tickets."""

    url: str = Field(description="Where to post; https outside of tests. Redirects are not followed.")
    secret: Secret = Field(description="Signing secret: 24 to 64 bytes in base64, with or without `whsec_`.")
    previous_secret: Secret | None = Field(
        None, description="While a secret is changed: the old one, with which each message is signed as well."
    )
    token: Secret | None = Field(
        None, description="Sent as a bearer token, for a gateway before the receiver."
    )
    timeout: Duration = Field(10.0, description="Longest wait for the whole exchange.", gt=0, le=15)
    ca: Path | None = Field(
        None, description="PEM file of the authority that signed the receiver's certificate."
    )
    source: str = Field(
        "/forewarn", description="CloudEvents `source`: which installation speaks.", min_length=1
    )

    _client: httpx.AsyncClient | None = PrivateAttr(None)

    @field_validator("url")
    @classmethod
    def _http(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("expected an address such as https://itsm.example/hooks/forewarn")
        if parts.username or parts.password:
            raise ValueError("credentials do not belong in the address: give `token` by reference")
        return value

    async def create(self, message: Message) -> TicketRef:
        """Named by `ref`, `id` or `ticket` of the receiver's JSON answer; without any, by the key."""
        answer = await self._post(message, {})
        ref = next((str(answer[k]) for k in ("ref", "id", "ticket") if _names(answer.get(k))), message.key)
        url = answer.get("url")
        return TicketRef(ref, url if isinstance(url, str) else "")

    async def update(self, ref: str, message: Message) -> None:
        await self._post(message, {"ticket": ref})

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _post(self, message: Message, extra: Mapping[str, Any]) -> dict[str, Any]:
        body = json.dumps(
            self._event(message, extra), ensure_ascii=False, separators=(",", ":"), allow_nan=False
        )
        secrets = [_read(secret) for secret in (self.secret, self.previous_secret) if secret]
        headers = _signed(message, body, secrets)
        if self.token:
            secrets.append(_read(self.token))
            headers["authorization"] = f"Bearer {secrets[-1]}"
        status, got, answer = await self._exchange(body, headers)
        text = _without(secrets, answer.decode("utf-8", "replace"))
        if 200 <= status < 300:
            return _object(answer)
        raise _failure(self._where, status, got, text, message.sent_at)

    async def _exchange(self, body: str, headers: dict[str, str]) -> tuple[int, httpx.Headers, bytes]:
        """Status, headers and the beginning of the answer."""
        try:
            async with (
                asyncio.timeout(self.timeout),
                self._connected().stream("POST", self.url, content=body.encode(), headers=headers) as reply,
            ):
                answer = b""
                async for piece in reply.aiter_bytes():
                    answer += piece
                    if len(answer) >= MOST_READ:
                        break
                return reply.status_code, reply.headers, answer[:MOST_READ]
        except httpx.ConnectTimeout as why:
            raise NotConnected(f"{self._where}: no connection within {self.timeout / 2:g} s") from why
        except httpx.ConnectError as why:
            raise NotConnected(f"{self._where}: {_reason(why)}") from why
        except (TimeoutError, httpx.TimeoutException) as why:
            raise Retryable(f"{self._where}: no answer within {self.timeout:g} s", ambiguous=True) from why
        except (httpx.TransportError, httpx.DecodingError) as why:
            raise Retryable(f"{self._where}: the answer was lost: {_reason(why)}", ambiguous=True) from why

    def _event(self, message: Message, extra: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "specversion": "1.0",
            "id": message.id,
            "source": self.source,
            "type": f"dev.forewarn.problem.{message.reason}",
            "subject": message.key,
            "time": datetime.fromtimestamp(message.at, UTC).isoformat(timespec="milliseconds"),
            "sequence": f"{message.seq:010d}",
            "datacontenttype": "application/json",
            "data": {**message.body, **extra},
        }

    def _connected(self) -> httpx.AsyncClient:
        if self._client is None:
            try:
                trust = ssl.create_default_context(cafile=self.ca) if self.ca else True
            except OSError as why:
                raise Fatal(f"ca {self.ca}: {why.strerror or why}") from why
            limit = httpx.Timeout(self.timeout, connect=self.timeout / 2)
            self._client = httpx.AsyncClient(verify=trust, timeout=limit, follow_redirects=False)
        return self._client

    @property
    def _where(self) -> str:
        """The address without its path and query, which may be secrets themselves."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"


def _read(secret: Secret) -> str:
    try:
        return secret.read().get_secret_value()
    except ValueError as why:
        raise Retryable(str(why)) from why


def _signed(message: Message, body: str, secrets: list[str]) -> dict[str, str]:
    """The Standard Webhooks headers, one signature a secret."""
    at = datetime.fromtimestamp(int(message.sent_at), UTC)
    signatures = [_signer(secret).sign(message.id, at, body) for secret in secrets]
    return {
        "content-type": "application/cloudevents+json; charset=utf-8",
        "user-agent": "forewarn",
        "webhook-id": message.id,
        "webhook-timestamp": str(int(message.sent_at)),
        "webhook-signature": " ".join(signatures),
    }


def _signer(secret: str) -> Signer:
    text = secret.removeprefix("whsec_")
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    # the library itself skips characters outside of base64 and would sign with something else
    if not 24 <= len(key) <= 64:
        raise Fatal(
            "the signing secret must be 24 to 64 bytes in base64: make one with `openssl rand -base64 32`"
        )
    return Signer(key)


def _failure(where: str, status: int, headers: httpx.Headers, text: str, now: float) -> Retryable | Fatal:
    """What an answer other than 2xx means. After 429 and 503 nothing was done; after other 5xx who knows."""
    said = " ".join(text.split())[:EXCERPT]
    words = f"{where} answered {status}" + (f": {said}" if said else "")
    if status in (429, 503):
        return Retryable(words, after=_retry_after(headers.get("retry-after", ""), now))
    if status in (408, 425) or status >= 500:
        return Retryable(words, after=_retry_after(headers.get("retry-after", ""), now), ambiguous=True)
    if 300 <= status < 400:
        return Fatal(
            f"{where} answered {status}, a redirect, which is not followed: give its target as `url`"
        )
    hint = HINTS.get(status, "the receiver refuses this message as it stands")
    return Fatal(f"{words} ({hint})")


def _retry_after(value: str, now: float) -> float | None:
    """Seconds, from a number of seconds or an HTTP date; None when there is no sense in it."""
    try:
        wait = float(value)
    except ValueError:
        try:
            wait = parsedate_to_datetime(value).timestamp() - now
        except ValueError:
            return None
    return min(max(wait, 0.0), LONGEST_WAIT) if wait == wait else None


def _object(answer: bytes) -> dict[str, Any]:
    """The JSON object in an answer; empty when it is anything else."""
    try:
        found = json.loads(answer)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _names(value: Any) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool) and 0 < len(str(value)) <= 256


def _without(secrets: list[str], text: str) -> str:
    """A receiver may echo what we sent."""
    for secret in secrets:
        for form in (secret, secret.removeprefix("whsec_")):
            text = text.replace(form, "***") if form else text
    return text


def _reason(why: Exception) -> str:
    """The innermost words; httpx wraps the system's."""
    return str(why) or type(why).__name__

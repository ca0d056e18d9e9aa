"""What sinks that talk HTTP share: one exchange, and what each way in which it can end means.

Import it as ``from aiops.plugin.http import HttpSink``; it is kept out of `aiops.plugin` so that a plug-in
without a network does not load httpx.
"""

import asyncio
import base64
import json
import logging
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlencode, urlsplit

import httpx
from pydantic import Field, PrivateAttr, field_validator

from aiops.plugin import egress
from aiops.plugin.errors import Busy, Fatal, NotConnected, Retryable
from aiops.plugin.params import Duration, Secret
from aiops.plugin.sink import Sink

# httpx logs every address at INFO, and an address may be a secret
logging.getLogger("httpx").setLevel(logging.WARNING)

MOST_READ = 1_048_576
"""Bytes of an answer that are looked at."""
EXCERPT = 200
_KINDS = {True: "application/json", False: "application/x-www-form-urlencoded"}
SIGNED_WITHIN = 240.0
"""Seconds of difference between clocks that a receiver of signed messages bears: 300 by Standard Webhooks."""
LONGEST_WAIT = 3600.0
"""Seconds; a server that asks for more is asked again after this."""

HINTS = {
    401: "check the secret and the token",
    403: "check the secret and the token",
    404: "check the path in `url`",
    405: "check `url`: it does not take this method",
    410: "the receiver is gone for good: take the sink out or give its new `url`",
    413: "the receiver refuses a body of this size: raise its limit",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of 2xx."""

    where: str
    status: int
    headers: httpx.Headers
    body: bytes

    def json(self) -> Any:
        """Raises `Retryable`: who answers 200 with a page instead of data is asleep, or is not the API."""
        try:
            return json.loads(self.body)
        except ValueError as why:
            kind = "HTML" if b"<html" in self.body[:2000].lower() else "something other than JSON"
            text = f"{self.where} answered {self.status} with {kind}: is it asleep, or `url` not its API?"
            raise Retryable(text, ambiguous=True) from why

    def object(self) -> dict[str, Any]:
        """Raises `Retryable` for anything but a JSON object."""
        found = self.json()
        if not isinstance(found, dict):
            text = f"{self.where} answered {self.status} with JSON that is no object: is `url` its API?"
            raise Retryable(text, ambiguous=True)
        return found

    def text_of(self, *path: str) -> str:
        """The text or number at ``path``, as text. Raises `Retryable` where there is none."""
        found: Any = self.object()
        for name in path:
            found = found.get(name) if isinstance(found, dict) else None
        if not names(found):
            text = f"{self.where} answered {self.status} without `{'.'.join(path)}`: is `url` its API?"
            raise Retryable(text, ambiguous=True)
        return str(found)


class HttpSink(Sink):
    """Base of sinks that talk HTTP: their address, their patience, and `_ask`."""

    hints: ClassVar[Mapping[int, str]] = HINTS
    """Status -> what to do about it."""
    again: ClassVar[frozenset[int]] = frozenset()
    """Statuses that mean: not done, and worth another try."""

    url: str = Field(description="Base address; https outside of tests. Redirects are not followed.")
    timeout: Duration = Field(10.0, description="Longest wait for one whole exchange.", gt=0, le=15)
    ca: Path | None = Field(
        None, description="PEM file of the authority that signed the server's certificate."
    )

    _client: httpx.AsyncClient | None = PrivateAttr(None)

    @field_validator("url")
    @classmethod
    def _http(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("expected an address such as https://itsm.example")
        try:
            httpx.URL(value)
        except httpx.InvalidURL as why:
            raise ValueError(f"no address: {why}") from why
        if parts.username or parts.password:
            raise ValueError("credentials do not belong in the address: give them by reference")
        return value

    @property
    def where(self) -> str:
        """The address without its path and query, which may be secrets themselves."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _ask(
        self,
        method: str,
        path: str = "",
        *,
        now: float = 0.0,
        data: Any = None,
        form: Mapping[str, str] | None = None,
        content: bytes | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One exchange with `url` + `path`; `data` is sent as JSON, or else `form` as a form.

        Raises `Retryable` or `Fatal`.

        `now` (epoch s) is only needed to understand a Retry-After that is a date.
        """
        if data is not None:
            content = json.dumps(data, ensure_ascii=False, allow_nan=False).encode()
        elif form is not None:
            content = urlencode(form).encode()
        kind = {"content-type": _KINDS[data is not None]} if data is not None or form is not None else {}
        sent = {"user-agent": "forewarn", "accept": "application/json", **kind, **(headers or {})}
        address = (self.url.rstrip("/") + path) if path else self.url
        request = self._connected().build_request(
            method, address, content=content, params=query, headers=sent
        )
        status, got, body = await self._exchange(request)
        if 200 <= status < 300:
            return Answer(self.where, status, got, body)
        # basic credentials are sent encoded, and a server may echo them so
        who = [sent[name].rpartition(" ")[2] for name in ("authorization",) if name in sent]
        text = without([*self._secrets(), *who], body.decode("utf-8", "replace"))
        if status in (401, 403) and (off := apart(got, now)) > SIGNED_WITHIN:
            # a signature bears the time: it is refused until one of the clocks is put right, not for good
            said = f"answered {status}, and its clock and ours are {off:.0f} s apart: put the wrong one right"
            raise Retryable(f"{self.where} {said}", after=30.0)
        if status in self.again:
            raise Retryable(f"{self.where} answered {status} ({self.hints.get(status, text)})")
        raise failure(self.where, status, got, text, now, self.hints)

    async def knock(self) -> httpx.Headers:
        """What the server says of itself when nothing is asked of it. Raises `Retryable` or `Fatal`.

        Whatever the status: who answers is there. No credentials are sent.
        """
        _, headers, _ = await self._exchange(self._connected().build_request("HEAD", f"{self.where}/"))
        return headers

    async def _exchange(self, request: httpx.Request) -> tuple[int, httpx.Headers, bytes]:
        """Status, headers and the beginning of the answer."""
        try:
            async with asyncio.timeout(self.timeout):
                reply = await self._connected().send(request, stream=True)
                try:
                    answer = b""
                    async for piece in reply.aiter_bytes():
                        answer += piece
                        if len(answer) >= MOST_READ:
                            break
                finally:
                    await reply.aclose()
                return reply.status_code, reply.headers, answer[:MOST_READ]
        except httpx.ConnectTimeout as why:
            raise NotConnected(f"{self.where}: no connection within {self.timeout / 2:g} s") from why
        except httpx.ConnectError as why:
            raise NotConnected(f"{self.where}: {reason(why)}") from why
        except (TimeoutError, httpx.TimeoutException) as why:
            raise Retryable(f"{self.where}: no answer within {self.timeout:g} s", ambiguous=True) from why
        except (httpx.TransportError, httpx.DecodingError) as why:
            raise Retryable(f"{self.where}: the answer was lost: {reason(why)}", ambiguous=True) from why

    def _connected(self) -> httpx.AsyncClient:
        if self._client is None:
            limit = httpx.Timeout(self.timeout, connect=self.timeout / 2)
            self._client = egress.client(self.url, self._trust(), limit)
        return self._client

    def _trust(self) -> ssl.SSLContext | bool:
        # reading the system's certificates takes 70 ms, and plain http has no use for them
        if self.url.startswith("http:") and not egress.proxy_for(self.url):
            return False
        try:
            return ssl.create_default_context(cafile=self.ca) if self.ca else httpx.create_ssl_context()
        except OSError as why:
            raise Fatal(f"ca {self.ca}: {why.strerror or why}") from why

    def _secrets(self) -> list[str]:
        """The plain text of every secret that can be read, to keep it out of errors."""
        found = []
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, Secret):
                try:
                    found.append(value.read().get_secret_value())
                except ValueError:
                    continue
        return found


def plain(secret: Secret) -> str:
    """The secret's text. Raises `Retryable` that names the reference: whoever sets it needs no replay."""
    try:
        return secret.read().get_secret_value()
    except ValueError as why:
        raise Retryable(str(why)) from why


def basic(user: str, password: str) -> str:
    """The value of an Authorization header."""
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def failure(
    where: str,
    status: int,
    headers: httpx.Headers,
    text: str,
    now: float,
    hints: Mapping[int, str] = HINTS,
) -> Retryable | Fatal:
    """What an answer other than 2xx means. After 429 and 503 nothing was done; after other 5xx who knows."""
    said = " ".join(text.split())[:EXCERPT]
    words = f"{where} answered {status}" + (f": {said}" if said else "")
    after = retry_after(headers.get("retry-after", ""), now)
    if status in (429, 502, 503, 504):
        return Busy(words, after, ambiguous=status in (502, 504))
    if status in (408, 425) or status >= 500:
        return Retryable(words, after, ambiguous=True)
    if 300 <= status < 400:
        return Fatal(
            f"{where} answered {status}, a redirect, which is not followed: give its target as `url`"
        )
    return Fatal(f"{words} ({hints.get(status, 'the receiver refuses this message as it stands')})")


def apart(headers: httpx.Headers, now: float) -> float:
    """Seconds between a server's clock, as its answer tells it, and ours, `now` (epoch s); 0: unknown."""
    try:
        theirs = parsedate_to_datetime(headers.get("date", "")).timestamp()
    except ValueError:
        return 0.0
    return abs(theirs - now) if now else 0.0


def retry_after(value: str, now: float) -> float | None:
    """Seconds, from a number of seconds or an HTTP date; None when there is no sense in it."""
    try:
        wait = float(value)
    except ValueError:
        try:
            wait = parsedate_to_datetime(value).timestamp() - now
        except ValueError:
            return None
    return min(max(wait, 0.0), LONGEST_WAIT) if wait == wait else None


def names(value: Any) -> bool:
    """Whether it can be a record's name: a short text or a number."""
    return isinstance(value, str | int) and not isinstance(value, bool) and 0 < len(str(value)) <= 256


def without(secrets: Iterable[str], text: str) -> str:
    """A receiver may echo what we sent."""
    for secret in secrets:
        for form in (secret, secret.removeprefix("whsec_")):
            text = text.replace(form, "***") if form else text
    return text


def reason(why: Exception) -> str:
    """The innermost words; httpx wraps the system's."""
    return str(why) or type(why).__name__

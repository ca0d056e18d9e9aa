"""`http`: one request. As a check it looks at a health endpoint; as a step it calls an API."""

import asyncio
import json as json_
import ssl
from pathlib import Path
from typing import Any, Literal

import httpx
from pydantic import ConfigDict, Field, field_validator, model_validator

from aiops.plugin import Action, Fatal, NotConnected, Outcome, Retryable, Secret
from aiops.plugin.egress import guarded
from aiops.plugin.passing import passing

MAX_BODY = 65_536
"""Bytes of an answer that are read."""

_READS = ("GET", "HEAD", "OPTIONS")


class Http(Action):
    """Send one HTTP request; a status of 200 to 299 is good. Redirects are not followed.

    `expect` sees ``status`` (int; 0 when nobody answered), ``body`` (text, the first 64 KiB), ``json`` (the
    body when it is JSON, else null) and ``seconds`` (null when nobody answered). The idempotency key is sent
    as the header ``Idempotency-Key``.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"url": "http://127.0.0.1:8080/healthz", "expect": "status == 200 && seconds < 1.0"},
                {
                    "method": "POST",
                    "url": "https://deploy.internal/api/rollback",
                    "json": {"service": "checkout"},
                    "bearer": {"env": "DEPLOY_TOKEN"},
                },
            ]
        }
    )

    method: Literal["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"] = Field(
        "GET", description="The request's method."
    )
    url: str = Field(description="http:// or https:// address.")
    headers: dict[str, str] = Field(default_factory=dict, description="Headers to send.")
    body: str = Field("", description="What is sent, as it stands.")
    json_body: Any = Field(None, alias="json", description="What is sent, as JSON.")
    bearer: Secret | None = Field(None, description="Token for the Authorization header.")
    verify_tls: bool = Field(True, description="Whether the server's certificate is checked.")
    ca: Path | None = Field(None, description="File of certificates to check against, beside the system's.")
    proxy: str = Field("", description="Proxy to use; the environment's proxies are not.")

    @field_validator("url")
    @classmethod
    def _address(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")):
            raise ValueError("expected an address that begins with http:// or https://")
        try:
            host = httpx.URL(value).host
        except httpx.InvalidURL as why:
            raise ValueError(f"no address: {why}") from why
        if not host:
            raise ValueError("the address names no host")
        return value

    @model_validator(mode="after")
    def _one_body(self) -> "Http":
        if self.body and self.json_body is not None:
            raise ValueError("give either body or json")
        return self

    @property
    def target(self) -> str:
        url = httpx.URL(self.url)
        return f"http/{url.host}" + (f":{url.port}" if url.port else "")

    def plan(self) -> str:
        url = httpx.URL(self.url).copy_with(userinfo=b"", query=None)
        size = len(self._content() or b"")
        return (
            f"{self.method} {url}" + (f" with {size} bytes" if size else "") + f", at most {self.timeout:g} s"
        )

    async def run(self, key: str) -> Outcome:
        try:
            # httpx counts its own timeout anew for every read: a slow drip would go on for ever
            async with (
                asyncio.timeout(self.timeout),
                self._client() as client,
            ):
                return await self._ask(client, key)
        except httpx.ConnectError as why:
            return self._unanswered(NotConnected(f"{self._place()}: {_words(why)}"))
        except (httpx.TimeoutException, TimeoutError) as why:
            reached = not isinstance(why, httpx.ConnectTimeout)
            text = f"{self._place()}: no answer within {self.timeout:g} s"
            return self._unanswered(Retryable(text, ambiguous=reached))
        except (httpx.InvalidURL, httpx.LocalProtocolError, httpx.UnsupportedProtocol, ValueError) as why:
            raise Fatal(f"{self._place()}: {_words(why)}") from why
        except httpx.RequestError as why:
            return self._unanswered(Retryable(f"{self._place()}: {_words(why)}", ambiguous=True))

    def _client(self) -> httpx.AsyncClient:
        """One that connects to what `egress` allows; a proxy guards its own way out."""
        made = httpx.AsyncClient(
            verify=self._trust(), timeout=self.timeout, trust_env=False, proxy=self.proxy or None
        )
        return made if self.proxy else guarded(made)

    async def _ask(self, client: httpx.AsyncClient, key: str) -> Outcome:
        headers = {"Idempotency-Key": key, **passing(), **self.headers}
        if self.bearer:
            headers["Authorization"] = f"Bearer {self.bearer.read().get_secret_value()}"
        if self.json_body is not None:
            headers.setdefault("Content-Type", "application/json")
        request = client.build_request(self.method, self.url, headers=headers, content=self._content())
        response = await client.send(request, stream=True)
        try:
            body = await _first_bytes(response)
        finally:
            await response.aclose()
        text = body.decode(response.encoding or "utf-8", errors="replace")
        seconds = response.elapsed.total_seconds()
        data = {"status": response.status_code, "body": text, "json": _json(text), "seconds": seconds}
        said = f"{response.status_code} {response.reason_phrase} in {seconds * 1000:.0f} ms\n{text[:2000]}"
        return Outcome(response.is_success, said.strip(), data)

    def _content(self) -> bytes | None:
        if self.json_body is not None:
            return json_.dumps(self.json_body).encode()
        return self.body.encode() or None

    def _unanswered(self, why: Retryable) -> Outcome:
        """Nobody answered: for a request that only reads that is an answer too, else a fault of the step."""
        if self.method not in _READS:
            raise why
        return Outcome(False, str(why), {"status": 0, "body": "", "json": None, "seconds": None})

    def _trust(self) -> ssl.SSLContext | bool:
        # Reading the system's certificates takes 20 ms and is of no use for plain http
        if not self.verify_tls or not self.url.startswith("https:"):
            return False
        try:
            made = ssl.create_default_context()
            if self.ca:
                made.load_verify_locations(self.ca)
        except (OSError, ssl.SSLError) as why:
            raise Fatal(f"ca: {self.ca} cannot be used: {why}") from why
        return made

    def _place(self) -> str:
        url = httpx.URL(self.url)
        return f"{url.host}:{url.port or (443 if url.scheme == 'https' else 80)}"


async def _first_bytes(response: httpx.Response) -> bytes:
    kept = bytearray()
    async for chunk in response.aiter_bytes():
        kept += chunk[: MAX_BODY - len(kept)]
        if len(kept) >= MAX_BODY:
            break
    return bytes(kept)


def _json(text: str) -> Any:
    try:
        return json_.loads(text)
    except ValueError:
        return None


def _words(why: Exception) -> str:
    return str(why) or type(why).__name__

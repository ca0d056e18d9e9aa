"""One request of a log source to an HTTP API, with every failure classified."""

import base64
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
from pydantic import Field

from aiops.plugin import Connector, Fatal, NotConnected, Retryable, Secret

_LATER = frozenset((408, 425, 429))


class HttpLogs(Connector):
    """What log sources that are asked over HTTP share: address, credentials, patience."""

    url: str = Field(description="Base address of the server.", pattern=r"^https?://")
    username: str = Field("", description="User name, where the server asks for one.")
    password: Secret | None = Field(None, description="Where the password is.")
    token: Secret | None = Field(None, description="Where the bearer token is.")
    ca: Path | None = Field(None, description="PEM file of the authority that signed its certificate.")
    timeout: float = Field(30.0, gt=0, le=300, description="Seconds after which an answer is given up.")

    def client(self) -> httpx.AsyncClient:
        """Raises `Fatal`."""
        headers = {"user-agent": "forewarn"} | self.credentials()
        return httpx.AsyncClient(headers=headers, verify=self.trusted(), timeout=self.timeout)

    def credentials(self) -> dict[str, str]:
        """Headers. Raises `Fatal`."""
        try:
            if self.token:
                return {"authorization": f"Bearer {self.token.read().get_secret_value()}"}
            password = self.password.read().get_secret_value() if self.password else ""
        except (ValueError, OSError) as why:
            raise Fatal(str(why)) from why
        if not self.username:
            return {}
        both = base64.b64encode(f"{self.username}:{password}".encode()).decode()
        return {"authorization": f"Basic {both}"}

    def trusted(self) -> ssl.SSLContext:
        """Raises `Fatal`."""
        try:
            return ssl.create_default_context(cafile=str(self.ca) if self.ca else None)
        except (ValueError, OSError) as why:
            raise Fatal(str(why)) from why


async def ask(
    client: httpx.AsyncClient, method: str, url: str, *, most: int = 64 << 20, **sent: Any
) -> bytes:
    """The body of a 2xx. Raises `NotConnected`, `Retryable` or `Fatal`."""
    try:
        async with client.stream(method, url, **sent) as response:
            body = b""
            async for part in response.aiter_bytes():
                body += part
                if len(body) > most:
                    raise Fatal(f"{url} answered more than {most >> 20} MiB; lower `limit`")
    except httpx.ConnectError as why:
        raise NotConnected(f"{url}: {why}") from why
    except httpx.HTTPError as why:
        raise Retryable(f"{url}: {why or type(why).__name__}") from why
    if response.is_success:
        return body
    text = f"{url} answered {response.status_code}: {body[:200].decode(errors='replace').strip()}"
    if response.status_code in _LATER or response.status_code >= 500:
        raise Retryable(text, after=_after(response.headers))
    raise Fatal(text)


def _after(headers: Mapping[str, str]) -> float | None:
    text = headers.get("retry-after", "")
    return float(text) if text.isdigit() else None

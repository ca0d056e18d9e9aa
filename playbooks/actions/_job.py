"""What the triggers of foreign job runners share: start one job, then look until it has ended."""

import asyncio
from abc import abstractmethod
from typing import Any, ClassVar

import httpx
from pydantic import Field, field_validator

from aiops.plugin import Action, Duration, Fatal, NotConnected, Outcome, Retryable, Secret, egress

_BUSY = (429, 502, 503, 504)


class JobAction(Action):
    """A job that another system runs. `kind`s give its routes and the words of its states."""

    url: str = Field(description="Address of the server.")
    token: Secret = Field(description="A token that may run the job.")
    every: Duration = Field(2.0, gt=0, description="Between two looks at the job.")
    timeout: Duration = Field(600.0, description="Longest time it may take.", gt=0)
    verify_tls: bool = Field(True, description="Whether the server's certificate is checked.")

    done: ClassVar[frozenset[str]]
    """States of a job that succeeded."""
    failed: ClassVar[frozenset[str]]
    """States of a job that ended otherwise; every other state is one under way."""

    @field_validator("url")
    @classmethod
    def _address(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")) or not httpx.URL(value).host:
            raise ValueError("expected an address that begins with http:// or https://")
        return value.rstrip("/")

    @abstractmethod
    def _headers(self, token: str) -> dict[str, str]:
        """How the token is shown."""

    @abstractmethod
    async def _start(self, client: httpx.AsyncClient, key: str) -> str:
        """Start the job; its id."""

    @abstractmethod
    async def _state(self, client: httpx.AsyncClient, job: str) -> tuple[str, str]:
        """The job's state, and where a person sees it."""

    async def run(self, key: str) -> Outcome:
        headers = {**self._headers(self.token.read().get_secret_value()), "Accept": "application/json"}
        started = ""
        try:
            async with (
                asyncio.timeout(self.timeout),
                egress.client(self.url, self.verify_tls, httpx.Timeout(30.0)) as client,
            ):
                client.base_url, client.headers = self.url, headers
                started = await self._start(client, key)
                return await self._watch(client, started)
        except httpx.ConnectError as why:
            raise NotConnected(f"{self.url}: {why or type(why).__name__}") from why
        except (TimeoutError, httpx.TimeoutException) as why:
            what = f"job {started} had not ended" if started else "no answer"
            raise Retryable(f"{self.url}: {what} within {self.timeout:g} s", ambiguous=True) from why
        except httpx.RequestError as why:
            raise Retryable(f"{self.url}: {why or type(why).__name__}", ambiguous=True) from why

    async def _watch(self, client: httpx.AsyncClient, job: str) -> Outcome:
        while True:
            try:
                state, link = await self._state(client, job)
            except (Retryable, httpx.RequestError):
                # The job runs on although nobody answers for it just now
                state, link = "", ""
            if state in self.done or state in self.failed:
                said = f"job {job} ended {state}" + (f": {link}" if link else "")
                return Outcome(state in self.done, said, {"job": job, "state": state, "link": link})
            await asyncio.sleep(self.every)


async def asked(client: httpx.AsyncClient, method: str, path: str, json: Any = None) -> dict[str, Any]:
    """One request; the JSON object that was answered. Raises `Retryable` or `Fatal`, in words for people."""
    response = await client.request(method, path, json=json)
    place = f"{method} {response.url.copy_with(query=None)}"
    if response.status_code in _BUSY:
        after = response.headers.get("Retry-After", "")
        wait = float(after) if after.isdigit() else None
        raise Retryable(f"{place}: {response.status_code} {response.reason_phrase}", after=wait)
    if response.status_code in (401, 403):
        raise Fatal(f"{place}: {response.status_code}: the token is not known there, or may not run the job")
    if not response.is_success:
        raise Fatal(f"{place}: {response.status_code}: {response.text[:300]}")
    try:
        answer = response.json()
    except ValueError as why:
        raise Fatal(f"{place}: answered no JSON but {response.text[:80]!r}") from why
    if not isinstance(answer, dict):
        raise Fatal(f"{place}: answered no JSON object")
    return answer


def taken(answer: dict[str, Any], *keys: str) -> str:
    """The text at a path of keys. Raises `Fatal` when the other side speaks another dialect."""
    value: Any = answer
    for key in keys:
        if not isinstance(value, dict) or key not in value:
            raise Fatal(f"the answer holds no {'.'.join(keys)}")
        value = value[key]
    return str(value)

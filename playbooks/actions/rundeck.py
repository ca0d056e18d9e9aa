"""`rundeck`: run a job of Rundeck and wait for its end (API version 14 and later)."""

from typing import ClassVar
from urllib.parse import quote

import httpx
from pydantic import ConfigDict, Field

from playbooks.actions._job import JobAction, asked, taken


class Rundeck(JobAction):
    """Run a Rundeck job. `expect` sees ``job`` (the execution's id), ``state`` and ``link``."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"url": "https://rundeck.internal", "token": {"env": "RUNDECK_TOKEN"}, "job": "0f3c-restart"},
                {
                    "url": "https://rundeck.internal",
                    "token": {"env": "RUNDECK_TOKEN"},
                    "job": "0f3c-drain",
                    "options": {"node": "web1"},
                },
            ]
        }
    )
    done: ClassVar[frozenset[str]] = frozenset({"succeeded"})
    failed: ClassVar[frozenset[str]] = frozenset(
        {"failed", "aborted", "timedout", "failed-with-retry", "other"}
    )

    job: str = Field(min_length=1, description="The job's id.")
    options: dict[str, str] = Field(default_factory=dict, description="The job's options.")
    api: int = Field(41, ge=14, description="Version of the API to speak.")

    @property
    def target(self) -> str:
        return f"rundeck/{self.job}"[:512]

    def plan(self) -> str:
        given = ", ".join(f"{k}={v!r}" for k, v in self.options.items())
        return f"run job {self.job} of {self.url}" + (f" with {given}" if given else "")

    def _headers(self, token: str) -> dict[str, str]:
        return {"X-Rundeck-Auth-Token": token}

    async def _start(self, client: httpx.AsyncClient, key: str) -> str:
        path = f"/api/{self.api}/job/{quote(self.job, safe='')}/run"
        return taken(
            await asked(client, "POST", path, {"options": {**self.options, "forewarn_key": key}}), "id"
        )

    async def _state(self, client: httpx.AsyncClient, job: str) -> tuple[str, str]:
        answer = await asked(client, "GET", f"/api/{self.api}/execution/{quote(job, safe='')}")
        return taken(answer, "status"), str(answer.get("permalink", ""))

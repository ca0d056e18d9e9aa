"""`awx`: launch a job template of AWX or Ansible Automation Platform and wait for its end (API v2)."""

from typing import Any, ClassVar

import httpx
from pydantic import ConfigDict, Field

from playbooks.actions._job import JobAction, asked, taken


class Awx(JobAction):
    """Launch an AWX job template. `expect` sees ``job`` (its id), ``state`` and ``link``."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"url": "https://awx.internal", "token": {"env": "AWX_TOKEN"}, "template": 12},
                {
                    "url": "https://awx.internal",
                    "token": {"env": "AWX_TOKEN"},
                    "template": 12,
                    "limit": "web1",
                    "variables": {"service": "checkout"},
                },
            ]
        }
    )
    done: ClassVar[frozenset[str]] = frozenset({"successful"})
    failed: ClassVar[frozenset[str]] = frozenset({"failed", "error", "canceled"})

    template: int = Field(gt=0, description="Number of the job template.")
    limit: str = Field("", max_length=512, description="Hosts or groups to which it is limited.")
    variables: dict[str, Any] = Field(default_factory=dict, description="Extra variables.")

    @property
    def target(self) -> str:
        return f"awx/{self.template}/{self.limit or 'all'}"[:512]

    def plan(self) -> str:
        given = ", ".join(f"{k}={v!r}" for k, v in self.variables.items())
        on = f" on {self.limit}" if self.limit else ""
        return f"launch template {self.template} of {self.url}{on}" + (f" with {given}" if given else "")

    def _headers(self, token: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {token}"}

    async def _start(self, client: httpx.AsyncClient, key: str) -> str:
        body = {"extra_vars": {**self.variables, "forewarn_key": key}}
        if self.limit:
            body["limit"] = self.limit  # type: ignore[assignment]
        return taken(
            await asked(client, "POST", f"/api/v2/job_templates/{self.template}/launch/", body), "id"
        )

    async def _state(self, client: httpx.AsyncClient, job: str) -> tuple[str, str]:
        state = taken(await asked(client, "GET", f"/api/v2/jobs/{job}/"), "status")
        return state, f"{self.url}/#/jobs/playbook/{job}"

"""`stackstorm`: run an action or workflow of StackStorm and wait for its end (API v1)."""

from typing import Any, ClassVar
from urllib.parse import quote

import httpx
from pydantic import ConfigDict, Field

from playbooks.actions._job import JobAction, asked, taken


class StackStorm(JobAction):
    """Run a StackStorm action. `expect` sees ``job`` (the execution's id), ``state`` and ``link``."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"url": "https://st2.internal/api", "token": {"env": "ST2_API_KEY"}, "ref": "linux.rm"},
                {
                    "url": "https://st2.internal/api",
                    "token": {"env": "ST2_API_KEY"},
                    "ref": "shop.restart",
                    "parameters": {"service": "checkout"},
                },
            ]
        }
    )
    done: ClassVar[frozenset[str]] = frozenset({"succeeded"})
    failed: ClassVar[frozenset[str]] = frozenset({"failed", "timeout", "abandoned", "canceled"})

    ref: str = Field(pattern=r"^[\w-]+\.[\w.-]+$", description="The action, as pack.name.")
    parameters: dict[str, Any] = Field(default_factory=dict, description="The action's parameters.")

    @property
    def target(self) -> str:
        return f"stackstorm/{self.ref}"[:512]

    def plan(self) -> str:
        given = ", ".join(f"{k}={v!r}" for k, v in self.parameters.items())
        return f"run {self.ref} of {self.url}" + (f" with {given}" if given else "")

    def _headers(self, token: str) -> dict[str, str]:
        return {"St2-Api-Key": token}

    async def _start(self, client: httpx.AsyncClient, key: str) -> str:
        # The context's trace tag is the one place where StackStorm lets a caller name his own request
        body = {
            "action": self.ref,
            "parameters": self.parameters,
            "context": {"trace_context": {"trace_tag": key}},
        }
        return taken(await asked(client, "POST", "/v1/executions", body), "id")

    async def _state(self, client: httpx.AsyncClient, job: str) -> tuple[str, str]:
        answer = await asked(client, "GET", f"/v1/executions/{quote(job, safe='')}")
        return taken(answer, "status"), str(answer.get("web_url", ""))

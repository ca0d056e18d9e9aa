"""ServiceNow, by its Table API (https://docs.servicenow.com, "Table API"): incidents or problems.

The record carries the problem's key as `correlation_id`, its work notes the messages' marks. An instance that
hibernates answers 200 with a page of HTML: nothing was done, and it is tried again.
"""

import base64
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from aiops.plugin import Message, Retryable, Secret, TicketRef
from aiops.plugin.http import Answer, HttpSink, plain

URGENCY = {"info": "3", "minor": "3", "major": "2", "critical": "1"}


class ServiceNow(HttpSink):
    """One record a problem in a table of ServiceNow."""

    url: str = Field(description="The instance, such as https://example.service-now.com.")
    user: str = Field(description="User of the integration; needs the role itil.", min_length=1)
    password: Secret = Field(description="That user's password.")
    table: Literal["incident", "problem"] = Field("incident", description="Which kind of record.")
    fields: dict[str, str] = Field(
        default_factory=dict, description="Further fields of a new record, such as `assignment_group`."
    )
    resolved: dict[str, str] = Field(
        {"state": "6", "close_code": "Resolved by caller", "close_notes": "Resolved, see the work notes."},
        description="Fields that are set when the problem is resolved.",
    )
    reopened: dict[str, str] = Field({"state": "2"}, description="Fields that are set when it comes back.")

    async def find(self, key: str) -> TicketRef | None:
        """The oldest record with the correlation id."""
        query = f"correlation_id={key}^ORDERBYsys_created_on"
        found = await self._list(self.table, {"sysparm_query": query, "sysparm_fields": "sys_id"})
        return self._ref(str(found[0].get("sys_id", ""))) if found else None

    async def create(self, message: Message) -> TicketRef:
        record = {
            **self.fields,
            "short_description": message.title[:160],
            "description": message.text,
            "urgency": URGENCY.get(message.severity, "3"),
            "impact": URGENCY.get(message.severity, "3"),
            "correlation_id": message.key,
            "correlation_display": "Forewarn",
        }
        answer = await self._table("POST", self.table, now=message.sent_at, data=record)
        return self._ref(answer.text_of("result", "sys_id"))

    async def update(self, ref: str, message: Message) -> None:
        """Work note and state in one change; on a repeat the note only if the journal lacks it."""
        said = message.attempt > 1 and await self._said(ref, message)
        note = {} if said else {"work_notes": f"{message.mark}\n{message.text}"}
        state = {"resolved": self.resolved, "reopened": self.reopened}.get(message.reason, {})
        if note or state:
            path = f"{self.table}/{ref}"
            answer = await self._table("PATCH", path, now=message.sent_at, data={**note, **state})
            answer.text_of("result", "sys_id")

    async def _said(self, ref: str, message: Message) -> bool:
        query = f"element_id={ref}^element=work_notes^valueLIKE{message.mark}"
        return bool(
            await self._list("sys_journal_field", {"sysparm_query": query, "sysparm_fields": "sys_id"})
        )

    async def _list(self, table: str, query: Mapping[str, str]) -> list[dict[str, Any]]:
        answer = await self._table("GET", table, query={**query, "sysparm_limit": "1"})
        found = answer.object().get("result")
        if not isinstance(found, list):
            raise Retryable(f"{self.where} answered {answer.status} without a list", ambiguous=True)
        return [one for one in found if isinstance(one, dict)]

    async def _table(self, method: str, path: str, **other: Any) -> Answer:
        who = base64.b64encode(f"{self.user}:{plain(self.password)}".encode()).decode()
        return await self._ask(
            method, f"/api/now/table/{path}", headers={"authorization": f"Basic {who}"}, **other
        )

    def _ref(self, sys_id: str) -> TicketRef:
        return TicketRef(sys_id, f"{self.url.rstrip('/')}/nav_to.do?uri={self.table}.do?sys_id={sys_id}")

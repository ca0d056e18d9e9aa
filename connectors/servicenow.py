"""ServiceNow, by its Table API (https://docs.servicenow.com, "Table API"): incidents or problems.

The record carries the problem's key as `correlation_id`, its work notes the messages' marks. An instance
that hibernates answers 200 with a page of HTML: nothing was done, and it is tried again. A business rule may
undo a change of state without a word, so the state that comes back is looked at.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Literal

from pydantic import Field

from aiops.plugin import Fatal, Message, Secret, SinkChange, TicketRef
from aiops.plugin.http import Answer, basic, plain
from aiops.plugin.signed import shown, verified
from aiops.plugin.sink import TicketSeen
from aiops.plugin.ticketing import TicketSink, moment, rows, stamp, told_by_us

URGENCY = {"info": "3", "minor": "3", "major": "2", "critical": "1"}
WORDS = "Resolved, see the work notes."
RESOLVED = {
    "incident": {"state": "6", "close_code": "Resolved by caller", "close_notes": WORDS},
    "problem": {"state": "106", "resolution_code": "fix_applied", "fix_notes": WORDS, "cause_notes": WORDS},
}
REOPENED = {"incident": {"state": "2"}, "problem": {"state": "103"}}
CLOSED = {"incident": ["6", "7", "8"], "problem": ["106", "107"]}
PAGE, MOST_PAGES = 100, 20


class ServiceNow(TicketSink):
    """One record a problem in a table of ServiceNow; both ways."""

    rates = ("urgency", "impact")

    url: str = Field(description="The instance, such as https://example.service-now.com.")
    user: str = Field(description="User of the integration; needs the role itil.", min_length=1)
    password: Secret = Field(description="That user's password.")
    table: Literal["incident", "problem"] = Field("incident", description="Which kind of record.")
    fields: dict[str, str] = Field(
        default_factory=dict, description="Further fields of a new record, such as `assignment_group`."
    )
    resolved: dict[str, str] = Field(
        default_factory=dict,
        description="Fields that are set when the problem is resolved; the table's usual ones when left out.",
    )
    reopened: dict[str, str] = Field(
        default_factory=dict,
        description="Fields that are set when it comes back; the table's usual ones else.",
    )
    closed: list[str] = Field(
        default_factory=list,
        description="States by which people close a record; the table's usual ones when left out.",
    )

    async def find(self, key: str) -> TicketRef | None:
        """The oldest record with the correlation id."""
        found = await self.seen(key)
        return self._ref(found[0].ref) if found else None

    async def seen(self, key: str) -> list[TicketSeen]:
        query = f"correlation_id={key}^ORDERBYsys_created_on"
        closed = self.closed or CLOSED[self.table]
        found = await self._list(self.table, query, "sys_id,state")
        return [TicketSeen(str(one.get("sys_id", "")), str(one.get("state")) not in closed) for one in found]

    async def create(self, message: Message) -> TicketRef:
        record = {
            **self.rated(message),
            **self.fields,
            **({"assignment_group": group} if (group := self.into(message, "")) else {}),
            **self.mapped(message),
            "short_description": message.title[:160],
            "description": message.text,
            "correlation_id": message.key,
            "correlation_display": "Forewarn",
        }
        answer = await self._table("POST", self.table, now=message.sent_at, data=record)
        return self._ref(answer.text_of("result", "sys_id"))

    def rated(self, message: Message) -> dict[str, Any]:
        return dict.fromkeys(self.rates, URGENCY.get(message.severity, "3"))

    async def update(self, ref: str, message: Message) -> None:
        """Work note and state in one change; on a repeat the note only if the journal lacks it."""
        said = message.attempt > 1 and await self._said(ref, message)
        note = {} if said else {"work_notes": f"{message.mark}\n{message.text}"}
        state = {
            "resolved": self.resolved or RESOLVED[self.table],
            "reopened": self.reopened or REOPENED[self.table],
        }.get(message.reason, {})
        if data := {**note, **self.followed(message), **state}:
            answer = await self._table("PATCH", f"{self.table}/{ref}", now=message.sent_at, data=data)
            answer.text_of("result", "sys_id")
            have = answer.object()["result"].get("state")
            if "state" in state and isinstance(have, str) and have != state["state"]:
                raise Fatal(
                    f"{self.where} kept {ref} in state {have} instead of {state['state']}: a business rule "
                    "or a mandatory field refuses it; give what it wants under `resolved` or `reopened`"
                )

    async def changes(self, since: float) -> AsyncIterator[SinkChange]:
        """From the audit and the journal of our records: needs read access to sys_audit."""
        after = stamp(since)
        ours = f"correlation_display=Forewarn^sys_updated_on>={after}"
        records = await self._list(self.table, ours, "sys_id,assigned_to.user_name")
        owners = {str(one.get("sys_id")): str(one.get("assigned_to.user_name") or "") for one in records}
        if not owners:
            return
        ids = ",".join(owners)
        audit = (
            f"tablename={self.table}^documentkeyIN{ids}^fieldnameINstate,assigned_to^sys_created_on>={after}"
        )
        fields = "sys_id,documentkey,fieldname,oldvalue,newvalue,user,sys_created_on"
        for row in await self._list("sys_audit", audit, fields):
            by, ref = str(row.get("user")), str(row.get("documentkey"))
            if (kind := self._kind(row)) and self.people(by, self.user, "system"):
                words = f"state {row.get('oldvalue')} to {row.get('newvalue')} in ServiceNow"
                text = owners.get(ref, "") if kind == "assigned" else words
                yield SinkChange(ref, kind, moment(row.get("sys_created_on")), by, text, _id(row))
        journal = f"name={self.table}^element_idIN{ids}^elementINcomments,work_notes^sys_created_on>={after}"
        fields = "sys_id,element_id,value,sys_created_by,sys_created_on"
        for row in await self._list("sys_journal_field", journal, fields):
            by, text = str(row.get("sys_created_by")), str(row.get("value") or "")
            if self.people(by, self.user, "system") and not told_by_us(text):
                at = moment(row.get("sys_created_on"))
                yield SinkChange(str(row.get("element_id")), "commented", at, by, text, _id(row))

    def _kind(self, row: Mapping[str, Any]) -> str:
        if row.get("fieldname") == "assigned_to":
            return "assigned"
        closed = self.closed or CLOSED[self.table]
        was, now = (str(row.get(name)) in closed for name in ("oldvalue", "newvalue"))
        return "" if was == now else ("closed" if now else "reopened")

    def _prove(self, secret: str, headers: Mapping[str, str], body: bytes, now: float) -> None:
        """A business rule signs by Standard Webhooks, or shows the secret as a bearer token."""
        if "webhook-signature" in headers:
            verified([secret], headers, body, now)
        else:
            shown(secret, headers)

    async def _said(self, ref: str, message: Message) -> bool:
        query = f"element_id={ref}^element=work_notes^valueLIKE{message.mark}"
        return bool(await self._list("sys_journal_field", query, "sys_id", 1))

    async def _list(self, table: str, query: str, fields: str, most: int = 0) -> list[dict[str, Any]]:
        """What matches, page by page; no more than `most` if it is given."""
        found: list[dict[str, Any]] = []
        for page in range(MOST_PAGES):
            limit = str(most or PAGE)
            asked = {"sysparm_query": query, "sysparm_fields": fields, "sysparm_limit": limit}
            offset = {"sysparm_offset": str(page * PAGE)} if page else {}
            got = rows(await self._table("GET", table, query={**asked, **offset}), "result")
            found += got
            if most or len(got) < PAGE:
                break
        return found

    async def _table(self, method: str, path: str, **other: Any) -> Answer:
        headers = {"authorization": basic(self.user, plain(self.password))}
        return await self._ask(method, f"/api/now/table/{path}", headers=headers, **other)

    def _ref(self, sys_id: str) -> TicketRef:
        return TicketRef(sys_id, f"{self.url.rstrip('/')}/nav_to.do?uri={self.table}.do?sys_id={sys_id}")


def _id(row: Mapping[str, Any]) -> str:
    return f"snow-{row.get('sys_id')}"

"""Jira Service Management's operations, once Opsgenie: alerts, which page whoever is on call; by REST API 1.

https://developer.atlassian.com/cloud/jira/service-desk-ops/rest/v2/api-group-alerts/

The problem's key is the `alias`, by which repeats of an open alert are merged, and by which it is known here:
a closed alert cannot be opened again, so what comes back is a new alert of the same alias. Every change is
only *accepted*, and done a moment later: what became of a new alert is asked once; the sweep looks later.
"""

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, ClassVar

from pydantic import Field

from aiops.plugin import Fatal, Message, Retryable, Secret, SinkChange, TicketRef
from aiops.plugin.http import HINTS, Answer, basic, plain
from aiops.plugin.signed import shown
from aiops.plugin.sink import TicketSeen
from aiops.plugin.ticketing import TicketSink, moment, rows, told_by_us

PRIORITY = {"info": "P5", "minor": "P3", "major": "P2", "critical": "P1"}
OURS = "forewarn"
"""A tag of every alert, by which those that changed are found."""
LONGEST_MESSAGE, LONGEST_TEXT = 130, 15_000
"""Characters that the API takes."""
PAGE = 50


class JiraAlert(TicketSink):
    """One alert a problem in the operations of Jira Service Management; both ways."""

    hints: ClassVar[Mapping[int, str]] = {
        **HINTS,
        401: "check `user` and `token`, which needs read:ops-alert and write:ops-alert",
        404: "check `cloud`: https://SITE.atlassian.net/_edge/tenant_info shows it",
        422: "check `responders`, `fields` and `mapping` against the API",
    }

    rates = ("priority",)

    url: str = Field("https://api.atlassian.com", description="Of Atlassian's API.")
    cloud: str = Field(description="The site's cloud id.", min_length=1, pattern=r"^[\w-]+$")
    user: str = Field(description="E-mail address of the token's owner.", min_length=1)
    token: Secret = Field(description="API token of that user.")
    responders: list[dict[str, str]] = Field(
        default_factory=list, description="Who is paged: `[{type: team, id: ...}]`; else the routing rules."
    )
    fields: dict[str, Any] = Field(
        default_factory=dict, description="Further fields of a new alert, as the API takes them."
    )

    async def seen(self, key: str) -> list[TicketSeen]:
        """One for all alerts of the problem: only the newest can be open."""
        found = await self._alerts(key)
        return [TicketSeen(key, _is_open(found[0]))] if found else []

    async def create(self, message: Message) -> TicketRef:
        link = (message.body.get("links") or {}).get("problem")
        alert = {
            **self.rated(message),
            **({"responders": self.responders} if self.responders else {}),
            **self.fields,
            **self.mapped(message),
            "message": message.title[:LONGEST_MESSAGE],
            "alias": message.key,
            "description": message.text[:LONGEST_TEXT],
            "source": "Forewarn",
        }
        alert["tags"] = [*alert.get("tags", []), OURS]
        alert["extraProperties"] = {**alert.get("extraProperties", {}), **({"problem": link} if link else {})}
        told = await self._ops("POST", "", now=message.sent_at, data=alert)
        await self._judge(told, message)
        return TicketRef(message.key)

    def rated(self, message: Message) -> dict[str, Any]:
        return {"priority": PRIORITY.get(message.severity, "P3")}

    async def update(self, ref: str, message: Message) -> None:
        """A note, then what else changed; a repeat does only what is not done yet."""
        found = await self._alerts(ref)
        if not found:
            raise Retryable(f"{self.where} lists no alert {ref} yet")
        alert, now = found[0], message.sent_at
        if message.reason == "reopened" and not _is_open(alert):
            await self.create(message)
            return
        path = f"/{alert['id']}"
        if message.attempt == 1 or not await self._said(path, message.mark):
            note = {"note": f"{message.mark}\n{message.text}"[:LONGEST_TEXT]}
            await self._ops("POST", f"{path}/notes", now=now, data=note)
        priority = self.followed(message).get("priority")
        if priority and priority != alert.get("priority"):
            await self._ops("PATCH", f"{path}/priority", now=now, data={"priority": priority})
        if message.reason == "resolved" and _is_open(alert):
            await self._ops("POST", f"{path}/close", now=now, data={"source": "Forewarn"})

    async def changes(self, since: float) -> AsyncIterator[SinkChange]:
        """From what our alerts have become, and from their notes."""
        query = {"query": f"tag: {OURS} AND updatedAt >= {int(since * 1000)}"}
        asked = {"size": str(PAGE), "sort": "updatedAt", "order": "asc"}
        for place in range(20):
            page = {"offset": str(place * PAGE)} if place else {}
            alerts = rows(await self._ops("GET", "", query={**query, **asked, **page}), "values")
            for alert in alerts:
                for change in self._moves(alert):
                    if change.at > since:
                        yield change
                async for change in self._notes(alert, since):
                    yield change
            if len(alerts) < PAGE:
                return

    def _moves(self, alert: Mapping[str, Any]) -> Iterator[SinkChange]:
        """An alert is closed once; who has acknowledged it has it."""
        ident, ref, report = str(alert.get("id")), str(alert.get("alias")), alert.get("report") or {}
        at = moment(alert.get("updatedAt"))
        closer, taker = (str(report.get(name) or "") for name in ("closedBy", "acknowledgedBy"))
        owner = str(alert.get("owner") or taker)
        if not _is_open(alert) and self.people(closer, self.user, "System"):
            yield SinkChange(ref, "closed", at, closer, "closed in Jira", f"jsm-{ident}-closed")
        if self.people(owner, self.user, "System"):
            yield SinkChange(ref, "assigned", at, taker or owner, owner, f"jsm-{ident}-{owner[:80]}")

    async def _notes(self, alert: Mapping[str, Any], since: float) -> AsyncIterator[SinkChange]:
        for said in await self._list_notes(f"/{alert.get('id')}"):
            by, at, text = (
                str(said.get("owner") or ""),
                moment(said.get("createdAt")),
                str(said.get("note") or ""),
            )
            if at > since and self.people(by, self.user, "System") and not told_by_us(text):
                ident = f"jsm-n{said.get('id') or said.get('offset') or said.get('createdAt')}"
                yield SinkChange(str(alert.get("alias")), "commented", at, by, text, ident)

    def _prove(self, secret: str, headers: Mapping[str, str], body: bytes, now: float) -> None:
        """An outgoing webhook shows the secret in a header of its own."""
        shown(secret, headers)

    async def _said(self, path: str, mark: str) -> bool:
        return any(mark in str(one.get("note") or "") for one in await self._list_notes(path))

    async def _list_notes(self, path: str) -> list[dict[str, Any]]:
        query = {"size": "100", "order": "desc"}
        return rows(await self._ops("GET", f"{path}/notes", query=query), "values")

    async def _alerts(self, key: str) -> list[dict[str, Any]]:
        """Those of the alias, the newest first. `/alerts/alias` would show only an open one."""
        query = {"query": f'alias: "{key}"', "sort": "createdAt", "order": "desc", "size": "10"}
        found = rows(await self._ops("GET", "", query=query), "values")
        return [one for one in found if one.get("alias") == key and one.get("id")]

    async def _judge(self, told: Answer, message: Message) -> None:
        """Raises `Fatal` when the accepted alert was refused by now; one that still waits counts as done."""
        path = f"/requests/{told.text_of('requestId')}"
        try:
            done = (await self._ops("GET", path, now=message.sent_at)).object()
        except (Fatal, Retryable):
            return
        if done.get("isSuccess") is False and done.get("processedAt"):
            raise Fatal(
                f"{self.where} accepted the alert and then refused it: {str(done.get('status'))[:200]} "
                "(check `responders`, the plan of the site and the rights of the token)"
            )

    async def _ops(self, method: str, path: str, **other: Any) -> Answer:
        who = {"authorization": basic(self.user, plain(self.token))}
        where = f"/jsm/ops/api/{self.cloud}/v1/alerts{path}"
        return await self._ask(method, where, headers=who, **other)


def _is_open(alert: Mapping[str, Any]) -> bool:
    return alert.get("status") != "closed"

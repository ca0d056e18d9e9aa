"""Zammad, by its REST API (https://docs.zammad.org/en/latest/api/intro.html).

The ticket carries the problem's key in an object attribute, articles the messages' marks as their subjects.
State and article go in one change. A ticket that Zammad made without its first article, as it may when it
refuses that, is completed and not made again.
"""

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping
from typing import Any, ClassVar

from pydantic import Field, PrivateAttr

from aiops.plugin import Fatal, Message, Secret, SinkChange, TicketRef
from aiops.plugin.http import HINTS, Answer, plain
from aiops.plugin.signed import hashed
from aiops.plugin.sink import TicketSeen
from aiops.plugin.ticketing import TicketSink, moment, rows, told_by_us, without_html

SYSTEM = "1"
"""Zammad's own user: triggers, schedulers."""


class Zammad(TicketSink):
    """One ticket a problem in a group of Zammad; both ways."""

    hints: ClassVar[Mapping[int, str]] = {
        **HINTS,
        422: "check `group`, `customer`, `attribute`, `mapping` and the states against Zammad's own",
    }

    lag = 15.0  # Elasticsearch is told by a job in the background

    url: str = Field(description="Zammad's address.")
    token: Secret = Field(description="Access token of an agent, with the permission ticket.agent.")
    group: str = Field(description="Name of the group.", min_length=1)
    customer: str = Field(description="E-mail address of the customer in whose name tickets are opened.")
    attribute: str = Field(
        "forewarn_key", description="Name of a ticket attribute of type text that holds a problem's key."
    )
    resolved: str = Field("closed", description="State of the ticket of a resolved problem.")
    opened: str = Field("open", description="State of a ticket that is opened again.")
    closed: list[str] = Field(["closed", "merged"], description="States by which people close a ticket.")

    _me: str = PrivateAttr("")

    async def find(self, key: str) -> TicketRef | None:
        """The oldest ticket with the key; one whose first article is missing is left to `create`."""
        ident = await self._with(key)
        return self._ref(ident) if ident and await self._said(ident, f"[{key}#1]") else None

    async def seen(self, key: str) -> list[TicketSeen]:
        return [TicketSeen(str(one.get("id")), self._is_open(one)) for one in await self._tickets(key, "10")]

    def _is_open(self, ticket: Mapping[str, Any]) -> bool | None:
        state = ticket.get("state")
        return state not in self.closed if isinstance(state, str) else None

    async def create(self, message: Message) -> TicketRef:
        if message.attempt > 1 and (half := await self._with(message.key)):
            data = {"article": await self._article(message, message.first_mark)}
            await self._rest("PUT", f"/tickets/{half}", now=message.sent_at, data=data)
            return self._ref(half)
        ticket = {
            **self.mapped(message),
            "title": message.title,
            "group": self.into(message, self.group),
            "customer": self.customer,
            self.attribute: message.key,
            "article": await self._article(message, message.first_mark),
        }
        answer = await self._rest("POST", "/tickets", now=message.sent_at, data=ticket)
        made = answer.object()
        ref = self._ref(answer.text_of("id"))
        if made.get(self.attribute) != message.key:
            # it can never be found again, so no second one may be made of it
            raise Fatal(
                f"{self.where}: ticket {ref.ref} was made without `{self.attribute}`: add this attribute to "
                "tickets in Zammad (text, visible to agents), and close the ticket"
            )
        return ref

    async def update(self, ref: str, message: Message) -> None:
        change: dict[str, Any] = {}
        if message.attempt == 1 or not await self._said(ref, message.mark):
            change["article"] = await self._article(message, message.mark)
        state = {"resolved": self.resolved, "reopened": self.opened}.get(message.reason)
        change |= self.followed(message)
        if state:
            change["state"] = state
        if change:
            await self._rest("PUT", f"/tickets/{ref}", now=message.sent_at, data=change)

    async def changes(self, since: float) -> AsyncIterator[SinkChange]:
        """From the history and articles of our tickets."""
        if not self._me:
            self._me = (await self._rest("GET", "/users/me")).text_of("id")
        query = {
            "query": f"{self.attribute}:fw-*",
            "limit": "100",
            "sort_by": "updated_at",
            "order_by": "desc",
        }
        for ticket in rows(await self._rest("GET", "/tickets/search", query=query)):
            if moment(ticket.get("updated_at")) > since:
                async for change in self._of(str(ticket.get("id")), since):
                    yield change

    async def _of(self, ref: str, since: float) -> AsyncIterator[SinkChange]:
        answer = await self._rest("GET", f"/ticket_history/{ref}")
        users = (answer.object().get("assets") or {}).get("User") or {}
        for row in rows(answer, "history"):
            who, at = str(row.get("created_by_id") or ""), moment(row.get("created_at"))
            by = str((users.get(who) or {}).get("login") or who)
            kind, text = self._kind(row)
            if kind and at > since and self.people(who, self._me, SYSTEM) and self.people(by):
                yield SinkChange(ref, kind, at, by, text, f"zammad-{row.get('id')}")
        for said in rows(await self._rest("GET", f"/ticket_articles/by_ticket/{ref}")):
            who, at = str(said.get("created_by_id") or ""), moment(said.get("created_at"))
            by, text = str(said.get("created_by") or who), without_html(str(said.get("body") or ""))
            ours = told_by_us(str(said.get("subject") or "")) or said.get("sender") == "System"
            if at > since and not ours and self.people(who, self._me, SYSTEM) and self.people(by):
                yield SinkChange(ref, "commented", at, by, text, f"zammad-a{said.get('id')}")

    def _kind(self, row: Mapping[str, Any]) -> tuple[str, str]:
        if row.get("object") != "Ticket":
            return "", ""
        old, new = str(row.get("value_from") or ""), str(row.get("value_to") or "")
        match row.get("attribute"):
            case "owner":
                return "assigned", "" if new == "-" else new
            case "state" if (old in self.closed) != (new in self.closed):
                return ("closed" if new in self.closed else "reopened"), f"{old} to {new} in Zammad"
        return "", ""

    def _prove(self, secret: str, headers: Mapping[str, str], body: bytes, now: float) -> None:
        """As Zammad's webhooks with a signature token do."""
        hashed(secret, headers, "x-hub-signature", body, prefix="sha1=")

    async def _with(self, key: str) -> str:
        found = await self._tickets(key, "1")
        return str(found[0].get("id") or "") if found else ""

    async def _tickets(self, key: str, most: str) -> list[dict[str, Any]]:
        """The oldest first; `expand` names their states."""
        query = {"query": f'{self.attribute}:"{key}"', "limit": most, "expand": "true"}
        order = {"sort_by": "created_at", "order_by": "asc"}
        return rows(await self._rest("GET", "/tickets/search", query={**query, **order}))

    async def _said(self, ref: str, mark: str) -> bool:
        articles = rows(await self._rest("GET", f"/ticket_articles/by_ticket/{ref}"))
        return any(str(one.get("subject", "")).startswith(mark) for one in articles)

    async def _article(self, message: Message, mark: str) -> dict[str, Any]:
        drawn = await asyncio.to_thread(message.pictures)
        files = [
            {"filename": one.name, "data": base64.b64encode(one.png).decode(), "mime-type": "image/png"}
            for one in drawn
        ]
        article = {"subject": f"{mark} {message.title}", "body": message.text, "type": "note"}
        return {**article, "internal": True, **({"attachments": files} if files else {})}

    async def _rest(self, method: str, path: str, **other: Any) -> Answer:
        headers = {"authorization": f"Token token={plain(self.token)}"}
        return await self._ask(method, f"/api/v1{path}", headers=headers, **other)

    def _ref(self, ident: Any) -> TicketRef:
        return TicketRef(str(ident), f"{self.url.rstrip('/')}/#ticket/zoom/{ident}")

"""Zammad, by its REST API (https://docs.zammad.org/en/latest/api/intro.html).

The ticket carries the problem's key in an object attribute, articles the messages' marks as their subjects.
State and article go in one change.
"""

from typing import Any, ClassVar

from pydantic import Field

from aiops.plugin import Fatal, Message, Retryable, Secret, TicketRef
from aiops.plugin.http import HINTS, Answer, HttpSink, plain


class Zammad(HttpSink):
    """One ticket a problem in a group of Zammad."""

    hints: ClassVar[dict[int, str]] = {
        **HINTS,
        422: "check `group`, `customer`, `attribute` and the states against Zammad's own",
    }

    url: str = Field(description="Zammad's address.")
    token: Secret = Field(description="Access token of an agent, with the permission ticket.agent.")
    group: str = Field(description="Name of the group.", min_length=1)
    customer: str = Field(description="E-mail address of the customer in whose name tickets are opened.")
    attribute: str = Field(
        "forewarn_key", description="Name of a ticket attribute of type text that holds a problem's key."
    )
    resolved: str = Field("closed", description="State of the ticket of a resolved problem.")
    opened: str = Field("open", description="State of a ticket that is opened again.")

    async def find(self, key: str) -> TicketRef | None:
        """The oldest ticket with the key."""
        query = {
            "query": f'{self.attribute}:"{key}"',
            "limit": "1",
            "sort_by": "created_at",
            "order_by": "asc",
        }
        found = _rows(await self._rest("GET", "/tickets/search", query=query))
        return self._ref(found[0].get("id")) if found else None

    async def create(self, message: Message) -> TicketRef:
        ticket = {
            "title": message.title,
            "group": self.group,
            "customer": self.customer,
            self.attribute: message.key,
            "article": self._article(message),
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
            change["article"] = self._article(message)
        state = {"resolved": self.resolved, "reopened": self.opened}.get(message.reason)
        if state:
            change["state"] = state
        if change:
            await self._rest("PUT", f"/tickets/{ref}", now=message.sent_at, data=change)

    async def _said(self, ref: str, mark: str) -> bool:
        articles = _rows(await self._rest("GET", f"/ticket_articles/by_ticket/{ref}"))
        return any(str(one.get("subject", "")).startswith(mark) for one in articles)

    def _article(self, message: Message) -> dict[str, Any]:
        subject = f"{message.mark} {message.title}"
        return {"subject": subject, "body": message.text, "type": "note", "internal": True}

    async def _rest(self, method: str, path: str, **other: Any) -> Answer:
        headers = {"authorization": f"Token token={plain(self.token)}"}
        return await self._ask(method, f"/api/v1{path}", headers=headers, **other)

    def _ref(self, ident: Any) -> TicketRef:
        return TicketRef(str(ident), f"{self.url.rstrip('/')}/#ticket/zoom/{ident}")


def _rows(answer: Answer) -> list[dict[str, Any]]:
    found = answer.json()
    if not isinstance(found, list):
        raise Retryable(f"{answer.where} answered {answer.status} with no list", ambiguous=True)
    return [one for one in found if isinstance(one, dict)]

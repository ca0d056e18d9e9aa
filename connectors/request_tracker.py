"""Best Practical's Request Tracker 5, by its REST 2.0 (https://docs.bestpractical.com/rt/5.0.4/RT/REST2.html).

A ticket carries the problem's key in a custom field, and every comment carries the message's mark as its
subject, which the history shows as `Data`: so whatever may have arrived already can be searched for.

RT's own answers are not enough. A custom field that the queue does not have is dropped in silence, so the
queue is looked at first; a status that is refused is answered 200, so the ticket is read again.
"""

import asyncio
import base64
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, ClassVar, Literal
from urllib.parse import quote

from pydantic import Field, PrivateAttr, field_validator

from aiops.plugin import Fatal, Message, Secret, SinkChange, TicketRef
from aiops.plugin.http import HINTS, Answer, plain
from aiops.plugin.sink import TicketSeen
from aiops.plugin.ticketing import TicketSink, moment, rows, stamp, told_by_us

SYSTEM = "RT_System"
PAGE = 100
"""RT gives no more at once."""
MOST_PAGES = 50
MOST_TEXTS = 1000


class RequestTracker(TicketSink):
    """One ticket a problem in a queue of Request Tracker 5; both ways."""

    hints: ClassVar[Mapping[int, str]] = {
        **HINTS,
        401: "the token is wrong or was revoked",
        403: "check `queue`, which may not exist, and the rights of the token's user",
        404: "no such ticket, or RT's REST 2.0 is not at `url` + /REST/2.0",
    }

    rates = ("Priority",)

    url: str = Field(description="RT's web address, such as https://rt.example; without /REST/2.0.")
    token: Secret = Field(description="Authentication token of the user that writes the tickets.")
    queue: str = Field(description="Name of the queue.", min_length=1)
    field: str = Field("ForewarnKey", description="Custom field of that queue that holds a problem's key.")
    priorities: dict[Literal["info", "minor", "major", "critical"], int] = Field(
        {"info": 10, "minor": 30, "major": 60, "critical": 90}, description="RT's priority by our severity."
    )
    opened: str = Field("open", description="Status of a ticket that is opened again.")
    resolved: str = Field("resolved", description="Status of the ticket of a resolved problem.")
    closed: list[str] = Field(
        ["resolved", "rejected", "deleted"], description="Statuses by which people close a ticket."
    )
    _checked: set[str] = PrivateAttr(default_factory=set)
    _said_by_people: dict[str, str] = PrivateAttr(default_factory=dict)
    """Transaction -> its text: what overlaps from one look to the next is not read again."""

    @field_validator("queue", "field")
    @classmethod
    def _quotable(cls, value: str) -> str:
        # TicketSQL has no way to write these
        if any(c in value for c in "'\"{}\\"):
            raise ValueError("quotes, braces and backslashes cannot be searched for in RT")
        return value

    async def find(self, key: str) -> TicketRef | None:
        """The oldest ticket with the key."""
        found = await self.seen(key)
        return self._ref(found[0].ref) if found else None

    async def seen(self, key: str) -> list[TicketSeen]:
        """Whatever queue people have moved them to; oldest first. Deleted ones are not among them."""
        query = {"query": f"CF.{{{self.field}}} = '{key}'", "orderby": "id", "fields": "Status"}
        items = rows(await self._rest("GET", "/tickets", query=query), "items")
        return [TicketSeen(str(one["id"]), one.get("Status") not in self.closed) for one in items]

    async def create(self, message: Message) -> TicketRef:
        queue = message.queue or self.queue
        await self._check_queue(queue, message.sent_at)
        ticket = {
            "Queue": queue,
            "Subject": message.title,
            "ContentType": "text/plain",
            "Content": message.text,
            **_fields({**self.rated(message), **self.mapped(message)}),
        }
        ticket["CustomFields"] = {**ticket.get("CustomFields", {}), self.field: message.key}
        ticket |= await _attached(message)
        answer = await self._rest("POST", "/ticket", now=message.sent_at, data=ticket)
        return self._ref(answer.text_of("id"))

    async def update(self, ref: str, message: Message) -> None:
        """A comment with the message's mark, then the status; a repeat does only what is not done yet."""
        if message.attempt == 1 or not await self._said(ref, message.mark):
            comment = {
                "Subject": f"{message.mark} {message.title}",
                "ContentType": "text/plain",
                "Content": message.text,
                **await _attached(message),
            }
            await self._rest("POST", f"/ticket/{ref}/comment", now=message.sent_at, data=comment)
        wanted = {"resolved": self.resolved, "reopened": self.opened}.get(message.reason)
        if wanted:
            await self._set_status(ref, wanted, message)
        if followed := self.followed(message):
            await self._set(ref, _fields(followed), message.sent_at, "`follow` and `mapping`")

    async def changes(self, since: float) -> AsyncIterator[SinkChange]:
        """From the tickets' history: closed, reopened, commented, assigned; not what we did ourselves."""
        after = stamp(since - 1)
        query = {
            "query": f"CF.{{{self.field}}} IS NOT NULL AND LastUpdated > '{after}'",
            "orderby": "LastUpdated",
            "fields": "Creator,Owner",
        }
        async for ticket in self._all("/tickets", query):
            async for change in self._history(ticket, since):
                yield change

    # -- how it is done

    async def _rest(self, method: str, path: str, **other: Any) -> Answer:
        headers = {"authorization": f"token {plain(self.token)}"}
        return await self._ask(method, f"/REST/2.0{path}", headers=headers, **other)

    def _ref(self, ident: Any) -> TicketRef:
        return TicketRef(str(ident), f"{self.url.rstrip('/')}/Ticket/Display.html?id={ident}")

    def rated(self, message: Message) -> dict[str, Any]:
        return {"Priority": next((p for s, p in self.priorities.items() if s == message.severity), 0)}

    async def _check_queue(self, name: str, now: float) -> None:
        """Without the field a ticket could never be found again, and would be made again and again."""
        if name in self._checked:
            return
        queue = (await self._rest("GET", f"/queue/{quote(name, safe='')}", now=now)).object()
        fields = [f.get("name") for f in queue.get("TicketCustomFields") or [] if isinstance(f, dict)]
        if self.field not in fields:
            what = f"queue {name} has no custom field {self.field} that the token's user may see"
            raise Fatal(
                f"{self.where}: {what}: add it to the queue, with SeeCustomField and ModifyCustomField"
            )
        self._checked.add(name)

    async def _said(self, ref: str, mark: str) -> bool:
        query = {"fields": "Type,Data", "per_page": str(PAGE)}
        async for one in self._all(f"/ticket/{ref}/history", query):
            if one.get("Type") == "Comment" and str(one.get("Data", "")).startswith(mark):
                return True
        return False

    async def _set_status(self, ref: str, wanted: str, message: Message) -> None:
        """Raises `Fatal` with RT's own words when the status is refused, which RT answers with 200."""
        now = message.sent_at
        have = (await self._rest("GET", f"/ticket/{ref}", now=now)).text_of("Status")
        # people may have closed it, or be at it, in a way of their own
        if have == wanted or (have in self.closed) == (message.reason == "resolved"):
            return
        await self._set(ref, {"Status": wanted}, now, "`resolved` and `opened` against the queue's lifecycle")

    async def _set(self, ref: str, wanted: Mapping[str, Any], now: float, check: str) -> None:
        said = await self._rest("PUT", f"/ticket/{ref}", now=now, data=dict(wanted))
        have = (await self._rest("GET", f"/ticket/{ref}", now=now)).object()
        for name, value in wanted.items():
            if name != "CustomFields" and str(have.get(name)) != str(value):
                words = said.body.decode("utf-8", "replace").strip()[:300]
                hint = f"ticket {ref} stays {have.get(name)!r}: check {check}"
                raise Fatal(f"{self.where} refused the {name.lower()} {value!r}: {words} ({hint})")

    async def _all(self, path: str, query: Mapping[str, str]) -> AsyncIterator[dict[str, Any]]:
        """Every item of a list, page by page."""
        for page in range(1, MOST_PAGES + 1):
            asked = {"per_page": str(PAGE), **query, "page": str(page)}
            items = rows(await self._rest("GET", path, query=asked), "items")
            for one in items:
                yield one
            if len(items) < PAGE:
                return

    async def _history(self, ticket: Mapping[str, Any], since: float) -> AsyncIterator[SinkChange]:
        """What people did to one ticket after `since`, oldest first."""
        ref, ours = str(ticket["id"]), _who(ticket.get("Creator"))
        fields = {"fields": "Type,Field,OldValue,NewValue,Creator,Created"}
        history = [one async for one in self._all(f"/ticket/{ref}/history", fields)]
        for row, by in _by_people(history, ours):
            kind, text = self._kind(row, ticket)
            at = moment(row["Created"])
            if not kind or at <= since or not self.people(by):
                continue
            if kind == "commented":
                text = await self._content(str(row["id"]))
            if not told_by_us(text):
                yield SinkChange(ref, kind, at, by, text, f"rt-{row['id']}")

    def _kind(self, row: Mapping[str, Any], ticket: Mapping[str, Any]) -> tuple[str, str]:
        """A `SinkChange` kind and text; two empty texts for what is of no interest here."""
        match row.get("Type"), row.get("Field"):
            case "Status", _:
                was, now = (str(row.get(name)) in self.closed for name in ("OldValue", "NewValue"))
                words = f"{row.get('OldValue')} to {row.get('NewValue')} in Request Tracker"
                return ("", "") if was == now else ("closed" if now else "reopened", words)
            case (("Comment" | "Correspond"), _):
                return "commented", ""
            case "Set", "Owner":
                return "assigned", _who(ticket.get("Owner"))
        return "", ""

    async def _content(self, transaction: str) -> str:
        known = self._said_by_people
        if transaction not in known:
            if len(known) >= MOST_TEXTS:
                known.clear()
            known[transaction] = await self._read_content(transaction)
        return known[transaction]

    async def _read_content(self, transaction: str) -> str:
        path, query = f"/transaction/{transaction}/attachments", {"fields": "Content,ContentType"}
        parts = [one async for one in self._all(path, query)]
        plain_parts = [
            str(p["Content"]) for p in parts if p.get("ContentType") == "text/plain" and p.get("Content")
        ]
        return "\n".join(plain_parts).strip()


def _fields(given: Mapping[str, Any]) -> dict[str, Any]:
    """As RT takes them: what is named ``CF.`` is a custom field's."""
    own = {name.removeprefix("CF."): value for name, value in given.items() if name.startswith("CF.")}
    other = {name: value for name, value in given.items() if not name.startswith("CF.")}
    return {**other, **({"CustomFields": own} if own else {})}


async def _attached(message: Message) -> dict[str, Any]:
    """The pictures of what went wrong."""
    drawn = await asyncio.to_thread(message.pictures)
    files = [
        {"FileName": one.name, "FileType": "image/png", "FileContent": base64.b64encode(one.png).decode()}
        for one in drawn
    ]
    return {"Attachments": files} if files else {}


def _by_people(rows: list[dict[str, Any]], ours: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Rows that people caused, and who. RT itself acts on behalf of whoever acted before it."""
    actor = ours
    for row in rows:
        who = _who(row.get("Creator"))
        if who != SYSTEM:
            actor = who
        if actor != ours:
            yield row, actor


def _who(user: Any) -> str:
    return str(user.get("id", "")) if isinstance(user, dict) else ""

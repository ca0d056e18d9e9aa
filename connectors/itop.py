"""Combodo iTop 3, by its REST/JSON services (https://www.itophub.io/wiki, "REST/JSON services").

The description bears the first message's mark, entries of the private log those of the others: both are
searched for. iTop answers everything 200: whether it was done says `code`.
"""

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

from pydantic import Field

from aiops.plugin import Fatal, Message, Retryable, Secret, SinkChange, TicketRef
from aiops.plugin.http import plain
from aiops.plugin.params import Zone
from aiops.plugin.signed import shown
from aiops.plugin.sink import TicketSeen
from aiops.plugin.ticketing import TicketSink, as_html, moment, stamp, told_by_us, without_html

URGENCY = {"info": "4", "minor": "3", "major": "2", "critical": "1"}
IMPACT = {"info": "3", "minor": "3", "major": "2", "critical": "1"}
HINTS = {
    1: "check `user` and `password`, and that the user has the profile REST Services User",
    2: "check `url`: the service wants a version",
    6: "the user may not do this: check its profiles",
}
AUDIT = "CMDBChangeOpSetAttributeScalar"


class Itop(TicketSink):
    """One ticket a problem in iTop, its news in the private log; both ways."""

    rates = ("urgency", "impact")

    url: str = Field(description="iTop's address, such as https://itop.example; without /webservices.")
    user: str = Field(description="User of the integration; its profile: REST Services User.", min_length=1)
    password: Secret = Field(description="That user's password.")
    org: str = Field(description="Name of the organization.", min_length=1, pattern=r"^[^'\"\\]+$")
    type: str = Field("Incident", description="Class of the ticket: Incident, UserRequest.", pattern=r"^\w+$")
    fields: dict[str, Any] = Field(
        default_factory=dict, description="Further fields of a new ticket, as iTop's API takes them."
    )
    resolved: dict[str, Any] = Field(
        {"solution": "Resolved, see the log."}, description="Fields that go with the stimulus `ev_resolve`."
    )
    assign: dict[str, Any] = Field(
        default_factory=dict,
        description="Team and agent, for iTop resolves only what is assigned: "
        "`{team_id: {name: Ops}, agent_id: {email: forewarn@example.org}}`.",
    )
    closed: list[str] = Field(["resolved", "closed"], description="Statuses by which people close a ticket.")
    timezone: Zone = Field("UTC", description="In which iTop tells times.")

    async def find(self, key: str) -> TicketRef | None:
        """The oldest ticket with the first message's mark."""
        return self._ref(found[0].ref) if (found := await self.seen(key)) else None

    async def seen(self, key: str) -> list[TicketSeen]:
        found = await self._get(f"SELECT {self.type} WHERE description LIKE '%[{key}#1]%'", "status")
        return [
            TicketSeen(ref, found[ref].get("status") not in self.closed) for ref in sorted(found, key=int)
        ]

    async def create(self, message: Message) -> TicketRef:
        fields = {
            **self.rated(message),
            **self.fields,
            **self.mapped(message),
            "org_id": f"SELECT Organization WHERE name = '{self.org}'",
            "title": message.title,
            "description": f"<p>{message.first_mark}</p>{as_html(message.text)}",
        }
        made = await self._do("core/create", message, fields=fields, output_fields="id,ref")
        return self._ref(_only(made, self.where))

    def rated(self, message: Message) -> dict[str, Any]:
        return {
            "urgency": URGENCY.get(message.severity, "3"),
            "impact": IMPACT.get(message.severity, "3"),
        }

    async def update(self, ref: str, message: Message) -> None:
        """An entry of the log, then the stimulus; a repeat does only what is not done yet."""
        fields = self.followed(message)
        if message.attempt == 1 or not await self._said(ref, message.mark):
            entry = {"message": f"{message.mark}\n{message.text}", "format": "text"}
            fields["private_log"] = {"add_item": entry}
        if fields:
            await self._do("core/update", message, key=_key(ref), fields=fields)
        if message.reason in ("resolved", "reopened"):
            await self._move(ref, message)

    async def changes(self, since: float) -> AsyncIterator[SinkChange]:
        """From the log and the history of our tickets."""
        after = stamp(since - 1, self.timezone)
        ours = f"SELECT {self.type} WHERE description LIKE '%[fw-%' AND last_update > '{after}'"
        tickets = await self._get(ours, "agent_id_friendlyname,private_log,public_log")
        if not tickets:
            return
        of = (
            f"objclass='{self.type}' AND objkey IN ({','.join(tickets)}) AND attcode IN ('status','agent_id')"
        )
        history = await self._get(
            f"SELECT {AUDIT} WHERE {of}", "objkey,attcode,oldvalue,newvalue,date,userinfo", AUDIT
        )
        for ident, row in history.items():
            by, at, ref = (
                str(row.get("userinfo")),
                moment(row.get("date"), self.timezone),
                str(row.get("objkey")),
            )
            kind, text = self._kind(row, str(tickets.get(ref, {}).get("agent_id_friendlyname") or ""))
            if kind and at > since and self.people(by, self.user):
                yield SinkChange(ref, kind, at, by, text, f"itop-{ident}")
        for ref, fields in tickets.items():
            for change in self._entries(ref, fields):
                if change.at > since:
                    yield change

    def _entries(self, ref: str, fields: Mapping[str, Any]) -> Iterator[SinkChange]:
        """What people wrote into both logs."""
        for log in ("private_log", "public_log"):
            entries = (fields.get(log) or {}).get("entries") or []
            for place, entry in enumerate(entries):
                by = str(entry.get("user_login") or "")
                text = without_html(str(entry.get("message") or ""))
                if self.people(by, self.user) and not told_by_us(text):
                    # the newest stands first: its number must not change with those that come after it
                    ident = f"itop-{ref}-{log}-{len(entries) - place}"
                    yield SinkChange(
                        ref, "commented", moment(entry.get("date"), self.timezone), by, text, ident
                    )

    def _kind(self, row: Mapping[str, Any], agent: str) -> tuple[str, str]:
        if row.get("attcode") == "agent_id":
            return "assigned", agent
        was, now = (str(row.get(end)) in self.closed for end in ("oldvalue", "newvalue"))
        words = f"{row.get('oldvalue')} to {row.get('newvalue')} in iTop"
        return ("", "") if was == now else ("closed" if now else "reopened", words)

    def _prove(self, secret: str, headers: Mapping[str, str], body: bytes, now: float) -> None:
        """An outgoing webhook of iTop shows the secret as a bearer token."""
        shown(secret, headers)

    async def _said(self, ref: str, mark: str) -> bool:
        (fields,) = (
            await self._get(f"SELECT {self.type} WHERE id = {_key(ref)}", "private_log")
        ).values() or ({},)
        entries = (fields.get("private_log") or {}).get("entries") or []
        return any(mark in str(entry.get("message") or "") for entry in entries)

    async def _move(self, ref: str, message: Message) -> None:
        """By iTop's own life cycle, in which only an assigned ticket can be resolved."""
        done = message.reason == "resolved"
        (have,) = (await self._get(f"SELECT {self.type} WHERE id = {_key(ref)}", "status")).values() or ({},)
        status = str(have.get("status") or "")
        if not status or (status in self.closed) is done:
            return
        if done and status == "new" and self.assign:
            await self._do(
                "core/apply_stimulus", message, key=_key(ref), stimulus="ev_assign", fields=self.assign
            )
        stimulus, fields = ("ev_resolve", self.resolved) if done else ("ev_reopen", {})
        await self._do("core/apply_stimulus", message, key=_key(ref), stimulus=stimulus, fields=fields)

    async def _get(self, oql: str, fields: str, kind: str = "") -> dict[str, dict[str, Any]]:
        """Number -> fields."""
        told = await self._call(
            {"operation": "core/get", "class": kind or self.type, "key": oql, "output_fields": fields}
        )
        return {str(one.get("key")): one.get("fields") or {} for one in _objects(told)}

    async def _do(self, operation: str, message: Message, **other: Any) -> dict[str, Any]:
        asked = {"operation": operation, "class": self.type, "comment": f"Forewarn {message.mark}"}
        return await self._call({"output_fields": "id", **asked, **other}, message.sent_at)

    async def _call(self, data: Mapping[str, Any], now: float = 0.0) -> dict[str, Any]:
        """Raises what `code` means."""
        form = {
            "auth_user": self.user,
            "auth_pwd": plain(self.password),
            "json_data": json.dumps(data, ensure_ascii=False),
        }
        path = "/webservices/rest.php?version=1.3"
        told = (await self._ask("POST", path, now=now, form=form)).object()
        code = told.get("code")
        if code == 0:
            return told
        if not isinstance(code, int):
            raise Retryable(f"{self.where} answered 200 without `code`: is `url` iTop's?", ambiguous=True)
        hint = HINTS.get(code, "check `fields`, `mapping`, `assign` and `resolved` against iTop's data model")
        raise Fatal(f"{self.where} refused with code {code}: {str(told.get('message'))[:200]} ({hint})")

    def _ref(self, ident: str) -> TicketRef:
        page = f"pages/UI.php?operation=details&class={self.type}&id={ident}"
        return TicketRef(ident, f"{self.url.rstrip('/')}/{page}")


def _objects(told: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = told.get("objects")
    return [one for one in found.values() if isinstance(one, dict)] if isinstance(found, dict) else []


def _only(told: Mapping[str, Any], where: str) -> str:
    for one in _objects(told):
        if one.get("code") == 0 and one.get("key"):
            return str(one["key"])
    raise Retryable(f"{where} answered without the ticket that was made", ambiguous=True)


def _key(ref: str) -> int | str:
    return int(ref) if ref.isdigit() else f"'{ref.replace(chr(39), '')}'"

"""GLPI 9.5 to 11, by its REST API (https://glpi-project.org/doc, apirest.php): tickets or problems.

The first line of a ticket and of each followup is the message's mark, by which both are searched for: GLPI's
schema needs no change. A session is opened with the user's token, and anew when GLPI has forgotten it. GLPI
answers an update that it refuses 200 or 207 with ``false``, and names times in its own time zone.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, PrivateAttr

from aiops.plugin import Fatal, Message, Retryable, Secret, SinkChange, TicketRef
from aiops.plugin.http import HINTS, Answer, plain
from aiops.plugin.params import Zone
from aiops.plugin.signed import hashed, timely
from aiops.plugin.sink import TicketSeen
from aiops.plugin.ticketing import TicketSink, as_html, moment, stamp, told_by_us, without_html

URGENCY = {"info": 2, "minor": 3, "major": 4, "critical": 5}
SOLVED, CLOSED = 5, ("5", "6")
CONTENT, STATUS, CHANGED, TECHNICIAN = "21", "12", "19", "5"
"""Search options of tickets and problems."""
FORGOTTEN = ("ERROR_SESSION_TOKEN_INVALID", "ERROR_SESSION_TOKEN_MISSING")


class Glpi(TicketSink):
    """One ticket a problem in GLPI, its news as followups; both ways."""

    hints: ClassVar[Mapping[int, str]] = {
        **HINTS,
        400: "check `fields` and `mapping`, and the rights of the token's user",
        401: "check `user_token` and `app_token`, and that the API takes this address",
    }

    rates = ("urgency", "impact")

    url: str = Field(description="Of the REST API, such as https://glpi.example/apirest.php.")
    user_token: Secret = Field(description="The user's API token, from its remote access keys.")
    app_token: Secret | None = Field(None, description="Token of the API client, where GLPI asks for one.")
    type: Literal["Ticket", "Problem"] = Field("Ticket", description="Which kind of record.")
    fields: dict[str, str | int] = Field(
        default_factory=dict, description="Further fields of a new record, such as `itilcategories_id`."
    )
    private: bool = Field(True, description="Followups are seen by technicians only.")
    opened: int = Field(2, description="Status of a record that is opened again: 2 is processing.")
    timezone: Zone = Field("UTC", description="In which GLPI tells times.")

    _session: str = PrivateAttr("")
    _me: str = PrivateAttr("")

    async def find(self, key: str) -> TicketRef | None:
        """The oldest record whose description bears the first message's mark."""
        return self._ref(found[0].ref) if (found := await self.seen(key)) else None

    async def seen(self, key: str) -> list[TicketSeen]:
        found = await self._search({CONTENT: ("contains", f"[{key}#1]")})
        return [TicketSeen(ref, found[ref] not in CLOSED if found[ref] else None) for ref in found]

    async def create(self, message: Message) -> TicketRef:
        record = {
            **self.rated(message),
            **self.fields,
            **self.mapped(message),
            "name": message.title,
            "content": _body(message, message.first_mark),
        }
        answer = await self._rest("POST", f"/{self.type}", now=message.sent_at, data={"input": record})
        return self._ref(answer.text_of("id"))

    def rated(self, message: Message) -> dict[str, Any]:
        return dict.fromkeys(self.rates, URGENCY.get(message.severity, 3))

    async def update(self, ref: str, message: Message) -> None:
        """A followup, then the status; a repeat does only what is not done yet."""
        if message.attempt == 1 or not await self._said(ref, message.mark):
            said = {
                "itemtype": self.type,
                "items_id": int(ref) if ref.isdigit() else ref,
                "content": _body(message, message.mark),
                "is_private": int(self.private),
            }
            path = f"/{self.type}/{ref}/ITILFollowup"
            made = await self._rest("POST", path, now=message.sent_at, data={"input": said})
            made.text_of("id")
        wanted = {"resolved": SOLVED, "reopened": self.opened}.get(message.reason)
        if wanted:
            await self._set_status(ref, wanted, message.sent_at)
        if followed := self.followed(message):
            await self._set(ref, followed, message.sent_at)

    async def changes(self, since: float) -> AsyncIterator[SinkChange]:
        """From the history and followups of our records."""
        if not self._me:
            session = (await self._rest("GET", "/getFullSession")).object().get("session") or {}
            self._me = f"({session.get('glpiID')})"
        after = stamp(since - 1, self.timezone)
        for ref in await self._search({CONTENT: ("contains", "[fw-"), CHANGED: ("morethan", after)}):
            for row in await self._list(f"/{self.type}/{ref}/Log"):
                by, at = str(row.get("user_name") or ""), moment(row.get("date_mod"), self.timezone)
                kind, text = _kind(row)
                if kind and at > since and self._is_person(by):
                    yield SinkChange(ref, kind, at, by, text, f"glpi-{row.get('id')}")
            for row in await self._list(f"/{self.type}/{ref}/ITILFollowup"):
                by, at = str(row.get("users_id") or ""), moment(row.get("date"), self.timezone)
                text = without_html(str(row.get("content") or ""))
                if at > since and f"({by})" != self._me and self.people(by) and not told_by_us(text):
                    yield SinkChange(ref, "commented", at, f"user {by}", text, f"glpi-f{row.get('id')}")

    def _is_person(self, by: str) -> bool:
        """GLPI names users as in ``glpi (2)``; what it does by itself bears no name."""
        return not by.endswith(self._me) and self.people(by) and self.people(by.rpartition(" (")[0])

    def _prove(self, secret: str, headers: Mapping[str, str], body: bytes, now: float) -> None:
        """As GLPI 11 signs: the hash of body and time."""
        at = headers.get("x-glpi-timestamp", "")
        timely(at, now, "x-glpi-timestamp")
        hashed(secret, headers, "x-glpi-signature", body + at.encode(), prefix="")

    async def _said(self, ref: str, mark: str) -> bool:
        said = await self._list(f"/{self.type}/{ref}/ITILFollowup")
        return any(mark in str(one.get("content") or "") for one in said)

    async def _set_status(self, ref: str, wanted: int, now: float) -> None:
        have = (await self._rest("GET", f"/{self.type}/{ref}", now=now)).text_of("status")
        if (have in CLOSED) != (wanted == SOLVED):
            await self._set(ref, {"status": wanted}, now)

    async def _set(self, ref: str, fields: Mapping[str, Any], now: float) -> None:
        """Raises `Fatal` for what GLPI refuses, which it answers 200 or 207."""
        told = (await self._rest("PUT", f"/{self.type}/{ref}", now=now, data={"input": fields})).json()
        refused = [one for one in told if isinstance(one, dict) and one.get(ref) is False] if told else []
        if refused:
            words = str(refused[0].get("message") or "no reason given")[:200]
            what = ", ".join(f"{name} {value}" for name, value in fields.items())
            raise Fatal(f"{self.where} refused {what} of {ref}: {words} (check the rights of the user)")

    async def _search(self, wanted: Mapping[str, tuple[str, str]]) -> dict[str, str]:
        """Numbers of records -> their status; what is wanted of an option is a way to compare and a value."""
        query = {
            "forcedisplay[0]": "2",
            "forcedisplay[1]": STATUS,
            "range": "0-199",
            "sort": "2",
            "order": "ASC",
        }
        for place, (option, (way, value)) in enumerate(wanted.items()):
            base = f"criteria[{place}]"
            query |= {f"{base}[link]": "AND", f"{base}[field]": option}
            query |= {f"{base}[searchtype]": way, f"{base}[value]": value}
        told = (await self._rest("GET", f"/search/{self.type}", query=query)).object()
        if "totalcount" not in told:
            raise Retryable(f"{self.where} answered a search without `totalcount`", ambiguous=True)
        data = [row for row in told.get("data") or [] if isinstance(row, dict) and "2" in row]
        return {str(row["2"]): str(row.get(STATUS) or "") for row in data}

    async def _list(self, path: str) -> list[dict[str, Any]]:
        query = {"range": "0-499", "sort": "id", "order": "DESC"}
        found = (await self._rest("GET", path, query=query)).json()
        if not isinstance(found, list):
            raise Retryable(f"{self.where} answered with no list: is `url` its API?", ambiguous=True)
        return [one for one in found if isinstance(one, dict)]

    async def _rest(self, method: str, path: str, **other: Any) -> Answer:
        """Within a session, which is opened anew once."""
        fresh = not self._session
        try:
            return await self._ask(method, path, headers=await self._who(), **other)
        except Fatal as why:
            self._session = ""
            if fresh or not any(word in str(why) for word in FORGOTTEN):
                raise
        return await self._ask(method, path, headers=await self._who(), **other)

    async def _who(self) -> dict[str, str]:
        app = {"app-token": plain(self.app_token)} if self.app_token else {}
        if not self._session:
            who = {"authorization": f"user_token {plain(self.user_token)}", **app}
            self._session = (await self._ask("GET", "/initSession", headers=who)).text_of("session_token")
        return {"session-token": self._session, **app}

    def _ref(self, ident: Any) -> TicketRef:
        site = self.url.partition("/apirest.php")[0].rstrip("/")
        return TicketRef(str(ident), f"{site}/front/{self.type.lower()}.form.php?id={ident}")


def _body(message: Message, mark: str) -> str:
    return f"<p>{mark}</p>{as_html(message.text)}"


def _kind(row: Mapping[str, Any]) -> tuple[str, str]:
    option, old, new = (str(row.get(name) or "") for name in ("id_search_option", "old_value", "new_value"))
    if option == STATUS:
        was, now = old in CLOSED, new in CLOSED
        return ("", "") if was == now else ("closed" if now else "reopened", f"status {old} to {new} in GLPI")
    return ("assigned", new.rpartition(" (")[0] or new) if option == TECHNICIAN else ("", "")

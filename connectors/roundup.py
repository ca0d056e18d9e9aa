"""Roundup 2, by its REST interface (https://www.roundup-tracker.org/docs/rest.html); classic schema or alike.

What a problem says is a `msg` whose `messageid` is the message's mark; the issue is the one that holds the
first of them. So everything can be searched for, and the tracker's schema needs no change. The messages of an
issue are a set and are changed under its ETag: adding one twice adds it once.
"""

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field, PrivateAttr

from aiops.plugin import Fatal, Message, Retryable, Secret, SinkChange, TicketRef
from aiops.plugin.http import HINTS, Answer, basic, plain
from aiops.plugin.sink import TicketSeen
from aiops.plugin.ticketing import TicketSink, moment, rows, stamp

FELL_OVER = "An error occurred. Please check the server log"
"""With which Roundup answers any fault of its own, and 400 beside it as for a fault of ours."""


class Roundup(TicketSink):
    """One issue a problem in a Roundup tracker."""

    hints: ClassVar[Mapping[int, str]] = {
        **HINTS,
        400: "check `url` against the tracker's own `web` setting, and `priorities` and `statuses`",
        409: "check that `user` is the name of a user of the tracker",
        412: "somebody changed the issue at the same moment",
    }
    again: ClassVar[frozenset[int]] = frozenset({412})
    rates = ("priority",)

    url: str = Field(description="The tracker's web address, exactly as in its own `web` setting.")
    user: str = Field(
        description="Name of the user that writes the issues; needs the role User.", min_length=1
    )
    password: Secret = Field(description="That user's password.")
    priorities: dict[Literal["info", "minor", "major", "critical"], str] = Field(
        {"info": "feature", "minor": "bug", "major": "urgent", "critical": "critical"},
        description="Roundup's priority by our severity.",
    )
    opened: str = Field("chatting", description="Status of an issue that is opened again.")
    resolved: str = Field("resolved", description="Status of the issue of a resolved problem.")
    closed: list[str] = Field(
        ["resolved", "done-cbb"], description="Statuses by which people close an issue."
    )

    _last: dict[str, tuple[bool, str]] = PrivateAttr(default_factory=dict)
    """Issue -> whether it was closed and whose it was at the last look: Roundup's REST tells no history."""
    _ours: dict[str, bool] = PrivateAttr(default_factory=dict)
    """Issue -> whether its first message is a problem's."""
    _read: set[str] = PrivateAttr(default_factory=set)
    """Messages that are no person's."""
    _orphans: dict[str, str] = PrivateAttr(default_factory=dict)
    """Mark -> the message that the last search found to be in no issue."""

    async def find(self, key: str) -> TicketRef | None:
        """The oldest issue whose first message is the problem's."""
        found = await self._issues(key)
        return self._ref(found[0]) if found else None

    async def seen(self, key: str) -> list[TicketSeen]:
        found = []
        for ident in await self._issues(key):
            issue = await self._rest("GET", f"/issue/{ident}", query={"@verbose": "2"})
            status = issue.object().get("data", {}).get("attributes", {}).get("status") or {}
            name = status.get("name") if isinstance(status, dict) else None
            found.append(TicketSeen(ident, name not in self.closed if name else None))
        return found

    async def _issues(self, key: str) -> list[str]:
        """Issues that hold the problem's first message, the oldest first."""
        found: list[str] = []
        mark = f"[{key}#1]"
        self._orphans.pop(mark, None)
        said = await self._search("msg", {"messageid:": mark})
        for ident in said:
            found += await self._search("issue", {"messages": ident})
        if said and not found:
            self._orphans[mark] = said[0]
        return sorted(set(found), key=int)

    async def create(self, message: Message) -> TicketRef:
        issue = {
            **self.rated(message),
            **self.mapped(message),
            "title": message.title,
            "messages": [await self._said(message, message.first_mark)],
        }
        answer = await self._rest("POST", "/issue", now=message.sent_at, data=issue)
        return self._ref(answer.text_of("data", "id"))

    def rated(self, message: Message) -> dict[str, Any]:
        return {"priority": next((p for s, p in self.priorities.items() if s == message.severity), "bug")}

    async def update(self, ref: str, message: Message) -> None:
        """Message and status in one change, which the server refuses if the issue changed meanwhile.

        The classic tracker opens a closed issue again when a message comes without a status.
        """
        ident = await self._said(message, message.mark)
        got = await self._rest("GET", f"/issue/{ref}", now=message.sent_at, query={"@verbose": "2"})
        data = got.object().get("data")
        fields = data.get("attributes") if isinstance(data, dict) else None
        if not isinstance(fields, dict):
            raise Retryable(f"{self.where} answered {got.status} without the issue", ambiguous=True)
        have = [str(one.get("id")) for one in fields.get("messages") or [] if isinstance(one, dict)]
        wanted = {"resolved": self.resolved, "reopened": self.opened}.get(message.reason)
        present = _named(fields.get("status"), "name")
        stays = wanted in (None, present) or (wanted == self.resolved and present in self.closed)
        status = wanted if not stays else present if present in self.closed else None
        followed = self.followed(message)
        if ident in have and stays and not followed:
            return
        change = {"messages": [*have, *([] if ident in have else [ident])], **followed}
        await self._rest(
            "PUT",
            f"/issue/{ref}",
            now=message.sent_at,
            data=change | ({"status": status} if status else {}),
            headers={"if-match": got.headers.get("etag", "")},
        )

    async def changes(self, since: float) -> AsyncIterator[SinkChange]:
        """From what our issues have become since the last look, and from their messages.

        What people did before the first look after a start is known only where the issue is closed by it.
        """
        after = {"activity": f"{stamp(since - 1).replace(' ', '.')};", "@verbose": "2"}
        fields = {"@fields": "status,actor,activity,assignedto,messages"}
        for issue in await self._rows("issue", {**after, **fields}):
            said = sorted((_named(one, "id") for one in issue.get("messages") or []), key=int)
            if not said or not await self._is_ours(str(issue["id"]), said[0]):
                continue
            for change in self._moves(issue):
                if change.at > since:
                    yield change
            for ident in said[1:]:
                if heard := await self._spoken(str(issue["id"]), ident, since):
                    yield heard

    def _moves(self, issue: Mapping[str, Any]) -> Iterator[SinkChange]:
        ref, by = str(issue["id"]), _named(issue.get("actor"), "username")
        status, owner = _named(issue.get("status"), "name"), _named(issue.get("assignedto"), "username")
        was, self._last[ref] = self._last.get(ref), (status in self.closed, owner)
        closed, activity = status in self.closed, str(issue.get("activity"))
        if not self.people(by, self.user):
            return
        at = moment(activity.replace(".", " ", 1))
        if closed != (was[0] if was else False):
            kind = "closed" if closed else "reopened"
            yield SinkChange(ref, kind, at, by, f"now {status} in Roundup", f"ru-{ref}-{kind}-{activity}")
        if owner != (was[1] if was else ""):
            yield SinkChange(ref, "assigned", at, by, owner, f"ru-{ref}-{owner[:20]}-{activity}")

    async def _spoken(self, ref: str, ident: str, since: float) -> SinkChange | None:
        if ident in self._read:
            return None
        query = {"@fields": "author,date,messageid,content", "@verbose": "3"}
        data = (await self._rest("GET", f"/msg/{ident}", query=query)).object().get("data")
        fields = data.get("attributes") if isinstance(data, dict) else None
        if not isinstance(fields, dict):
            return None
        at, by = (
            moment(str(fields.get("date")).replace(".", " ", 1)),
            _named(fields.get("author"), "username"),
        )
        text = str(fields.get("content") or "").strip()
        ours = str(fields.get("messageid") or "").startswith("[fw-")
        if ours or not self.people(by, self.user):
            self._read.add(ident)
            return None
        return SinkChange(ref, "commented", at, by, text, f"ru-m{ident}") if at > since else None

    async def _is_ours(self, ref: str, first: str) -> bool:
        if ref not in self._ours:
            found = await self._rows("msg", {"id": first, "@fields": "messageid"})
            self._ours[ref] = any(str(one.get("messageid")).startswith("[fw-") for one in found)
        return self._ours[ref]

    async def _rows(self, kind: str, query: Mapping[str, str]) -> list[dict[str, Any]]:
        return rows(await self._rest("GET", f"/{kind}", query={**query, "@sort": "id"}), "data", "collection")

    async def _said(self, message: Message, mark: str) -> str:
        """The number of the `msg` with the mark, which is written unless an earlier attempt has done so."""
        if orphan := self._orphans.pop(mark, ""):
            return orphan
        if message.attempt > 1 and (found := await self._search("msg", {"messageid:": mark})):
            return found[0]
        # without an author the tracker's own detectors refuse the issue
        said = {"content": message.text, "messageid": mark, "author": self.user, "date": "."}
        return (await self._rest("POST", "/msg", now=message.sent_at, data=said)).text_of("data", "id")

    async def _search(self, kind: str, query: Mapping[str, str]) -> list[str]:
        """Numbers, ascending."""
        answer = await self._rest("GET", f"/{kind}", query={**query, "@sort": "id"})
        data = answer.object().get("data")
        items = data.get("collection") if isinstance(data, dict) else None
        if not isinstance(items, list):
            text = f"{self.where} answered {answer.status} without a collection: is it Roundup's REST?"
            raise Retryable(text, ambiguous=True)
        return [str(one["id"]) for one in items if isinstance(one, dict) and "id" in one]

    async def _rest(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **other: Any
    ) -> Answer:
        parts = urlsplit(self.url)
        # Roundup's guard against forged requests asks for the last three
        fixed = {
            "authorization": basic(self.user, plain(self.password)),
            "x-requested-with": "forewarn",
            "origin": f"{parts.scheme}://{parts.netloc}",
            "referer": self.url,
        }
        try:
            return await self._ask(method, f"/rest/data{path}", headers={**fixed, **(headers or {})}, **other)
        except Fatal as why:
            if FELL_OVER not in str(why):
                raise
            text = f"{self.where}: Roundup itself failed, as when its database is locked; its log says how"
            raise Retryable(text, ambiguous=True) from why

    def _ref(self, ident: str) -> TicketRef:
        return TicketRef(ident, f"{self.url.rstrip('/')}/issue{ident}")


def _named(link: Any, name: str) -> str:
    """What a link shows of what it leads to."""
    return str(link.get(name) or "") if isinstance(link, dict) else ""

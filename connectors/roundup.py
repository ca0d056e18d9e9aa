"""Roundup 2, by its REST interface (https://www.roundup-tracker.org/docs/rest.html); classic schema or alike.

What a problem says is a `msg` whose `messageid` is the message's mark; the issue is the one that holds the
first of them. So everything can be searched for, and the tracker's schema needs no change. The messages of an
issue are a set and are changed under its ETag: adding one twice adds it once.
"""

import base64
from collections.abc import Mapping
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field

from aiops.plugin import Message, Retryable, Secret, TicketRef
from aiops.plugin.http import HINTS, Answer, HttpSink, plain


class Roundup(HttpSink):
    """One issue a problem in a Roundup tracker."""

    hints: ClassVar[Mapping[int, str]] = {
        **HINTS,
        400: "check `url` against the tracker's own `web` setting, and `priorities` and `statuses`",
        409: "check that `user` is the name of a user of the tracker",
        412: "somebody changed the issue at the same moment",
    }
    again: ClassVar[frozenset[int]] = frozenset({412})

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

    async def find(self, key: str) -> TicketRef | None:
        """The oldest issue whose first message is the problem's."""
        first = await self._search("msg", {"messageid:": f"[{key}#1]"})
        for ident in first:
            if found := await self._search("issue", {"messages": ident}):
                return self._ref(found[0])
        return None

    async def create(self, message: Message) -> TicketRef:
        issue = {
            "title": message.title,
            "messages": [await self._said(message)],
            "priority": self.priorities.get(message.severity, "bug"),  # type: ignore[call-overload]
        }
        answer = await self._rest("POST", "/issue", now=message.sent_at, data=issue)
        return self._ref(answer.text_of("data", "id"))

    async def update(self, ref: str, message: Message) -> None:
        """Message and status in one change, which the server refuses if the issue changed meanwhile."""
        ident = await self._said(message)
        got = await self._rest("GET", f"/issue/{ref}", now=message.sent_at)
        data = got.object().get("data")
        fields = data.get("attributes") if isinstance(data, dict) else None
        if not isinstance(fields, dict):
            raise Retryable(f"{self.where} answered {got.status} without the issue", ambiguous=True)
        have = [str(one.get("id")) for one in fields.get("messages") or [] if isinstance(one, dict)]
        status = {"resolved": self.resolved, "reopened": self.opened}.get(message.reason)
        if ident in have and status is None:
            return
        change = {"messages": [*have, *([] if ident in have else [ident])]}
        await self._rest(
            "PUT",
            f"/issue/{ref}",
            now=message.sent_at,
            data=change | ({"status": status} if status else {}),
            headers={"if-match": got.headers.get("etag", "")},
        )

    async def _said(self, message: Message) -> str:
        """The number of the message's `msg`, which is written unless an earlier attempt has done so."""
        if message.attempt > 1 and (found := await self._search("msg", {"messageid:": message.mark})):
            return found[0]
        # without an author the tracker's own detectors refuse the issue
        said = {"content": message.text, "messageid": message.mark, "author": self.user, "date": "."}
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
        who = base64.b64encode(f"{self.user}:{plain(self.password)}".encode()).decode()
        # Roundup's guard against forged requests asks for the last three
        fixed = {
            "authorization": f"Basic {who}",
            "x-requested-with": "forewarn",
            "origin": f"{parts.scheme}://{parts.netloc}",
            "referer": self.url,
        }
        return await self._ask(method, f"/rest/data{path}", headers={**fixed, **(headers or {})}, **other)

    def _ref(self, ident: str) -> TicketRef:
        return TicketRef(ident, f"{self.url.rstrip('/')}/issue{ident}")

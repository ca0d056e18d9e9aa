"""Jira, Cloud by its REST API 3 and Data Center by 2 (https://developer.atlassian.com/cloud/jira/platform/rest/).

The issue carries the problem's key as a label, comments the messages' marks. Version 3 takes texts as
Atlassian Document Format, version 2 as they are. Which transition leads where differs between projects, so an
issue is closed by whichever transition leads to a status of the category *done*.
"""

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, Literal

from pydantic import Field, PrivateAttr

from aiops.plugin import Fatal, Message, Secret, SinkChange, TicketRef
from aiops.plugin.http import Answer, basic, plain
from aiops.plugin.signed import hashed, shown
from aiops.plugin.sink import TicketSeen
from aiops.plugin.ticketing import TicketSink, moment, rows, told_by_us

OURS = "forewarn"
"""A label of every issue, by which those that changed are found."""
MOST_PAGES = 20


class Jira(TicketSink):
    """One issue a problem in a project of Jira, Jira Service Management included; both ways."""

    lag = 10.0  # the index of issues is brought up to date a little later

    url: str = Field(description="The site, such as https://example.atlassian.net.")
    api: Literal["3", "2"] = Field("3", description="3 for Cloud, 2 for Data Center.")
    user: str = Field("", description="E-mail address of the token's owner (Cloud); empty for Data Center.")
    token: Secret = Field(description="API token (Cloud) or personal access token (Data Center).")
    project: str = Field(description="Key of the project.", min_length=1, pattern=r"^\w+$")
    type: str = Field("Task", description="Name of the issue type.")
    fields: dict[str, Any] = Field(
        default_factory=dict,
        description="Further fields of a new issue, as Jira's API takes them, such as the Request Type of "
        "Jira Service Management.",
    )
    internal: bool = Field(
        False, description="In Jira Service Management: comments are for agents, customers do not see them."
    )

    _me: str = PrivateAttr("")
    _done: dict[str, bool] = PrivateAttr(default_factory=dict)
    """Status, by its id -> whether it is of the category done."""

    async def find(self, key: str) -> TicketRef | None:
        """The oldest issue with the label."""
        found = await self.seen(key)
        return self._ref(found[0].ref) if found else None

    async def seen(self, key: str) -> list[TicketSeen]:
        query = {"jql": f'labels = "{key}" ORDER BY created ASC', "fields": "status", "maxResults": "10"}
        issues = rows(await self._rest("GET", self._search, query=query), "issues")
        return [TicketSeen(str(one.get("key", "")), _is_open(one.get("fields"))) for one in issues]

    async def create(self, message: Message) -> TicketRef:
        fields = {**self.fields, **self.mapped(message)}
        fields |= {
            "project": {"key": self.into(message, self.project)},
            "issuetype": {"name": self.type},
            "summary": message.title,
            "description": self._text(message.text),
            "labels": [*fields.get("labels", []), OURS, message.key],
        }
        answer = await self._rest("POST", "/issue", now=message.sent_at, data={"fields": fields})
        return self._ref(answer.text_of("key"))

    async def update(self, ref: str, message: Message) -> None:
        """A comment, then the transition; a repeat does only what is not done yet."""
        if message.attempt == 1 or not await self._said(ref, message.mark):
            body: dict[str, Any] = {"body": self._text(f"{message.mark}\n{message.text}")}
            if self.internal:
                body["properties"] = [{"key": "sd.public.comment", "value": {"internal": True}}]
            await self._rest("POST", f"/issue/{ref}/comment", now=message.sent_at, data=body)
        if message.reason in ("resolved", "reopened"):
            await self._move(ref, message)
        if followed := self.followed(message):
            await self._rest("PUT", f"/issue/{ref}", now=message.sent_at, data={"fields": followed})

    async def changes(self, since: float) -> AsyncIterator[SinkChange]:
        """From the change logs and comments of our issues."""
        if not self._me:
            self._me = _who((await self._rest("GET", "/myself")).object())
            states = rows(await self._rest("GET", "/status"))
            self._done = {str(one.get("id")): _category(one) == "done" for one in states}
        async for issue in self._changed(since):
            ref, fields = str(issue.get("key")), issue.get("fields") or {}
            for log in (issue.get("changelog") or {}).get("histories") or []:
                by, at = _who(log.get("author") or {}), moment(log.get("created"))
                if at > since and self.people(by, self._me) and not self._is_ignored(log.get("author")):
                    for place, (kind, text) in enumerate(self._kinds(log, fields)):
                        yield SinkChange(
                            ref, kind, at, _name(log["author"]), text, f"jira-{log['id']}-{place}"
                        )
            for said in (fields.get("comment") or {}).get("comments") or []:
                by, at, text = (
                    _who(said.get("author") or {}),
                    moment(said.get("created")),
                    _flat(said.get("body")),
                )
                ours = told_by_us(text) or self._is_ignored(said.get("author"))
                if at > since and self.people(by, self._me) and not ours:
                    name = _name(said["author"])
                    yield SinkChange(ref, "commented", at, name, text, f"jira-c{said.get('id')}")

    def _kinds(self, log: Mapping[str, Any], fields: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        for item in log.get("items") or []:
            if item.get("field") == "assignee":
                yield "assigned", _name(fields.get("assignee") or {})
            elif item.get("field") == "status":
                was, now = (self._done.get(str(item.get(end)), False) for end in ("from", "to"))
                if was != now:
                    words = f"{item.get('fromString')} to {item.get('toString')} in Jira"
                    yield "closed" if now else "reopened", words

    async def _changed(self, since: float) -> AsyncIterator[dict[str, Any]]:
        # a number is milliseconds everywhere; a date would be in the user's own time zone
        jql = f'labels = "{OURS}" AND updated >= {int(since * 1000)}'
        asked = {"jql": f"{jql} ORDER BY updated ASC", "fields": "comment,assignee", "expand": "changelog"}
        token, start = "", 0
        for _ in range(MOST_PAGES):
            page = {"nextPageToken": token} if token else ({"startAt": str(start)} if start else {})
            answer = await self._rest("GET", self._search, query={**asked, "maxResults": "50", **page})
            issues = rows(answer, "issues")
            for issue in issues:
                yield issue
            told, start = answer.object(), start + len(issues)
            token = str(told.get("nextPageToken") or "")
            if not token and start >= int(told.get("total") or 0):
                return

    def _is_ignored(self, author: Any) -> bool:
        return isinstance(author, dict) and _name(author) in self.ignore

    def _prove(self, secret: str, headers: Mapping[str, str], body: bytes, now: float) -> None:
        """A webhook with a secret is signed; an automation rule shows it as a bearer token."""
        if "x-hub-signature" in headers:
            hashed(secret, headers, "x-hub-signature", body)
        else:
            shown(secret, headers)

    async def _said(self, ref: str, mark: str) -> bool:
        query = {"orderBy": "-created", "maxResults": "100"}
        comments = rows(await self._rest("GET", f"/issue/{ref}/comment", query=query), "comments")
        return any(mark in json.dumps(one.get("body"), ensure_ascii=False) for one in comments)

    async def _move(self, ref: str, message: Message) -> None:
        done, now = message.reason == "resolved", message.sent_at
        issue = (await self._rest("GET", f"/issue/{ref}", now=now, query={"fields": "status"})).object()
        if (_category((issue.get("fields") or {}).get("status")) == "done") is done:
            return
        ways = rows(await self._rest("GET", f"/issue/{ref}/transitions", now=now), "transitions")
        way = next((one for one in ways if (_category(one.get("to")) == "done") is done), None)
        if way is None:
            wanted = "a done status" if done else "a status that is not done"
            raise Fatal(f"{self.where}: {ref} has no transition to {wanted} that the token's owner may use")
        path, data = f"/issue/{ref}/transitions", {"transition": {"id": way.get("id")}}
        await self._rest("POST", path, now=now, data=data)

    @property
    def _search(self) -> str:
        return "/search/jql" if self.api == "3" else "/search"

    async def _rest(self, method: str, path: str, **other: Any) -> Answer:
        token = plain(self.token)
        who = basic(self.user, token) if self.user else f"Bearer {token}"
        return await self._ask(method, f"/rest/api/{self.api}{path}", headers={"authorization": who}, **other)

    def _text(self, text: str) -> Any:
        """As the version takes it."""
        if self.api == "2":
            return text
        lines = [[{"type": "text", "text": line}] if line else [] for line in text.split("\n")]
        return {
            "type": "doc",
            "version": 1,
            "content": [{"type": "paragraph", "content": line} for line in lines],
        }

    def _ref(self, key: str) -> TicketRef:
        return TicketRef(key, f"{self.url.rstrip('/')}/browse/{key}")


def _category(status: Mapping[str, Any] | None) -> str:
    return str(((status or {}).get("statusCategory") or {}).get("key", ""))


def _is_open(fields: Any) -> bool | None:
    category = _category(fields.get("status")) if isinstance(fields, dict) else ""
    return category != "done" if category else None


def _who(user: Mapping[str, Any]) -> str:
    """A user's id: of the cloud, else of the data center."""
    return str(user.get("accountId") or user.get("key") or user.get("name") or "")


def _name(user: Mapping[str, Any]) -> str:
    return str(user.get("emailAddress") or user.get("displayName") or user.get("name") or "")


def _flat(body: Any) -> str:
    """The text of a comment, whichever version wrote it."""
    if isinstance(body, str):
        return body
    if not isinstance(body, dict):
        return ""
    inner = "".join(_flat(one) for one in body.get("content") or [])
    return f"{body.get('text') or ''}{inner}" + ("\n" if body.get("type") == "paragraph" else "")

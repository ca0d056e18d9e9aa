"""Jira, Cloud by its REST API 3 and Data Center by 2 (https://developer.atlassian.com/cloud/jira/platform/rest/).

The issue carries the problem's key as a label, comments the messages' marks. Version 3 takes texts as
Atlassian Document Format, version 2 as they are. Which transition leads where differs between projects, so an
issue is closed by whichever transition leads to a status of the category *done*.
"""

import base64
import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from aiops.plugin import Fatal, Message, Retryable, Secret, TicketRef
from aiops.plugin.http import Answer, HttpSink, plain


class Jira(HttpSink):
    """One issue a problem in a project of Jira."""

    url: str = Field(description="The site, such as https://example.atlassian.net.")
    api: Literal["3", "2"] = Field("3", description="3 for Cloud, 2 for Data Center.")
    user: str = Field("", description="E-mail address of the token's owner (Cloud); empty for Data Center.")
    token: Secret = Field(description="API token (Cloud) or personal access token (Data Center).")
    project: str = Field(description="Key of the project.", min_length=1)
    type: str = Field("Task", description="Name of the issue type.")
    fields: dict[str, Any] = Field(
        default_factory=dict, description="Further fields of a new issue, as Jira's API takes them."
    )

    async def find(self, key: str) -> TicketRef | None:
        """The oldest issue with the label."""
        query = {"jql": f'labels = "{key}" ORDER BY created ASC', "fields": "key", "maxResults": "1"}
        path = "/search/jql" if self.api == "3" else "/search"
        issues = await self._list("GET", path, "issues", query=query)
        return self._ref(str(issues[0].get("key", ""))) if issues else None

    async def create(self, message: Message) -> TicketRef:
        fields = {
            **self.fields,
            "project": {"key": self.project},
            "issuetype": {"name": self.type},
            "summary": message.title,
            "description": self._text(message.text),
            "labels": [*self.fields.get("labels", []), message.key],
        }
        answer = await self._rest("POST", "/issue", now=message.sent_at, data={"fields": fields})
        return self._ref(answer.text_of("key"))

    async def update(self, ref: str, message: Message) -> None:
        """A comment, then the transition; a repeat does only what is not done yet."""
        if message.attempt == 1 or not await self._said(ref, message.mark):
            body = self._text(f"{message.mark}\n{message.text}")
            await self._rest("POST", f"/issue/{ref}/comment", now=message.sent_at, data={"body": body})
        if message.reason in ("resolved", "reopened"):
            await self._move(ref, message)

    async def _said(self, ref: str, mark: str) -> bool:
        query = {"orderBy": "-created", "maxResults": "100"}
        comments = await self._list("GET", f"/issue/{ref}/comment", "comments", query=query)
        return any(mark in json.dumps(one.get("body"), ensure_ascii=False) for one in comments)

    async def _move(self, ref: str, message: Message) -> None:
        done, now = message.reason == "resolved", message.sent_at
        issue = (await self._rest("GET", f"/issue/{ref}", now=now, query={"fields": "status"})).object()
        if (_category((issue.get("fields") or {}).get("status")) == "done") is done:
            return
        ways = await self._list("GET", f"/issue/{ref}/transitions", "transitions", now=now)
        way = next((one for one in ways if (_category(one.get("to")) == "done") is done), None)
        if way is None:
            wanted = "a done status" if done else "a status that is not done"
            raise Fatal(f"{self.where}: {ref} has no transition to {wanted} that the token's owner may use")
        path, data = f"/issue/{ref}/transitions", {"transition": {"id": way.get("id")}}
        await self._rest("POST", path, now=now, data=data)

    async def _list(self, method: str, path: str, name: str, **other: Any) -> list[dict[str, Any]]:
        answer = await self._rest(method, path, **other)
        found = answer.object().get(name)
        if not isinstance(found, list):
            raise Retryable(f"{self.where} answered {answer.status} without `{name}`", ambiguous=True)
        return [one for one in found if isinstance(one, dict)]

    async def _rest(self, method: str, path: str, **other: Any) -> Answer:
        token = plain(self.token)
        basic = base64.b64encode(f"{self.user}:{token}".encode()).decode()
        who = f"Basic {basic}" if self.user else f"Bearer {token}"
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

"""Slack, by its Web API (https://api.slack.com/methods): a message a problem, news in its thread.

Every message carries its mark as metadata, which the channel's history gives back. Slack answers nearly
everything 200: whether it was done says `ok`.
"""

from collections.abc import AsyncIterator
from typing import Any

from pydantic import Field

from aiops.plugin import Duration, Fatal, Message, Retryable, Secret, SinkChange, TicketRef
from aiops.plugin.http import HttpSink, plain

EVENT = "forewarn_problem"
COLOURS = {
    "info": ":information_source:",
    "minor": ":warning:",
    "major": ":fire:",
    "critical": ":rotating_light:",
}
AGAIN = frozenset({"internal_error", "fatal_error", "request_timeout", "service_unavailable"})
HINTS = {
    "channel_not_found": "give the channel's id and invite the app to it",
    "not_in_channel": "invite the app to the channel",
    "invalid_auth": "check `token`",
    "token_expired": "make a new `token`",
    "missing_scope": "the app needs chat:write and channels:history (groups:history in private channels)",
}


class Slack(HttpSink):
    """One message a problem in a channel of Slack, and a thread under it."""

    url: str = Field("https://slack.com/api", description="Of Slack's Web API.")
    token: Secret = Field(description="The app's bot token, `xoxb-...`.")
    channel: str = Field(description="The channel's id, such as C0123456789.", min_length=1)
    poll: Duration = Field(60.0, description="How often threads are read for what people say. 0: never.")

    async def find(self, key: str) -> TicketRef | None:
        """The first message of the problem, among the channel's last 200."""
        for one in await self._messages("conversations.history", {}):
            if _mark(one) == f"[{key}#1]":
                return TicketRef(str(one.get("ts", "")))
        return None

    async def seen(self, key: str) -> None:
        """A channel is no register: what has gone by, or was taken out, is not said again."""

    async def create(self, message: Message) -> TicketRef:
        told = await self._call("chat.postMessage", message.sent_at, self._post(message, message.first_mark))
        ref = str(told.get("ts") or "")
        if not ref:
            raise Retryable(f"{self.where} answered without `ts`", ambiguous=True)
        return TicketRef(ref)

    async def update(self, ref: str, message: Message) -> None:
        if message.attempt > 1:
            replies = await self._messages("conversations.replies", {"ts": ref})
            if any(_mark(one) == message.mark for one in replies):
                return
        # what resolves or needs a person is shown in the channel as well
        loud = message.reason in ("resolved", "escalated", "breached")
        post = {**self._post(message, message.mark), "thread_ts": ref, "reply_broadcast": loud}
        await self._call("chat.postMessage", message.sent_at, post)

    @property
    def poll_every(self) -> float:
        return self.poll

    async def changes(self, since: float) -> AsyncIterator[SinkChange]:
        """What people, not apps, say in the threads of problems."""
        for one in await self._messages("conversations.history", {}):
            if not _mark(one) or _number(one.get("latest_reply")) <= since:
                continue
            ref = str(one.get("ts"))
            for said in await self._messages("conversations.replies", {"ts": ref, "oldest": f"{since:.6f}"}):
                at, by = _number(said.get("ts")), str(said.get("user") or "")
                if at > since and by and not said.get("bot_id") and said.get("type") == "message":
                    text = str(said.get("text") or "")
                    yield SinkChange(ref, "commented", at, by, text, f"slack-{said['ts']}")

    def _post(self, message: Message, mark: str) -> dict[str, Any]:
        sign = ":white_check_mark:" if message.reason == "resolved" else COLOURS.get(message.severity, "")
        payload = {"key": message.key, "mark": mark}
        return {
            "channel": self.channel,
            "text": f"{sign} *{_safe(message.title)}*\n{_safe(message.text)}",
            "metadata": {"event_type": EVENT, "event_payload": payload},
            "unfurl_links": False,
        }

    async def _messages(self, method: str, query: dict[str, str]) -> list[dict[str, Any]]:
        asked = {"channel": self.channel, "limit": "200", "include_all_metadata": "true", **query}
        headers = {"authorization": f"Bearer {plain(self.token)}"}
        answer = await self._ask("GET", f"/{method}", query=asked, headers=headers)
        found = self._judged(answer.object()).get("messages") or []
        return [one for one in found if isinstance(one, dict)]

    async def _call(self, method: str, now: float, data: dict[str, Any]) -> dict[str, Any]:
        headers = {"authorization": f"Bearer {plain(self.token)}"}
        answer = await self._ask("POST", f"/{method}", now=now, data=data, headers=headers)
        return self._judged(answer.object())

    def _judged(self, told: dict[str, Any]) -> dict[str, Any]:
        """Raises what `ok: false` means."""
        if told.get("ok") is True:
            return told
        error = str(told.get("error") or "no `ok` in the answer")[:100]
        words = f"{self.where} refused: {error}"
        if error == "ratelimited":
            raise Retryable(words, after=30.0)
        if error in AGAIN or "ok" not in told:
            raise Retryable(words, ambiguous=True)
        raise Fatal(f"{words} ({HINTS.get(error, 'see the method in the documentation of the Web API')})")


def _mark(message: dict[str, Any]) -> str:
    metadata = message.get("metadata")
    payload = metadata.get("event_payload") if isinstance(metadata, dict) else None
    return str(payload.get("mark", "")) if isinstance(payload, dict) else ""


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return 0.0


def _safe(text: str) -> str:
    """Slack's own escapes; they also keep evidence from mentioning everybody."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

"""A sink for anything that takes a signed HTTP POST.

Signed by Standard Webhooks (https://www.standardwebhooks.com): ``webhook-id`` is the same on every attempt,
so a receiver drops repeats by it; ``webhook-timestamp`` is the attempt's. The body is a CloudEvents 1.0 event
in its structured JSON form (https://cloudevents.io), its ``data`` the ticket of `aiops.core.ticket`.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import Field
from standardwebhooks import Webhook as Signer

from aiops.plugin import Fatal, Message, Secret, SinkChange, TicketRef
from aiops.plugin.http import HttpSink, names, plain
from aiops.plugin.signed import verified
from aiops.plugin.ticketing import moment

CHANGES = ("closed", "reopened", "commented", "assigned")


class Webhook(HttpSink):
    """Posts each message to one URL; the receiver keeps the tickets."""

    url: str = Field(description="Where to post; https outside of tests. Redirects are not followed.")
    secret: Secret = Field(description="Signing secret: 24 to 64 bytes in base64, with or without `whsec_`.")
    previous_secret: Secret | None = Field(
        None, description="While a secret is changed: the old one, with which each message is signed as well."
    )
    token: Secret | None = Field(
        None, description="Sent as a bearer token, for a gateway before the receiver."
    )
    hook_secret: Secret | None = Field(
        None, description="With which the receiver signs what it posts to `/api/v1/inbound/NAME`."
    )
    source: str = Field(
        "/forewarn", description="CloudEvents `source`: which installation speaks.", min_length=1
    )

    async def create(self, message: Message) -> TicketRef:
        """Named by `ref`, `id` or `ticket` of the receiver's JSON answer; without any, by the key."""
        answer = await self._post(message, {})
        ref = next((str(answer[k]) for k in ("ref", "id", "ticket") if names(answer.get(k))), message.key)
        url = answer.get("url")
        return TicketRef(ref, url if isinstance(url, str) else "")

    async def update(self, ref: str, message: Message) -> None:
        await self._post(message, {"ticket": ref})

    async def hear(self, headers: Mapping[str, str], body: bytes, now: float) -> list[SinkChange]:
        """``{ticket, change, by, text, at}``, bare or as the `data` of a CloudEvent.

        `change` is closed, reopened, commented or assigned, `text` the comment, the reason or the new owner.
        Its `webhook-id` is the change's, so a repeat is no news.
        """
        if self.hook_secret is None:
            raise Fatal(f"sink {self.name}: give `hook_secret` to take webhooks")
        said = verified([plain(self.hook_secret)], headers, body, now)
        inner = said.get("data")
        told = inner if isinstance(inner, dict) else said
        ref, change = told.get("ticket"), told.get("change")
        if not names(ref) or change not in CHANGES:
            raise Fatal(f"give `ticket`, its name, and `change`, one of {', '.join(CHANGES)}")
        by, text = (str(told.get(name) or "") for name in ("by", "text"))
        at = moment(told.get("at")) or now
        return [SinkChange(str(ref), str(change), at, by, text, headers["webhook-id"])]

    async def _post(self, message: Message, extra: Mapping[str, Any]) -> dict[str, Any]:
        body = json.dumps(
            self._event(message, extra), ensure_ascii=False, separators=(",", ":"), allow_nan=False
        )
        secrets = [plain(secret) for secret in (self.secret, self.previous_secret) if secret]
        headers = _signed(message, body, secrets)
        if self.token:
            headers["authorization"] = f"Bearer {plain(self.token)}"
        answer = await self._ask("POST", now=message.sent_at, content=body.encode(), headers=headers)
        return _object(answer.body)

    def _event(self, message: Message, extra: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "specversion": "1.0",
            "id": message.id,
            "source": self.source,
            "type": f"dev.forewarn.problem.{message.reason}",
            "subject": message.key,
            "time": datetime.fromtimestamp(message.at, UTC).isoformat(timespec="milliseconds"),
            "sequence": f"{message.seq:010d}",
            "datacontenttype": "application/json",
            "data": {**message.body, **extra},
        }


def _signed(message: Message, body: str, secrets: list[str]) -> dict[str, str]:
    """The Standard Webhooks headers, one signature a secret."""
    at = datetime.fromtimestamp(int(message.sent_at), UTC)
    signatures = [_signer(secret).sign(message.id, at, body) for secret in secrets]
    return {
        "content-type": "application/cloudevents+json; charset=utf-8",
        "user-agent": "forewarn",
        "webhook-id": message.id,
        "webhook-timestamp": str(int(message.sent_at)),
        "webhook-signature": " ".join(signatures),
    }


def _signer(secret: str) -> Signer:
    text = secret.removeprefix("whsec_")
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    # the library itself skips characters outside of base64 and would sign with something else
    if not 24 <= len(key) <= 64:
        raise Fatal(
            "the signing secret must be 24 to 64 bytes in base64: make one with `openssl rand -base64 32`"
        )
    return Signer(key)


def _object(answer: bytes) -> dict[str, Any]:
    """The JSON object in an answer; empty when it is anything else."""
    try:
        found = json.loads(answer)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}

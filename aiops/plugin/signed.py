"""Webhooks that come in, and how they prove who sends them, at a given time.

Standard Webhooks (https://www.standardwebhooks.com) where we may choose; else the other side's own way.
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from typing import Any

from aiops.plugin.errors import Fatal, Unproven

TOLERANCE = 300.0
"""Seconds between the sender's clock and ours; an older message may be a replay."""


def verified(secrets: Sequence[str], headers: Mapping[str, str], body: bytes, now: float) -> dict[str, Any]:
    """The JSON object in `body`, once its Standard Webhooks signature holds under any of `secrets`.

    `headers` have names in lower case. Raises `Unproven` that says what is wrong, `Fatal` for no object.
    """
    ident, stamp, given = (_header(headers, f"webhook-{name}") for name in ("id", "timestamp", "signature"))
    timely(stamp, now, "webhook-timestamp")
    said = f"{ident}.{stamp}.".encode() + body
    good = [base64.b64encode(hmac.digest(_key(secret), said, hashlib.sha256)).decode() for secret in secrets]
    claimed = [part.removeprefix("v1,") for part in given.split() if part.startswith("v1,")]
    _match(good, claimed)
    return an_object(body)


def hashed(
    secret: str, headers: Mapping[str, str], header: str, said: bytes, prefix: str = "sha256="
) -> None:
    """Holds where `header` is the hexadecimal HMAC of `said`, by the algorithm that its prefix names.

    ``sha256=...`` as GitHub and Jira do, ``sha1=...`` as Zammad does, ``v1=`` (SHA-256) as PagerDuty does; of
    several values, parted by commas, one is enough. Raises `Unproven`.
    """
    given = _header(headers, header)
    algorithm = "sha1" if prefix == "sha1=" else "sha256"
    claimed = [part.strip() for part in given.split(",")]
    claimed = [part.removeprefix(prefix) for part in claimed if part.startswith(prefix)]
    _match([hmac.new(secret.encode(), said, algorithm).hexdigest()], claimed)


def shown(secret: str, headers: Mapping[str, str]) -> None:
    """Holds where `secret` is shown as a bearer token. Raises `Unproven`."""
    given = _header(headers, "authorization")
    if not hmac.compare_digest(given.encode(), f"Bearer {secret}".encode()):
        raise Unproven("the token does not fit: is the same secret on both sides?")


def timely(stamp: str, now: float, header: str) -> None:
    """Raises `Unproven` for a time that is too far off, or none."""
    try:
        at = float(stamp)
    except ValueError as why:
        raise Unproven(f"{header} is no number of seconds") from why
    if not abs(now - at) <= TOLERANCE:
        raise Unproven(f"signed {now - at:+.0f} s from now: set the clocks; more than 300 s is refused")


def an_object(body: bytes) -> dict[str, Any]:
    """Raises `Fatal` for anything but a JSON object."""
    try:
        found = json.loads(body)
    except ValueError as why:
        raise Fatal("the body is no JSON") from why
    if not isinstance(found, dict):
        raise Fatal("the body is no JSON object")
    return found


def _header(headers: Mapping[str, str], name: str) -> str:
    try:
        return headers[name]
    except KeyError as why:
        raise Unproven(f"the header {name} is missing") from why


def _match(good: Sequence[str], claimed: Sequence[str]) -> None:
    if not any(hmac.compare_digest(a.encode(), b.encode()) for a in good for b in claimed):
        raise Unproven("the signature does not fit: is the same secret on both sides?")


def _key(secret: str) -> bytes:
    text = secret.removeprefix("whsec_")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as why:
        raise Fatal("the signing secret is no base64: make one with `openssl rand -base64 32`") from why

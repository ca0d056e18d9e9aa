"""Webhooks that come in: Standard Webhooks (https://www.standardwebhooks.com), by a given time."""

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
    """The JSON object in `body`, once its signature holds under any of `secrets`.

    `headers` have names in lower case. Raises `Unproven` that says what is wrong, `Fatal` for no object.
    """
    try:
        ident, stamp, given = (headers[f"webhook-{name}"] for name in ("id", "timestamp", "signature"))
    except KeyError as why:
        raise Unproven(f"the header {why.args[0]} is missing") from why
    try:
        at = float(stamp)
    except ValueError as why:
        raise Unproven("webhook-timestamp is no number of seconds") from why
    if not abs(now - at) <= TOLERANCE:
        raise Unproven(f"signed {now - at:+.0f} s from now: set the clocks; more than 300 s is refused")
    said = f"{ident}.{stamp}.".encode() + body
    good = [base64.b64encode(hmac.digest(_key(secret), said, hashlib.sha256)).decode() for secret in secrets]
    claimed = [part.removeprefix("v1,") for part in given.split() if part.startswith("v1,")]
    if not any(hmac.compare_digest(a.encode(), b.encode()) for a in good for b in claimed):
        raise Unproven("the signature does not fit: is the same secret on both sides?")
    return an_object(body)


def an_object(body: bytes) -> dict[str, Any]:
    """Raises `Fatal` for anything but a JSON object."""
    try:
        found = json.loads(body)
    except ValueError as why:
        raise Fatal("the body is no JSON") from why
    if not isinstance(found, dict):
        raise Fatal("the body is no JSON object")
    return found


def _key(secret: str) -> bytes:
    text = secret.removeprefix("whsec_")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as why:
        raise Fatal("the signing secret is no base64: make one with `openssl rand -base64 32`") from why

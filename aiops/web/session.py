"""The console's cookie, and the key under which CSRF tokens and passing states are signed."""

import base64
import hmac
import json
from hashlib import sha256
from pathlib import Path
from typing import Any

from aiops.store.kept_key import kept_key

COOKIE = "forewarn_session"
KEY_FILE = "session.key"


class Signer:
    """HMAC-SHA256 under a key that only this installation has."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def csrf(self, cookie: str) -> str:
        """What the forms of the session with this cookie carry."""
        return self._sign("csrf", cookie)

    def seal(self, purpose: str, values: dict[str, Any], until: float) -> str:
        """`values` as text that can be given away and known again, good until `until` (epoch s)."""
        body = base64.urlsafe_b64encode(json.dumps([until, values]).encode()).decode()
        return f"{body}.{self._sign(purpose, body)}"

    def unseal(self, purpose: str, text: str, now: float) -> dict[str, Any] | None:
        """What `seal` was given, unless somebody changed it or its time is over."""
        body, _, signature = text.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._sign(purpose, body).encode()):
            return None
        until, values = json.loads(base64.urlsafe_b64decode(body))
        found: dict[str, Any] | None = values if now < until else None
        return found

    def _sign(self, purpose: str, body: str) -> str:
        return hmac.new(self._key, f"{purpose}:{body}".encode(), sha256).hexdigest()


def session_key(folder: Path) -> bytes:
    """The signing key kept in `folder`, made on first use and readable by its owner only."""
    return kept_key(folder / KEY_FILE)

"""Console sessions: an opaque signed cookie that names a token, and the CSRF token that goes with it."""

import hmac
import os
import secrets
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

COOKIE = "forewarn_session"
LIFETIME = 12 * 3600.0
"""Seconds until a person signs in again: one shift."""
KEY_FILE = "session.key"


@dataclass(frozen=True, slots=True)
class Session:
    """A session whose signature holds and which has not expired."""

    token_id: int
    csrf: str


class Sessions:
    """Signs and reads cookies ``token_id.expires.nonce.signature``. Nothing is stored on the server.

    HMAC-SHA256 under a key that only this installation has; revoking the token ends its sessions.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def open(self, token_id: int, now: float) -> str:
        """A cookie value for `token_id`, good for `LIFETIME` from `now` (epoch s)."""
        body = f"{token_id}.{int(now + LIFETIME)}.{secrets.token_urlsafe(18)}"
        return f"{body}.{self._sign('session', body)}"

    def read(self, cookie: str, now: float) -> Session | None:
        """The session, unless the cookie was tampered with or has expired."""
        body, _, signature = cookie.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._sign("session", body).encode()):
            return None
        token_id, expires, _nonce = body.split(".")
        if now >= int(expires):
            return None
        return Session(int(token_id), self._sign("csrf", body))

    def _sign(self, purpose: str, body: str) -> str:
        return hmac.new(self._key, f"{purpose}:{body}".encode(), sha256).hexdigest()


def session_key(folder: Path) -> bytes:
    """The signing key kept in `folder`, made on first use and readable by its owner only."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / KEY_FILE
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        key = path.read_bytes()
        if len(key) >= 32:
            return key
        path.unlink()
        return session_key(folder)
    with os.fdopen(handle, "wb") as file:
        file.write(secrets.token_bytes(32))
    return path.read_bytes()

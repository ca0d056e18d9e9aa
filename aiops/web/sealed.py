"""What is kept of answers for repeats, sealed under the asker's own token.

An answer may hold what is shown only once, such as a new token, and a request may hold a password. The store
has but the token's digest, so whoever reads the store can neither open an answer nor guess at a request;
every engine on the store can, once the asker shows the token again.
"""

import base64
import hmac
import secrets
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE = 12


class Sealer:
    """Of one request: the token that it bears, and its Idempotency-Key."""

    def __init__(self, token: str, key: str) -> None:
        self._secret = hmac.new(token.encode(), key.encode(), sha256).digest()

    def digest(self, request: bytes) -> str:
        """Names a request; 64 hex digits."""
        return hmac.new(self._secret, b"asked\0" + request, sha256).hexdigest()

    def seal(self, text: str) -> str:
        """AES-256-GCM under a random nonce, in base64."""
        nonce = secrets.token_bytes(_NONCE)
        return base64.b64encode(nonce + self._cipher().encrypt(nonce, text.encode(), None)).decode()

    def unseal(self, sealed: str) -> str:
        """What `seal` was given. Raises `cryptography.exceptions.InvalidTag` for what was changed."""
        raw = base64.b64decode(sealed)
        return self._cipher().decrypt(raw[:_NONCE], raw[_NONCE:], None).decode()

    def _cipher(self) -> "AESGCM":
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # 10 MB that most engines never need

        return AESGCM(hmac.new(self._secret, b"answer", sha256).digest())

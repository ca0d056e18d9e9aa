"""Links by which a ticket's readers approve a run: signed, for one sink and one run, good for a while. Pure.

A link is ``run.sink.expires.signature``, HMAC-SHA256 under a key that only the installation has. That it is
used once is the store's to see to: a sink approves a run once, and a run that was decided waits no more.
"""

import base64
import binascii
import hmac
from dataclasses import dataclass
from hashlib import sha256

_PURPOSE = b"forewarn approval link\x00"
_LONGEST = 1024


@dataclass(frozen=True, slots=True)
class Link:
    """Whoever reads the tickets of `sink` may decide on the run until `expires` (epoch s)."""

    run_id: int
    sink: str
    expires: float

    @property
    def holder(self) -> str:
        """Under this name an approval by the link is kept."""
        return f"a reader of {self.sink}"


def sealed(key: bytes, link: Link) -> str:
    """The link as text of letters, digits, ``-``, ``_`` and dots."""
    sink = base64.urlsafe_b64encode(link.sink.encode()).decode().rstrip("=")
    body = f"{link.run_id}.{sink}.{int(link.expires)}"
    return f"{body}.{_signature(key, body)}"


def opened(key: bytes, text: str, now: float) -> Link | None:
    """What `sealed` was given; None for one that was changed, or whose time is over."""
    body, _, signature = text[:_LONGEST].rpartition(".")
    if not hmac.compare_digest(signature.encode(), _signature(key, body).encode()):
        return None
    run_id, sink, expires = body.split(".")
    try:
        name = base64.urlsafe_b64decode(sink + "=" * (-len(sink) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    return Link(int(run_id), name, float(expires)) if now < int(expires) else None


def _signature(key: bytes, body: str) -> str:
    return hmac.new(key, _PURPOSE + body.encode(), sha256).hexdigest()

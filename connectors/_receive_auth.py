"""Who may push: a bearer token, if one is asked for."""

import hmac
from collections.abc import Mapping

from aiops.plugin import Secret
from aiops.plugin.connector import LetIn, Reply


def refused(bearer: Secret | None, headers: Mapping[str, str]) -> Reply | None:
    """None when the sender may push, else the answer. The secret is read anew each time."""
    if bearer is None or isinstance(headers, LetIn):
        return None
    try:
        expected = bearer.read().get_secret_value()
    except ValueError as why:
        return Reply(503, f"{why}\n".encode())
    shown = headers.get("authorization", "")
    if hmac.compare_digest(shown.encode(), f"Bearer {expected}".encode()):
        return None
    return Reply(401, b"this needs a token\n", (("WWW-Authenticate", 'Bearer realm="forewarn"'),))

"""Tokens of a log line, their varying parts masked: numbers, ids, paths, addresses, values of keys.

The rules are about the shape of a token, never about its words, so that they hold for logs not seen before.
"""

import re

from aiops.plugin.miner import WILD

ZEROED = bytes.maketrans(b"123456789", b"000000000")
"""Digits are told apart by nobody: a token is looked up with all of them turned to 0."""

_SEPARATORS = re.compile(r'(<\*>|[=:,;|()\[\]{}<>"\'#&@!?+]+|\.{3,})')
_PATH = re.compile(r"(?:[A-Za-z]:|\.{1,2})?[\\/]\S*[A-Za-z0-9_]\S*\Z")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+\Z")
_HOST_PORT = re.compile(r"(?:[\w-]+\.)+[a-z]{2,6}:0+\Z")
_MAC = re.compile(r"(?:[0-9A-Fa-f]{2}[:-]){5,}[0-9A-Fa-f]{2}\Z")
_HEX = re.compile(r"(?:0[xX])?[0-9a-fA-F]{8,}\Z|0[xX][0-9a-fA-F]+\Z")
_CONSTANT_VALUE = re.compile(r"(?:true|false|null|none|nil)\Z", re.I)
_KEY_VALUE = re.compile(
    r"([A-Za-z_][\w.\-]*=)"
    r"(?:\"[^\"]*\"|'[^']*'|(?:[^,;&|()\[\]{}\"'=]|\{[^}]*\}|\([^)]*\)|\[[^\]]*\])+)"
)
_NEIGHBOURS = re.compile(r"<\*>(?:[:./_\-+]*<\*>)+")
DOTTED = re.compile(r"[A-Za-z_][\w-]*(?:\.[\w-]+){2,}\Z")
"""``com.example.Name``: a name of three parts or more."""


class TokenCache(dict[bytes, str]):
    """Token (UTF-8, digits zeroed) -> masked token. Starts over when full: the living refill it."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def __missing__(self, token: bytes) -> str:
        if len(self) >= self._most:
            self.clear()
        masked = mask(token.decode("utf-8", "replace"))
        if len(token) <= 128:
            self[token] = masked
        return masked


def mask(token: str) -> str:
    """`token`, its digits zeroed, with all that varies in it as `WILD`."""
    if token.isalpha():
        return WILD if _CONSTANT_VALUE.match(token) else token
    if _URL.match(token):
        return WILD + token[len(token.rstrip(",;)")) :]
    tail = token.lstrip("\"'([{<")
    core = tail.rstrip("\"')]}>,;:.!?")
    lead, trail = token[: len(token) - len(tail)], tail[len(core) :]
    if _is_address(core):
        return lead + WILD + trail
    if "=" in token:
        token = _KEY_VALUE.sub(r"\1" + WILD, token)
    parts = _SEPARATORS.split(token)
    # even places are words, odd ones what separates them
    parts[::2] = [_mask_word(word) for word in parts[::2]]
    if len(parts) > 1 and WILD in parts:
        parts[::2] = [WILD if "." in word and DOTTED.match(word) else word for word in parts[::2]]
    masked = "".join(parts)
    return _NEIGHBOURS.sub(WILD, masked) if WILD in masked else masked


def _is_address(core: str) -> bool:
    rooted = core.count("/") > 1 or core.startswith(("/", "./", "../")) or "\\" in core
    return bool(
        (rooted and _PATH.match(core)) or _URL.match(core) or _HOST_PORT.match(core) or _MAC.match(core)
    )


def _mask_word(word: str) -> str:
    if not word:
        return word
    if "0" in word or _HEX.match(word) or _CONSTANT_VALUE.match(word):
        return WILD
    return WILD if "/" in word and _PATH.match(word) else word

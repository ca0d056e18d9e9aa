"""What it costs to take two tokens at one place for two values of one variable."""

import re

from aiops.plugin.miner import WILD
from detectors._log_canon import all_wild
from detectors._log_tokens import DOTTED

BLOCKED = 99.0
"""Two plain words differ: two templates."""
CHEAP = 0.05
"""Two spellings of what is known to vary."""
LIKELY = 0.35
"""Two identifiers, or two words after a word that announces a name."""
UNLIKELY = 0.9

ALL_WILD, HAS_WILD, IDENTIFIER, CAPITALS, ENUM, COLON, NAME_COLON, CUE, HAS_KEY = (1 << n for n in range(9))

_CAPITALS = re.compile(r"[^A-Za-z]*[A-Z][A-Z_]+[^A-Za-z]*\Z")
_ENUM = re.compile(r"\.[A-Z][A-Z_]+\Z")
_IDENTIFIER = re.compile(r"\w[./\\@]\w|[/\\@]|\A[^A-Za-z]*\Z")
_CUES = frozenset(
    [
        "user",
        "for",
        "from",
        "host",
        "hostname",
        "name",
        "named",
        "process",
        "interface",
        "username",
        "account",
        "file",
    ]
)
"""Words after which English log messages print a name."""


class Kinds(dict[str, int]):
    """Token -> the bits above. Starts over when it is full."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def __missing__(self, token: str) -> int:
        if len(self) >= self._most:
            self.clear()
        self[token] = kind = _kind(token)
        return kind


def _kind(token: str) -> int:
    if WILD in token:
        return HAS_WILD | (ALL_WILD if all_wild(token) else 0) | (HAS_KEY if "=" in token else 0)
    kind = IDENTIFIER if _IDENTIFIER.search(token) else 0
    kind |= CAPITALS if _CAPITALS.match(token) else 0
    kind |= ENUM if _ENUM.search(token) else 0
    if token.endswith(":"):
        kind |= COLON | (NAME_COLON if DOTTED.match(token[:-1]) else 0)
    return kind | (CUE if token.strip("([:=,'\"").lower() in _CUES else 0)


def cost(one: int, other: int, before: int) -> float:
    """For two tokens of these kinds that differ, after a token of kind `before`."""
    either, both = one | other, one & other
    if both & ALL_WILD:
        return CHEAP
    cued = LIKELY if before & CUE else BLOCKED
    if either & HAS_WILD:
        if either & HAS_KEY:
            return BLOCKED
        if both & HAS_WILD or not either & ALL_WILD:
            return UNLIKELY if either & ALL_WILD else BLOCKED
        constant = other if one & HAS_WILD else one
        return LIKELY if constant & IDENTIFIER else cued
    if either & COLON:
        return UNLIKELY if both & NAME_COLON else BLOCKED
    if both & CAPITALS or either & ENUM:
        return BLOCKED
    return LIKELY if both & IDENTIFIER else cued

"""Where in a JSON text a value stands: looked up only once something is wrong with it."""

import json
import re
from collections.abc import Sequence

_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()


def place(body: bytes, path: Sequence[str | int]) -> int:
    """Byte offset of the value at `path` (keys and indices); of the deepest one on the way that is there."""
    text = body.decode(errors="surrogateescape")
    p = _space(text, 0)
    for step in path:
        try:
            found = _item(text, p, step) if isinstance(step, int) else _member(text, p, step)
        except (ValueError, RecursionError):
            break
        if found < 0:
            break
        p = found
    return len(text[:p].encode(errors="surrogateescape"))


def _space(text: str, p: int) -> int:
    found = _SPACE.match(text, p)
    return found.end() if found else p


def _item(text: str, p: int, index: int) -> int:
    if text[p : p + 1] != "[":
        return -1
    p = _space(text, p + 1)
    for _ in range(index):
        p = _space(text, _DECODER.raw_decode(text, p)[1])
        if text[p : p + 1] != ",":
            return -1
        p = _space(text, p + 1)
    return p


def _member(text: str, p: int, key: str) -> int:
    if text[p : p + 1] != "{":
        return -1
    p = _space(text, p + 1)
    while text[p : p + 1] == '"':
        name, p = _DECODER.raw_decode(text, p)
        p = _space(text, _space(text, p) + 1)
        if name == key:
            return p
        p = _space(text, _DECODER.raw_decode(text, p)[1])
        p = _space(text, p + 1)
    return -1

"""A shard as bytes: a JSON head, plain arrays, and a sum over all of it. Never pickle."""

import json
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAGIC = b"FWSHARD1"
"""The last character is the format's version."""
_START = len(MAGIC) + 12
"""Then the sum over all that follows it (4 bytes), and the length of the head (8 bytes)."""
ALIGN = 64


def pack(facts: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.uint8]:
    """One run of bytes."""
    entries = [(name, a.dtype.str, list(a.shape)) for name, a in arrays.items()]
    head = json.dumps({"facts": facts, "arrays": entries}).encode()
    at = _aligned(_START + len(head))
    places = []
    for array in arrays.values():
        places.append(at)
        at = _aligned(at + array.nbytes)
    blob = np.zeros(at, np.uint8)
    blob[_START : _START + len(head)] = np.frombuffer(head, np.uint8)
    for place, array in zip(places, arrays.values(), strict=True):
        blob[place : place + array.nbytes] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    length = len(MAGIC) + 4
    blob[length:_START] = np.frombuffer(len(head).to_bytes(8, "little"), np.uint8)
    blob[: len(MAGIC)] = np.frombuffer(MAGIC, np.uint8)
    total = zlib.crc32(blob[length:].data).to_bytes(4, "little")
    blob[len(MAGIC) : length] = np.frombuffer(total, np.uint8)
    return blob


def unpack(blob: NDArray[np.uint8]) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """(facts, copies of the arrays). Raises ValueError for what was not packed so, or is damaged."""
    blob = np.ascontiguousarray(blob, np.uint8)
    start, length = bytes(blob[: len(MAGIC)]), len(MAGIC) + 4
    if start != MAGIC:
        raise ValueError(f"it begins with {start!r}: this version reads {MAGIC!r}")
    if zlib.crc32(blob[length:].data) != int.from_bytes(bytes(blob[len(MAGIC) : length]), "little"):
        raise ValueError("its checksum does not match")
    size = int.from_bytes(bytes(blob[length:_START]), "little")
    head = json.loads(bytes(blob[_START : _START + size]))
    arrays, at = {}, _aligned(_START + size)
    for name, dtype, shape in head["arrays"]:
        kind = np.dtype(dtype)
        count = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
        arrays[name] = blob[at : at + count].view(kind).reshape(shape).copy()
        at = _aligned(at + count)
    return head["facts"], arrays


def facts_of(blob: NDArray[np.uint8]) -> dict[str, Any]:
    """What was packed beside the arrays; the sum is not looked at."""
    size = int.from_bytes(bytes(blob[len(MAGIC) + 4 : _START]), "little")
    return dict(json.loads(bytes(blob[_START : _START + size]))["facts"])


def _aligned(place: int) -> int:
    return -(-place // ALIGN) * ALIGN

"""Series that a decoder names in Python -> tracks, as the compiled decoders find theirs by bytes."""

from collections.abc import Callable, Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from aiops.wire._bytes import PAD
from aiops.wire._tracks import find_all
from aiops.wire.intake import Intake, Strangers

_MASK = (1 << 64) - 1


def key_of(parts: Iterable[object]) -> int:
    """64 bits of what tells a series from others; Python seeds the hashes of its strings and bytes."""
    return hash(tuple(parts)) & _MASK or 1


def refs(
    intake: Intake,
    keys: NDArray[np.uint64],
    labels: Callable[[int], Mapping[str, str]],
    kinds: NDArray[np.int64],
) -> NDArray[np.int32]:
    """The tracks of the series of ``keys``; ``labels(k)`` is asked only for those that are new.

    `kinds` as in `Strangers`. Raises `WireError` at a label without a name or with a NUL in it.
    """
    found = np.empty(len(keys), np.int32)
    find_all(intake.tracks.rows, intake.tracks.cells, keys, found)
    new = np.flatnonzero(found < 0)
    if not len(new):
        return found
    _, first, back = np.unique(keys[new], return_index=True, return_inverse=True)
    texts = [spelling(labels(int(k))) for k in new[first]]
    ends = np.cumsum([len(text) for text in texts])
    spans = np.stack([np.concatenate([[0], ends[:-1]]), ends], axis=1).astype(np.int64)
    buffer = np.frombuffer(b"".join(texts) + bytes(PAD), np.uint8).copy()
    spelt = intake.spellings.numbers(buffer, spans, intake.tracks.seed)
    strangers = Strangers(keys[new][first], np.zeros(len(first), np.int64), spelt, kinds[new][first])
    taken = intake.admit(strangers)
    found[new] = taken[back]
    return found


def spelling(labels: Mapping[str, str]) -> bytes:
    """As label messages of remote write 1.0, by name."""
    return b"".join(
        block(
            0x0A, block(0x0A, name.encode("utf-8", "replace")) + block(0x12, value.encode("utf-8", "replace"))
        )
        for name, value in sorted(labels.items())
    )


def block(tag: int, content: bytes) -> bytes:
    size = len(content)
    parts = bytearray((tag,))
    while size > 127:
        parts.append(size & 127 | 128)
        size >>= 7
    parts.append(size)
    return bytes(parts) + content

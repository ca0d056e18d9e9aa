"""Bodies that were packed by gzip."""

import zlib

from aiops.wire import WireError


def unzip(body: bytes, most: int) -> bytes:
    """The content of a gzip body. Raises `WireError` when it is none, or has more than `most` bytes."""
    reader = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        found = reader.decompress(body, most + 1)
    except zlib.error as bad:
        raise WireError(f"no gzip: {bad}", 0) from None
    if len(found) > most:
        raise WireError(f"the message has more than {most} bytes", len(body) - len(reader.unconsumed_tail))
    if not reader.eof:
        raise WireError("the gzip stream is cut off", len(body))
    return found

"""Prometheus remote read: raw samples of a span, as streamed XOR chunks or all at once.

Format: https://prometheus.io/docs/prometheus/latest/querying/remote_read_api/ and its ``remote.proto``.
"""

from collections.abc import Sequence

import cramjam
import numpy as np
from numpy.typing import NDArray

from aiops.model.selector import Matcher
from aiops.wire import WireError, _remote_read
from aiops.wire._bytes import PAD
from aiops.wire._named import block
from aiops.wire._protobuf import fields
from aiops.wire._remote_read import COUNT, FAULTS, SERIES
from aiops.wire._remote_write import DONE, FAULT, OUT, STATUS
from aiops.wire.query_json import Answer

STREAMED = "application/x-streamed-protobuf"
MOST_SAMPLES = 50_000_000
"""In one answer: 800 MB."""
_OPS = {"=": 0, "!=": 1, "=~": 2, "!~": 3}


def request(matchers: Sequence[Matcher], start: int, end: int) -> bytes:
    """A packed ``ReadRequest`` of ``start <= time <= end`` (ms), for chunks or else samples."""
    told = b"".join(
        block(
            0x1A,
            b"\x08"
            + bytes([_OPS[one.op]])
            + block(0x12, one.label.encode())
            + block(0x1A, one.value.encode("utf-8", "replace")),
        )
        for one in matchers
    )
    query = b"\x08" + _number(start) + b"\x10" + _number(end) + told
    return bytes(cramjam.snappy.compress_raw(block(0x0A, query) + b"\x10\x01\x10\x00"))


def _number(value: int) -> bytes:
    parts = bytearray()
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


def decode(body: bytes, content_type: str, start: int, end: int, most: int = 512 << 20) -> Answer:
    """The samples with ``start <= time <= end`` (ms). Raises `WireError`; offsets are in the plain answer."""
    chunked = content_type.startswith(STREAMED)
    if not chunked:
        body = _unpacked(body, most)
    size = len(body)
    buffer = np.zeros(size + PAD, np.uint8)
    buffer[:size] = np.frombuffer(body, np.uint8)
    # a chunk's sample takes 1 to 2 bytes as a rule, a plain one 18
    samples, series = max(1024, size if chunked else size // 16), 1024
    out = np.zeros(OUT, np.int64)
    while True:
        if samples > MOST_SAMPLES:
            raise WireError(f"more than {MOST_SAMPLES} samples", size)
        times, values = np.empty(samples, np.int64), np.empty(samples)
        spans = np.empty((series, 3), np.int64)
        _remote_read.walk(buffer, size, chunked, spans, times, values, out)
        status = int(out[STATUS])
        if status == DONE:
            break
        if status >= 0:
            raise WireError(FAULTS[int(out[FAULT])], status)
        samples, series = 4 * samples, 8 * series
    count = int(out[COUNT])
    return _answer(buffer, spans[: int(out[SERIES])], times[:count], values[:count], start, end)


def _unpacked(body: bytes, most: int) -> bytes:
    try:
        size = cramjam.snappy.decompress_raw_len(body)
        if size > most:
            raise WireError(f"the answer has {size} bytes, more than {most}", 0)
        return bytes(cramjam.snappy.decompress_raw(body))
    except cramjam.DecompressionError as bad:
        raise WireError(f"no snappy block: {bad}", 0) from None


def _answer(
    buffer: NDArray[np.uint8],
    spans: NDArray[np.int64],
    times: NDArray[np.int64],
    values: NDArray[np.float64],
    start: int,
    end: int,
) -> Answer:
    """One run a series: what is split over frames is joined, put in order and cut to the span."""
    number: dict[bytes, int] = {}
    keys = [buffer[first:last].tobytes() for first, last, _ in spans.tolist()]
    which = np.array([number.setdefault(key, len(number)) for key in keys], np.int64)
    counts = np.diff(np.append(spans[:, 2], len(times)))
    series = np.repeat(which, counts)
    keep = (times >= start) & (times <= end)
    series, times, values = series[keep], times[keep], values[keep]
    behind = (np.diff(series) < 0) | ((np.diff(series) == 0) & (np.diff(times) <= 0))
    if behind.any():
        order = np.lexsort((times, series))
        series, times, values = series[order], times[order], values[order]
        fresh = np.append(True, (np.diff(series) != 0) | (np.diff(times) != 0))
        series, times, values = series[fresh], times[fresh], values[fresh]
    starts = np.searchsorted(series, np.arange(len(number) + 1))
    labels = [_labels(buffer, int(first), int(last)) for first, last in spans[_first(which), :2]]
    return Answer(labels, starts.astype(np.int64), times / 1000.0, values)


def _first(which: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.unique(which, return_index=True)[1]


def _labels(buffer: NDArray[np.uint8], start: int, end: int) -> dict[str, str]:
    data = buffer.data
    found: dict[str, str] = {}
    for _, _, begin, stop in fields(data, start, end):
        texts = {number: (at, last) for number, _, at, last in fields(data, begin, stop)}
        try:
            name, value = (bytes(data[slice(*texts.get(k, (0, 0)))]).decode() for k in (1, 2))
        except UnicodeDecodeError:
            raise WireError("a label that is no UTF-8", begin) from None
        found[name] = value
    return found

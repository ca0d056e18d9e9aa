"""Prometheus remote write 1.0 and 2.0: a snappy block of protobuf -> frames.

Formats: https://prometheus.io/docs/specs/prw/remote_write_spec/ and .../remote_write_spec_2_0/.
"""

import cramjam
import numpy as np
from numpy.typing import NDArray

from aiops.model.frame import Frame
from aiops.wire import WireError, _remote_write, _remote_write_2
from aiops.wire._bytes import PAD
from aiops.wire._protobuf import fields
from aiops.wire._remote_write import DONE, FAULT, FAULTS, LAST, NATIVE, OUT, SAMPLES, STATUS, STRANGERS
from aiops.wire._spelling import text
from aiops.wire._tracks import COUNTER, GAUGE
from aiops.wire.intake import Intake, Strangers

MOST_SAMPLES = 2_000_000
"""In one message: bounds what a message of the tiniest samples can make us hold."""

_KINDS = {1: COUNTER, 2: GAUGE}
"""``MetricType`` of both versions; the parts of histograms and summaries are told by their names."""


class RemoteWrite:
    """Decodes for one source. Nothing of a message is taken before all of it has been read."""

    def __init__(self, intake: Intake, most_bytes: int = 64 << 20) -> None:
        self.intake = intake
        self._most = most_bytes
        self._buffer = np.zeros(PAD, np.uint8)
        self._out = np.zeros(OUT, np.int64)
        self._out[LAST] = -1
        self._room(4096, 256)
        self._symbols, self._symbol_at = np.zeros(0, np.uint64), np.zeros((0, 2), np.int64)

    def decode(self, body: bytes, version: int = 1) -> list[Frame]:
        """The frames of one message. Raises `WireError` with the offset in the unpacked message."""
        size = self._unpack(body)
        return self.read(self._buffer, size, version)

    def read(self, buffer: NDArray[np.uint8], size: int, version: int = 1) -> list[Frame]:
        """As `decode`, of a message that is not packed, with `PAD` bytes behind its ``size``."""
        intake = self.intake
        intake.refresh()
        before = self._out[LAST]
        if before >= intake.tracks.used:
            self._out[LAST] = before = -1
        while True:
            self._walk(buffer, size, version)
            status = int(self._out[STATUS])
            if status == DONE:
                break
            if status >= 0:
                self._out[LAST] = -1
                raise WireError(FAULTS[int(self._out[FAULT])], status)
            self._out[LAST] = before
            self._grow(version)
        if version == 1 and self._out[_remote_write.METADATA] >= 0:
            self._learn_types(buffer, int(self._out[_remote_write.METADATA]), size)
        count = int(self._out[SAMPLES])
        refs = self._refs[:count]
        if self._out[STRANGERS]:
            self._admit(buffer, refs, version)
        intake.tally.native += int(self._out[NATIVE])
        return intake.take(refs, self._times[:count], self._values[:count])

    def _unpack(self, body: bytes) -> int:
        try:
            size = cramjam.snappy.decompress_raw_len(body)
            if size > self._most:
                raise WireError(f"the message has {size} bytes, more than {self._most}", 0)
            if size + PAD > len(self._buffer):
                self._buffer = np.zeros(size + size // 4 + PAD, np.uint8)
            return int(cramjam.snappy.decompress_raw_into(body, self._buffer.data))
        except cramjam.DecompressionError as bad:
            raise WireError(f"no snappy block: {bad}", 0) from None

    def _walk(self, buffer: NDArray[np.uint8], size: int, version: int) -> None:
        tracks = self.intake.tracks
        known = (buffer, size, tracks.rows, tracks.cells, tracks.seed)
        found = (self._refs, self._times, self._values, self._strangers, self._out)
        if version == 1:
            _remote_write.walk(*known, *found)
        else:
            _remote_write_2.walk(*known, self._symbols, self._symbol_at, *found)

    def _grow(self, version: int) -> None:
        if len(self._refs) >= MOST_SAMPLES:
            raise WireError(f"more than {MOST_SAMPLES} samples in one message")
        self._room(min(4 * len(self._refs), MOST_SAMPLES), min(4 * len(self._strangers), MOST_SAMPLES))
        if version == 2:
            most = min(max(4 * len(self._symbols), 1024), MOST_SAMPLES)
            self._symbols, self._symbol_at = np.zeros(most, np.uint64), np.zeros((most, 2), np.int64)

    def _room(self, samples: int, strangers: int) -> None:
        self._refs, self._times = np.zeros(samples, np.int32), np.zeros(samples, np.int64)
        self._values = np.zeros(samples)
        self._strangers = np.zeros((strangers, 4), np.int64)

    def _admit(self, buffer: NDArray[np.uint8], refs: NDArray[np.int32], version: int) -> None:
        """Replace the refs of strangers by those of their new tracks."""
        rows = self._strangers[: int(self._out[STRANGERS])]
        symbols = () if version == 1 else (self._symbols, self._symbol_at)
        spelt = self.intake.spellings.numbers(buffer, rows, self.intake.tracks.seed, *symbols)
        kinds = np.full(len(rows), -1, np.int64)
        for said, kind in _KINDS.items():
            kinds[rows[:, 3] == said] = kind
        lengths = rows[:, 1] - rows[:, 0]
        strangers = Strangers(rows[:, 2].view(np.uint64), lengths, spelt, kinds)
        found = self.intake.admit(strangers)
        new = refs < 0
        refs[new] = found[-1 - refs[new]]
        self._expect(refs, new)

    def _expect(self, refs: NDArray[np.int32], new: NDArray[np.bool_]) -> None:
        """Let the tracks beside new ones expect each other: the next message spells them in this order."""
        near = np.flatnonzero(new[1:] | new[:-1])
        one, other = refs[near], refs[near + 1]
        follows = (one >= 0) & (other >= 0) & (one != other)
        self.intake.tracks.rows["next"][one[follows]] = other[follows]

    def _learn_types(self, buffer: NDArray[np.uint8], start: int, size: int) -> None:
        """``MetricMetadata {MetricType type = 1; string metric_family_name = 2}``: fields 3."""
        types: dict[str, int] = {}
        data = buffer.data
        for number, _, begin, end in fields(data, start, size):
            if number == 3:
                said = {field: (value, at, stop) for field, value, at, stop in fields(data, begin, end)}
                kind = _KINDS.get(said.get(1, (0, 0, 0))[0])
                if kind is not None and 2 in said:
                    types[text(buffer, *said[2][1:])] = kind
        self.intake.learn_types(types)

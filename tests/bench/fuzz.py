"""Mutated bytes into every decoder: none may crash, read out of bounds, grow, or refuse without a place.

    python -m tests.bench.fuzz [--inputs 1000000] [--seed 0]

An input is a proper message of which some bytes are flipped, cut out, doubled, or exchanged for edges of
number formats. Snappy and checksums are put right afterwards for most inputs, so that the mutation reaches
the decoder behind them. A decoder may only give its result or raise `WireError` with an offset in its input;
numpy arrays that it returns must hang together. Memory is that of the process, after the first tenth.
"""

import argparse
import json
import random
import resource
import struct
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import cramjam
import numpy as np

from aiops.model.series import SeriesIndex
from aiops.wire import WireError, loki, otlp, otlp_logs, otlp_metrics, query_json, remote_read, syslog
from aiops.wire._remote_read import crc32c
from aiops.wire.exposition import Exposition
from aiops.wire.intake import Intake, Limits
from aiops.wire.remote_write import RemoteWrite
from aiops.wire.unzip import unzip
from tests.bench import fuzz_seeds as seeds

FRESH = 500
"""Inputs after which a decoder starts anew: until then it keeps what mutated messages have taught it."""
MOST_GROWTH = 200 << 20
EDGES = (
    b"\xff" * 10,
    b"\x80" * 10,
    b"\x00" * 8,
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\xff\x0f",
    b"1e999",
    b"\\u0000",
)


class Decoders:
    """One of each; `run` raises whatever is no proper refusal."""

    def __init__(self) -> None:
        self.index = SeriesIndex()
        self.write = RemoteWrite(self._intake(), 1 << 20)
        self.page = Exposition(self._intake())
        self.metrics = otlp_metrics.OtlpMetrics(self._intake())
        self.naming = otlp.Naming(frozenset("*"))

    def _intake(self) -> Intake:
        return Intake(self.index, {"job": "fuzz"}, 0.001, limits=Limits(2000))

    def run(self, kind: str, data: bytes) -> None:
        getattr(self, kind)(data)

    def frames(self, frames: list[Any]) -> None:
        for frame in frames:
            assert len(set(frame.slots.tolist())) == len(frame.slots), "a slot twice in one frame"
            assert frame.slots.min() >= 0
            assert frame.slots.max() < self.index.capacity, "a slot that is none"
            assert np.isfinite(frame.values[~np.isnan(frame.values)]).all()

    def remote_write_1(self, data: bytes) -> None:
        self.frames(self.write.decode(bytes(cramjam.snappy.compress_raw(data)), 1))

    def remote_write_2(self, data: bytes) -> None:
        self.frames(self.write.decode(bytes(cramjam.snappy.compress_raw(data)), 2))

    def snappy(self, data: bytes) -> None:
        self.frames(self.write.decode(data, 1))

    def text(self, data: bytes) -> None:
        frame, _ = self.page.decode(data, 1.76e9)
        self.frames([frame] if frame is not None else [])

    def open_metrics(self, data: bytes) -> None:
        frame, _ = self.page.decode(data, 1.76e9, True)
        self.frames([frame] if frame is not None else [])

    def query(self, data: bytes) -> None:
        answer = query_json.decode(data)
        assert answer.starts[-1] == len(answer.times) == len(answer.values)

    def chunks(self, data: bytes) -> None:
        buffer = np.frombuffer(data + bytes(64), np.uint8).copy()
        head = seeds.gen.varint(len(data)) + struct.pack(">I", int(crc32c(buffer, 0, len(data))))
        self._read(head + data, remote_read.STREAMED)

    def chunk_frames(self, data: bytes) -> None:
        self._read(data, remote_read.STREAMED)

    def read_samples(self, data: bytes) -> None:
        self._read(bytes(cramjam.snappy.compress_raw(data)), "application/x-protobuf")

    def _read(self, data: bytes, kind: str) -> None:
        answer = remote_read.decode(data, kind, 0, 1 << 62, 1 << 20)
        assert answer.starts[-1] == len(answer.times) == len(answer.values)

    def otlp_metrics(self, data: bytes, is_json: bool = False) -> None:
        request = otlp.request(otlp.metrics_messages()[0], data, is_json)
        self.frames(self.metrics.take(otlp_metrics.read(request, self.naming)))

    def otlp_metrics_json(self, data: bytes) -> None:
        self.otlp_metrics(data, True)

    def otlp_logs(self, data: bytes, is_json: bool = False) -> None:
        request = otlp.request(otlp.logs_messages()[0], data, is_json)
        for lines in otlp_logs.read(request, self.naming, {}, 1000, is_json).lines:
            assert len(lines.text) == len(lines.times)
            assert (np.diff(lines.times) >= 0).all()

    def otlp_logs_json(self, data: bytes) -> None:
        self.otlp_logs(data, True)

    def gzip(self, data: bytes) -> None:
        assert len(unzip(data, 1 << 16)) <= 1 << 16

    def loki(self, data: bytes) -> None:
        loki.decode(data)

    def loki_tail(self, data: bytes) -> None:
        loki.decode_tail(data)

    def syslog(self, data: bytes) -> None:
        messages, rest = syslog.split(data, 1000)
        assert sum(map(len, messages)) + len(rest) <= len(data)
        for message in [*messages, data]:
            assert len(syslog.decode(message, 1.76e9).line) <= len(message) + 20


def mutated(seed: bytes, dice: random.Random) -> bytes:
    """`seed` with 1 to 8 faults."""
    data = bytearray(seed)
    for _ in range(dice.choice((1, 1, 1, 2, 3, 8))):
        at = dice.randrange(len(data) + 1)
        match dice.randrange(6):
            case 0 | 1 if at < len(data):
                data[at] = dice.randrange(256)
            case 2 if at < len(data):
                data[at] ^= 1 << dice.randrange(8)
            case 3:
                del data[at : at + dice.randrange(1, 9)]
            case 4:
                data[at:at] = data[at : at + dice.randrange(1, 40)]
            case _:
                data[at:at] = dice.choice(EDGES)
    return bytes(data[: dice.randrange(len(data) + 1)]) if data and dice.random() < 0.1 else bytes(data)


def fuzz(inputs: int, seed: int = 0) -> dict[str, Any]:
    """Raises at the first input that is not dealt with; its decoder, number and bytes are in the note."""
    dice = random.Random(seed)
    corpus = [(kind, one) for kind, many in seeds.CORPUS.items() for one in many]
    refused: Counter[str] = Counter()
    longest, base = 0.0, 0
    decoders = Decoders()
    for number in range(inputs):
        if number % FRESH == 0:
            decoders = Decoders()
        if number == inputs // 10:
            base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
        kind, proper = corpus[dice.randrange(len(corpus))]
        data = mutated(proper, dice)
        start = time.perf_counter()
        refused[kind] += not _taken(decoders.run, kind, data, number)
        longest = max(longest, time.perf_counter() - start) if number >= FRESH else 0.0
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10) - base
    assert grown < MOST_GROWTH, f"{grown >> 20} MiB more than after the first tenth"
    found = {"inputs": inputs, "refused_share": round(sum(refused.values()) / inputs, 3)}
    return found | {
        "decoders": len(seeds.CORPUS),
        "grown_bytes": grown,
        "longest_ms": round(longest * 1e3, 1),
    }


def _taken(run: Callable[[str, bytes], None], kind: str, data: bytes, number: int) -> bool:
    try:
        run(kind, data)
    except WireError as bad:
        if bad.offset < 0:
            bad.add_note(f"no offset: input {number} of {kind}: {data!r}")
            raise
        return False
    except Exception as bad:
        bad.add_note(f"input {number} of {kind}: {data!r}")
        raise
    return True


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    print(json.dumps(fuzz(chosen.inputs, chosen.seed)))


if __name__ == "__main__":
    main()

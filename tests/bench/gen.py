"""Messages as senders write them, from a fixed seed: for benches, fuzzing and tests of decoders."""

import random
import struct
from collections.abc import Iterable, Iterator, Sequence

import cramjam
import numpy as np
from numpy.typing import NDArray

Pairs = Sequence[tuple[str, str]]
Sample = tuple[int, float]
"""Milliseconds and value."""

_PARTS = ("cpu", "memory", "network", "fs")
_WHATS = ("usage", "rss", "limit", "working_set", "receive", "transmit", "reads", "writes")
_UNITS = ("seconds_total", "bytes", "packets_total", "errors_total")
METRICS = [f"container_{part}_{what}_{unit}" for part in _PARTS for what in _WHATS for unit in _UNITS]


def kubelet(count: int, seed: int = 0) -> Iterator[list[tuple[str, str]]]:
    """Label sets as a Kubernetes node's kubelet has them: 12 labels, about 460 bytes, 128 metrics a pod."""
    dice = random.Random(seed)
    made = 0
    while made < count:
        digits = "".join(dice.choices("0123456789abcdef", k=49))
        pod = (
            f"service-{dice.randrange(400)}-{digits[:9]}-{''.join(dice.choices('bcdfghjklmnpqrstvwxz', k=5))}"
        )
        address = f"{dice.randrange(64)}-{dice.randrange(256)}-{dice.randrange(256)}"
        node = f"ip-10-{address}.eu-west-1.compute.internal"
        space = f"team-{dice.randrange(60)}-prod"
        for metric in METRICS[: count - made]:
            made += 1
            yield [
                ("__name__", metric),
                ("cluster", "prod-eu-west-1"),
                ("container", "app"),
                ("endpoint", "https-metrics"),
                ("id", f"/kubepods/burstable/pod{digits[9:]}"),
                ("image", "registry.example.com/team/app:v1.24.3"),
                ("instance", f"{node}:10250"),
                ("job", "kubelet"),
                ("metrics_path", "/metrics/cadvisor"),
                ("namespace", space),
                ("node", node),
                ("pod", pod),
            ]


def varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    parts = bytearray()
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    return bytes([*parts, number])


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def sample(at: int, value: float) -> bytes:
    return field(2, b"\x09" + struct.pack("<d", value) + b"\x10" + varint(at))


def labels(pairs: Pairs) -> bytes:
    """The label messages of remote write 1.0."""
    return b"".join(field(1, field(1, k.encode()) + field(2, v.encode())) for k, v in pairs)


def message(series: Iterable[tuple[Pairs, Sequence[Sample]]]) -> bytes:
    """A remote-write 1.0 request, not packed."""
    return b"".join(
        field(1, labels(pairs) + b"".join(sample(at, value) for at, value in samples))
        for pairs, samples in series
    )


def message_2(series: Iterable[tuple[Pairs, Sequence[Sample]]], kind: int = 0) -> bytes:
    """A remote-write 2.0 request, not packed; `kind` is the type in its metadata."""
    symbols = {"": 0}
    body = b""
    for pairs, samples in series:
        refs = b"".join(varint(symbols.setdefault(word, len(symbols))) for pair in pairs for word in pair)
        told = field(5, b"\x08" + varint(kind)) if kind else b""
        body += field(5, field(1, refs) + b"".join(sample(at, value) for at, value in samples) + told)
    return b"".join(field(4, word.encode()) for word in symbols) + body


def pack(message: bytes) -> bytes:
    return bytes(cramjam.snappy.compress_raw(message))


class Sender:
    """Packed requests of many series, each once a tick, quickly: the labels are encoded once."""

    def __init__(self, series: Iterable[Pairs], batch: int = 2000) -> None:
        self.batch = batch
        self._heads: list[bytes] = []
        for pairs in series:
            spelt = labels(pairs)
            # a sample with a 6-byte time takes 18 bytes
            self._heads.append(b"\x0a" + varint(len(spelt) + 18) + spelt + b"\x12\x10\x09")

    def __len__(self) -> int:
        return len(self._heads)

    def replace(self, place: int, pairs: Pairs) -> None:
        """Let another series come at `place`."""
        spelt = labels(pairs)
        self._heads[place] = b"\x0a" + varint(len(spelt) + 18) + spelt + b"\x12\x10\x09"

    def requests(self, at: int, values: NDArray[np.float64]) -> Iterator[bytes]:
        """One tick at `at` (ms)."""
        for start in range(0, len(self._heads), self.batch):
            yield self.request(start // self.batch, at, values[start : start + self.batch])

    def request(self, number: int, at: int, values: NDArray[np.float64]) -> bytes:
        """The series of one request, by its number within a tick, at `at` (ms); `values` are theirs."""
        tail = b"\x10" + varint(at)
        raw = values.astype("<f8").tobytes()
        heads = self._heads[number * self.batch : (number + 1) * self.batch]
        return pack(b"".join(head + raw[8 * k : 8 * k + 8] + tail for k, head in enumerate(heads)))

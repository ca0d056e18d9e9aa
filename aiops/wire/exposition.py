"""What ``/metrics`` pages say, as text or OpenMetrics -> one frame a scrape."""

import numpy as np
from numpy.typing import NDArray

from aiops.model.frame import Frame
from aiops.wire import WireError, _exposition
from aiops.wire._bytes import PAD
from aiops.wire._exposition import FAULTS
from aiops.wire._exposition_labels import PAIR, spell
from aiops.wire._remote_write import DONE, FAULT, LAST, OUT, SAMPLES, STATUS, STRANGERS
from aiops.wire.intake import Intake, Strangers

MOST_SAMPLES = 5_000_000


class Exposition:
    """Decodes the pages of one target. Nothing of a page is taken before all of it has been read."""

    def __init__(self, intake: Intake) -> None:
        self.intake = intake
        self._out = np.zeros(OUT, np.int64)
        self._out[LAST] = -1
        self._family = np.zeros(3, np.int64)
        self._room(256, 256)

    def decode(
        self, body: bytes, at: float, open_metrics: bool = False, most: int = 0
    ) -> tuple[Frame | None, int]:
        """What is watched, as of `at` (s), and how many samples it has, `most` at most (0: no limit).

        A sample's own time tells rates and what came before; the frame has the scrape's. Raises `WireError`.
        """
        _check_text(body)
        buffer = np.empty(len(body) + PAD, np.uint8)
        buffer[: len(body)] = np.frombuffer(body, np.uint8)
        buffer[len(body) :] = 0
        self.intake.refresh()
        before = self._out[LAST]
        if before >= self.intake.tracks.used:
            self._out[LAST] = before = -1
        while True:
            self._walk(buffer, len(body), int(at * 1000), open_metrics)
            status = int(self._out[STATUS])
            if status == DONE:
                break
            self._out[LAST] = -1 if status >= 0 else before
            if status >= 0:
                raise WireError(FAULTS[int(self._out[FAULT])], status)
            if len(self._refs) >= MOST_SAMPLES:
                raise WireError(f"more than {MOST_SAMPLES} samples", len(body))
            self._room(min(4 * len(self._refs), MOST_SAMPLES), min(4 * len(self._strangers), MOST_SAMPLES))
        count = int(self._out[SAMPLES])
        if most and count > most:
            raise WireError(f"{count} samples, more than {most}", len(body))
        refs = self._refs[:count]
        if self._out[STRANGERS]:
            self._admit(buffer, refs)
        frames = self.intake.take(refs, self._times[:count], self._values[:count])
        return _merged(frames, at), count

    def _walk(self, buffer: NDArray[np.uint8], size: int, at: int, open_metrics: bool) -> None:
        tracks = self.intake.tracks
        _exposition.walk(
            buffer, size, tracks.rows, tracks.cells, tracks.seed, at, open_metrics, self._family,
            self._refs, self._times, self._values, self._strangers, self._out,
        )  # fmt: skip

    def _room(self, samples: int, strangers: int) -> None:
        self._refs, self._times = np.zeros(samples, np.int32), np.zeros(samples, np.int64)
        self._values = np.zeros(samples)
        self._strangers = np.zeros((strangers, 4), np.int64)

    def _admit(self, buffer: NDArray[np.uint8], refs: NDArray[np.int32]) -> None:
        """Replace the refs of strangers by those of their new tracks."""
        rows = self._strangers[: int(self._out[STRANGERS])]
        lengths = rows[:, 1] - rows[:, 0]
        # a label has at least four bytes: a=""
        made = np.zeros(int(lengths.sum()) * (1 + PAIR // 4) + PAIR * len(rows) + PAD, np.uint8)
        places, out = np.zeros((len(rows), 2), np.int64), np.zeros(1, np.int64)
        spell(buffer, rows, made, places, out)
        if out[0] >= 0:
            self._out[LAST] = -1
            raise WireError("no metric name or label", int(out[0]))
        spelt = self.intake.spellings.numbers(made, places, self.intake.tracks.seed)
        found = self.intake.admit(Strangers(rows[:, 2].view(np.uint64), lengths, spelt, rows[:, 3].copy()))
        new = refs < 0
        refs[new] = found[-1 - refs[new]]


def _check_text(body: bytes) -> None:
    if not body.isascii():  # a tenth of the cost of decoding
        try:
            body.decode()
        except UnicodeDecodeError as bad:
            raise WireError("no UTF-8", bad.start) from None
    if (nul := body.find(0)) >= 0:
        raise WireError("a NUL", nul)


def _merged(frames: list[Frame], at: float) -> Frame | None:
    """A series stands once on a page; where it does not, its first sample counts."""
    if not frames:
        return None
    slots = np.concatenate([frame.slots for frame in frames])
    values = np.concatenate([frame.values[0] for frame in frames])
    if len(frames) > 1:
        _, first = np.unique(slots, return_index=True)
        first.sort()
        slots, values = slots[first], values[first]
    return Frame(np.array([at]), slots, values[None, :])

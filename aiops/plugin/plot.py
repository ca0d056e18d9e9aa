"""A small picture of a series' course as PNG: observed, the expected band, and the limit.

Drawn with numpy alone, since a plotting library would cost 60 MB of memory for two lines and a band.
The format is https://www.w3.org/TR/png-3/.
"""

import struct
import zlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 640, 240
LEFT, RIGHT, TOP, BOTTOM = 64, 12, 12, 24
FINE = 2
"""Drawn this many times larger, and averaged down: lines without steps."""

WHITE, GREY, BAND = (255, 255, 255), (214, 219, 224), (209, 228, 245)
LINE, LIMIT, INK = (24, 92, 168), (196, 43, 28), (70, 78, 86)

GLYPHS = {
    "0": "7b6f", "1": "2c97", "2": "73e7", "3": "73cf", "4": "5bc9", "5": "79cf", "6": "79ef", "7": "7252",
    "8": "7bef", "9": "7bcf", "-": "01c0", ".": "0002", ":": "0410", "%": "52a5", "e": "0f77", "+": "05d0",
    "k": "4bad", "M": "5fed", "G": "796f", "T": "7492", "m": "01fd", "u": "016f", "n": "01ad",
}  # fmt: skip
"""Three columns by five rows, a bit each, the first row in the highest bits."""

SCALES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "u"), (1e-9, "n"))


def png(course: Mapping[str, Any]) -> bytes:
    """The picture of a ticket's plot ``{times, observed, lower, upper, bound}`` (epoch s; None = no sample).

    Raises ValueError for a course without a sample.
    """
    times = np.array(course["times"], float)
    observed = _numbers(course["observed"])
    lower, upper = _numbers(course["lower"]), _numbers(course["upper"])
    bound = course.get("bound")
    values = np.concatenate([observed, lower, upper, [np.nan if bound is None else float(bound)]])
    values = values[np.isfinite(values)]
    if not np.isfinite(observed).any():
        raise ValueError("there is no sample to draw")
    canvas = _Canvas(times, float(values.min()), float(values.max()))
    canvas.grid()
    canvas.band(times, lower, upper)
    if bound is not None:
        canvas.line(times[[0, -1]], np.array([bound, bound], float), LIMIT)
    canvas.line(times, observed, LINE)
    return _encoded(canvas.pixels())


class _Canvas:
    def __init__(self, times: NDArray[np.float64], low: float, high: float) -> None:
        room = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
        self._low, self._high = low - room, high + room
        self._first, self._last = float(times[0]), max(float(times[-1]), float(times[0]) + 1.0)
        self._image = np.full((HEIGHT * FINE, WIDTH * FINE, 3), 255, np.uint8)

    def grid(self) -> None:
        """Three levels with their numbers, and the time at both ends."""
        for share in (0.0, 0.5, 1.0):
            value = self._low + (self._high - self._low) * share
            y = int(self._y(np.array([value]))[0])
            self._image[y : y + FINE, LEFT * FINE : (WIDTH - RIGHT) * FINE] = GREY
            text = _short(value, self._high - self._low)
            self._text(text, LEFT - 6 - 8 * len(text), min(y // FINE - 5, HEIGHT - BOTTOM - 8))
        for at, x in ((self._first, LEFT), (self._last, WIDTH - RIGHT - 40)):
            self._text(datetime.fromtimestamp(at, UTC).strftime("%H:%M"), x, HEIGHT - 16)

    def band(
        self, times: NDArray[np.float64], lower: NDArray[np.float64], upper: NDArray[np.float64]
    ) -> None:
        known = np.isfinite(lower) & np.isfinite(upper)
        if known.sum() < 2:
            return
        columns = np.arange(LEFT * FINE, (WIDTH - RIGHT) * FINE)
        at = self._first + (columns / FINE - LEFT) / (WIDTH - LEFT - RIGHT) * (self._last - self._first)
        tops = self._y(np.interp(at, times[known], upper[known])).astype(int)
        bottoms = self._y(np.interp(at, times[known], lower[known])).astype(int)
        for x, top, bottom in zip(columns, tops, bottoms, strict=True):
            if times[known][0] <= at[x - columns[0]] <= times[known][-1]:
                self._image[top : bottom + 1, x] = BAND

    def line(
        self, times: NDArray[np.float64], values: NDArray[np.float64], colour: tuple[int, int, int]
    ) -> None:
        """From sample to sample; a gap where there is none."""
        x, y = self._x(times), self._y(values)
        for one in range(len(times)):
            two = min(one + 1, len(times) - 1)
            if np.isnan(y[one]) or np.isnan(y[two]):
                two = one
            if np.isnan(y[one]):
                continue
            steps = int(max(abs(x[two] - x[one]), abs(y[two] - y[one]))) + 1
            for px, py in zip(
                np.linspace(x[one], x[two], steps), np.linspace(y[one], y[two], steps), strict=True
            ):
                self._image[int(py) - 1 : int(py) + 2, int(px) - 1 : int(px) + 2] = colour

    def pixels(self) -> NDArray[np.uint8]:
        fine = self._image.reshape(HEIGHT, FINE, WIDTH, FINE, 3).astype(np.uint16)
        smooth: NDArray[np.uint8] = (fine.sum((1, 3)) // (FINE * FINE)).astype(np.uint8)
        return smooth

    def _x(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        share = (times - self._first) / (self._last - self._first)
        return (LEFT + share * (WIDTH - LEFT - RIGHT)) * FINE

    def _y(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        share = (values - self._low) / (self._high - self._low)
        return (HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)) * FINE

    def _text(self, text: str, left: int, top: int) -> None:
        """In a font of our own, two pixels a dot."""
        size = 2 * FINE
        for place, letter in enumerate(text):
            bits = int(GLYPHS.get(letter, "0000"), 16)
            for dot in range(15):
                if bits >> (14 - dot) & 1:
                    y = (max(top, 0)) * FINE + dot // 3 * size
                    x = (max(left, 0) + 8 * place) * FINE + dot % 3 * size
                    self._image[y : y + size, x : x + size] = INK


def _numbers(values: Sequence[float | None]) -> NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in values], float)


def _short(value: float, span: float) -> str:
    """At most six characters, such as ``12.5k``."""
    size = max(abs(value), span / 10)
    scale, letter = next(((s, unit) for s, unit in SCALES if size >= s), (1.0, ""))
    return f"{value / scale:.3g}{letter}"[:6]


def _encoded(pixels: NDArray[np.uint8]) -> bytes:
    height, width, _ = pixels.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, width * 3)], axis=1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )
